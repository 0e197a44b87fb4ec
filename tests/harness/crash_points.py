"""The steps of a program: each write to the database and each call of the provider, before, in the middle of and after
it. `CrashPoints` stands inside the program, writes down the name of each, and kills the program at the one it is told.
"""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.avatars.http import ProviderHttpClient
from adapters.avatars.rooms.websocket_transport import WebSocketRoom
from bot.store import writer
from bot.store.writer import GroupCommitWriter

_AN_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]*|(?<=/)[\w-]{20,}")
_WRITES = ("before writing", "in the middle of writing", "after writing")


class CrashPoints:
    """Writes the name of each step into a file, which outlives the process, and ends the process at the last one."""

    def __init__(self, file: Path, last: str | None) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._last = last
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def step(self, what: str) -> None:
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
        """Stand between this program and everything it writes to and calls. A look at the provider changes nothing, so
        that there is one step to it and not two."""
        transact, write_all = GroupCommitWriter._transact, writer.write_all
        send, into_room = ProviderHttpClient._send, WebSocketRoom.send
        before, amid, after = _WRITES

        def watched_write_all(connection: Any, writes: Sequence[Any]) -> list[Any]:
            results = write_all(connection, writes)
            self.steps(amid, _names_of(writes))
            return results

        async def watched_transact(its_writer: GroupCommitWriter, batch: Sequence[Any]) -> list[Any]:
            names = _names_of([request.write for request in batch])
            self.steps(before, names)
            results = await transact(its_writer, batch)
            self.steps(after, names)
            return results

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

        GroupCommitWriter._transact = watched_transact  # type: ignore[method-assign]
        writer.write_all = watched_write_all
        ProviderHttpClient._send = watched_send  # type: ignore[method-assign]
        WebSocketRoom.send = watched_room  # type: ignore[method-assign]


def _names_of(writes: Sequence[Any]) -> list[str]:
    """What shares a transaction, each kind once; which writes do is another matter each time."""
    names = []
    for write in writes:
        name = getattr(write, "__qualname__", None) or type(write).__name__
        names.append(name.replace("Repository.", "."))
    return list(dict.fromkeys(names))
