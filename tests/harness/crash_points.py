"""The steps of a program: each write to the database and each call of the provider, before, in the middle of and after
it; or, of a process that takes over from a dead one, each statement and each call from the end of that one on.
`CrashPoints` stands inside the program, writes down the name of each, and kills the program at the one it is told.
"""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from adapters.avatars.http import ProviderHttpClient
from adapters.avatars.rooms.websocket_transport import WebSocketRoom
from bot.store import writer
from bot.store.driver import SqliteDriver
from bot.store.writer import GroupCommitWriter

_AN_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]*|(?<=/)[\w-]{20,}")
_WRITES = ("before writing", "in the middle of writing", "after writing")

_ON_TABLE = re.compile(r"\s*(UPDATE|INSERT INTO|DELETE FROM|SELECT\b.*?\bFROM)\s+(\w+)", re.DOTALL)
_OTHER = re.compile(r"\s*(\w+)\W+(\w+)")
FENCE = "DELETE processes"
"""The statement with which a process takes over from another one."""


class CrashPoints:
    """Writes the name of each step into a file, which outlives the process, and ends the process at the last one."""

    def __init__(self, file: Path, last: str | None) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._last = last
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._is_watching = True

    def step(self, what: str) -> None:
        if not self._is_watching:
            return
        with self._lock:
            self._seen[what] += 1
            name = f"{what} ({self._seen[what]})"
            os.write(self._file, f"{name}\n".encode())
            if name == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

    def steps(self, when: str, what: Sequence[str]) -> None:
        for name in what:
            self.step(f"{when} {name}")

    def watch(self) -> None:
        """Stand between this program and everything it writes to and calls."""
        transact, write_all, commit = GroupCommitWriter._transact, writer.write_all, SqliteDriver.commit
        before, amid, after = _WRITES
        uncommitted: list[str] = []

        def is_written() -> None:
            self.steps(amid, uncommitted)
            uncommitted.clear()

        def watched_write_all(connection: Any, writes: Sequence[Any], **options: bool) -> list[Any]:
            uncommitted[:] = _names_of(writes)
            results = write_all(connection, writes, **options)
            is_written()
            return results

        def watched_commit(driver: SqliteDriver) -> None:
            # Right behind the last statement, in the thread of SQLite.
            is_written()
            commit(driver)

        async def watched_transact(its_writer: GroupCommitWriter, batch: Sequence[Any]) -> list[Any]:
            names = _names_of([request.write for request in batch])
            self.steps(before, names)
            results = await transact(its_writer, batch)
            self.steps(after, names)
            return results

        GroupCommitWriter._transact = watched_transact  # type: ignore[method-assign,assignment]
        writer.write_all = watched_write_all
        SqliteDriver.commit = watched_commit  # type: ignore[method-assign,assignment]
        self._watch_calls()

    def watch_takeover(self) -> None:
        """Stand between this program and PostgreSQL, and the provider, from the statement `FENCE` on. Beats are no
        steps: they come whenever they come."""
        self._is_watching = False

        @event.listens_for(Engine, "before_cursor_execute")
        def before_statement(_: Connection, __: object, statement: str, *___: object) -> None:
            name = _statement_name(statement)
            self._is_watching = self._is_watching or name == FENCE
            if name is not None:
                self.step(f"before {name}")

        @event.listens_for(Engine, "after_cursor_execute")
        def after_statement(_: Connection, __: object, statement: str, *___: object) -> None:
            if (name := _statement_name(statement)) is not None and not name.startswith("SELECT"):
                self.step(f"after {name}")

        @event.listens_for(Engine, "commit")
        def commit(_: Connection) -> None:
            self.step("before COMMIT")

        self._watch_calls()

    def _watch_calls(self) -> None:
        """A look at the provider changes nothing, so that there is one step to it and not two."""
        send, into_room = ProviderHttpClient._send, WebSocketRoom.send

        async def watched_send(connection: ProviderHttpClient, request: Any) -> Any:
            what = f"{request.method} {_AN_ID.sub('*', request.url.path)}"
            self.step(f"before {what}")
            answer = await send(connection, request)
            if request.method != "GET":
                self.step(f"after {what}")
            return answer

        async def watched_room(room: WebSocketRoom, message: Any) -> None:
            what = f"{message.data['event_type']} in the room"
            self.step(f"before {what}")
            await into_room(room, message)
            self.step(f"after {what}")

        ProviderHttpClient._send = watched_send  # type: ignore[method-assign,assignment]
        WebSocketRoom.send = watched_room  # type: ignore[method-assign,assignment]


def _names_of(writes: Sequence[Any]) -> list[str]:
    """What shares a transaction, each kind once; which writes do is another matter each time."""
    names = []
    for write in writes:
        name = getattr(write, "__qualname__", None) or type(write).__name__
        names.append(name.replace("Repository.", "."))
    return list(dict.fromkeys(names))


def _statement_name(statement: str) -> str | None:
    """What it does to which table; None of a beat."""
    if statement.startswith("WITH"):
        return None
    found = _ON_TABLE.match(statement) or _OTHER.match(statement)
    return "a statement" if found is None else f"{found[1].split()[0]} {found[2]}"
