"""The steps of a program: each write to the database and each call of the provider, before, in the middle of and after
it. `CrashPoints` stands inside the program, writes down the name of each, and kills the program at the one it is told.
"""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from adapters.avatars.http import ProviderHttpClient
from adapters.avatars.rooms.websocket_transport import WebSocketRoom
from bot.store.engine import SqliteDatabase

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
        write, send, into_room = SqliteDatabase.write, ProviderHttpClient._send, WebSocketRoom.send
        before, amid, after = _WRITES

        async def watched_write(database: SqliteDatabase, work: Callable[..., Any]) -> Any:
            def watched(connection: Any) -> Any:
                result = work(connection)
                self.steps(amid, _names_of(work))
                return result

            self.steps(before, _names_of(work))
            result = await write(database, watched)
            self.steps(after, _names_of(work))
            return result

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

        SqliteDatabase.write = watched_write  # type: ignore[method-assign]
        ProviderHttpClient._send = watched_send  # type: ignore[method-assign]
        WebSocketRoom.send = watched_room  # type: ignore[method-assign]


def _names_of(work: Any) -> list[str]:
    """The methods of the store that share a transaction; which of them do is another matter each time."""
    if not isinstance(work, partial):
        return [str(work.__name__).strip("_")]
    (argument,) = work.args
    kinds = [group.kind for group in argument] if isinstance(argument, list) else [argument.kind]
    names = []
    for kind in kinds:
        function = getattr(kind, "_work", kind)
        name = getattr(function, "__qualname__", None) or type(function).__name__
        names.append(name.removeprefix("Store.").partition(".")[0].strip("_"))
    return names
