"""The real program in a process that is killed, as by `kill -9`, at one exact step: before, in the middle of or after a
write to the database, before or after a call of the provider.

A nursery is one process that has imported everything and waits; it forks a program in a tenth of the time that a new
interpreter takes. The program is what `avatar-relay ARGUMENTS` runs, from its entry point on, and differs in three
things: its clock is `SPEED` times faster and agrees with that of every other program of the nursery, it writes down the
name of each step, and it kills itself at the chosen one. Knows no story; that is the business of the tests.
"""

import asyncio
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import bot.cli
from adapters.avatars.connection import Connection, _trust
from adapters.avatars.rooms.stand_in import StandInRoom
from bot.clock import SystemClock
from bot.settings import PROVIDERS_GROUP
from bot.store import schema
from bot.store.database import SqliteDatabase
from tests.scenario.programs import _KEPT, PATIENCE, Program

CHATS_GROUP = "avatar_relay.chat"

SPEED = 20.0
"""Seconds of the programs per second of the machine."""

LONG_PATIENCE = 90.0
"""Seconds of the machine that a line may take to come: several programs run side by side, perhaps on one core."""

_AN_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]*|(?<=/)[\w-]{20,}")
_WRITES = ("before writing", "in the middle of writing", "after writing")


# --- inside the program ----------------------------------------------------------------------------------------------


class SharedClock(SystemClock):
    """A fast clock whose time of day goes on from one program to the next."""

    def __init__(self, epoch: float) -> None:
        super().__init__(SPEED)
        self._epoch = datetime.fromtimestamp(epoch, UTC)

    def now(self) -> datetime:
        gone = (datetime.now(UTC) - self._epoch).total_seconds()
        return self._epoch + timedelta(seconds=gone * SPEED)


class Steps:
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
        write, send, into_room = SqliteDatabase.write, Connection._send, StandInRoom.send
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

        async def watched_send(connection: Connection, request: Any) -> Any:
            what = f"{request.method} {_AN_ID.sub('*', request.url.path)}"
            self.step(f"before {what}")
            answer = await send(connection, request)
            if request.method != "GET":
                self.step(f"after {what}")
            return answer

        async def watched_room(room: StandInRoom, message: Any) -> None:
            what = f"{message.data['event_type']} in the room"
            self.step(f"before {what}")
            await into_room(room, message)
            self.step(f"after {what}")

        SqliteDatabase.write = watched_write  # type: ignore[method-assign]
        Connection._send = watched_send  # type: ignore[method-assign]
        StandInRoom.send = watched_room  # type: ignore[method-assign]


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


# --- the nursery -----------------------------------------------------------------------------------------------------


def raise_programs(asked: socket.socket) -> None:
    """Fork what is asked for until nobody asks any more. Returns in the nursery; a program ends by `SystemExit`."""
    _import_everything()
    while True:
        message, fds, _, _ = socket.recv_fds(asked, 1 << 16, 3)
        if not message:
            return
        order = json.loads(message)
        if "ended" in order:
            pid, status = os.waitpid(order["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif (answer := os.fork()) == 0:
            asked.close()
            _be_the_program(order, fds)
        for fd in fds:
            os.close(fd)
        asked.sendall(json.dumps(answer).encode())


def _import_everything() -> None:
    """What a program imports only once it runs, and the certificates of the world."""
    for group in (PROVIDERS_GROUP, CHATS_GROUP):
        for entry in entry_points(group=group):
            entry.load()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(schema.upgrade(f"sqlite:///{folder}/blank.sqlite3"))
    _trust()


def _be_the_program(order: dict[str, Any], fds: Sequence[int]) -> None:
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    # Those of the nursery know what kind of file they were made for.
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["settings"])
    sys.argv = ["avatar-relay", *order["arguments"]]
    bot.cli.SystemClock = lambda *_: SharedClock(order["epoch"])  # type: ignore[assignment,misc]
    Steps(Path(order["steps"]), order["last"]).watch()
    bot.cli.main()
    sys.exit(0)


# --- in the tests ----------------------------------------------------------------------------------------------------


class Nursery:
    """The other end of `raise_programs`. For use by several threads."""

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair()
        self._asking = threading.Lock()
        self.epoch = time.time()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
                [sys.executable, "-W", "default::ResourceWarning", "-m", __name__, str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.wait(PATIENCE)

    def ask(self, order: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        with self._asking:
            socket.send_fds(self._socket, [json.dumps(order).encode()], fds)
            return json.loads(self._socket.recv(1 << 16))


class _Forked:
    """As much of `subprocess.Popen` as `Program` needs, for a process of the nursery."""

    def __init__(self, nursery: Nursery, order: dict[str, Any]) -> None:
        self._nursery = nursery
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        self.pid: int = nursery.ask({"epoch": nursery.epoch, **order}, theirs)
        for fd in theirs:
            os.close(fd)
        self.stdin = os.fdopen(pipes[0][1], "wb")
        self.stdout, self.stderr = os.fdopen(pipes[1][0], "rb"), os.fdopen(pipes[2][0], "rb")
        self.code: int | None = None

    def send_signal(self, number: int) -> None:
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = PATIENCE) -> int:
        deadline = time.monotonic() + timeout
        while self.code is None:
            self.code = self._nursery.ask({"ended": self.pid})
            assert time.monotonic() < deadline, "does not end"
            if self.code is None:
                time.sleep(0.01)
        return self.code


class Mortal(Program):
    """`avatar-relay ARGUMENTS` in `folder`, with an environment of nothing but `settings`. It dies at the step `last`.

    steps: the file with the steps it took.
    """

    def __init__(
        self, nursery: Nursery, folder: Path, *arguments: str, last: str | None = None, **settings: str
    ) -> None:
        self._steps = folder / f"steps-{time.monotonic_ns()}"
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        order = {
            "folder": str(folder),
            "arguments": arguments,
            "steps": str(self._steps),
            "last": last,
            "settings": environment | {"HOME": str(folder), "AVATAR_GREETING": "Hi."} | settings,
        }
        process: Any = _Forked(nursery, order)
        self._process = process
        self._written = {"stdout": b"", "stderr": b""}
        self._pipes = selectors.DefaultSelector()
        self._pipes.register(process.stdout, selectors.EVENT_READ, "stdout")
        self._pipes.register(process.stderr, selectors.EVENT_READ, "stderr")
        self.code = None

    @property
    def steps(self) -> list[str]:
        """The names of the steps it has taken so far, in their order."""
        return self._steps.read_text().splitlines() if self._steps.exists() else []

    def hears(self, text: str, times: int = 1) -> bool:
        """Wait until the program has printed `text` so often. False where it ended before that."""
        deadline = time.monotonic() + LONG_PATIENCE
        while self._written["stdout"].decode(errors="replace").count(text) < times:
            assert time.monotonic() < deadline, f"never printed {text!r}:\n{self._all()}"
            if not self._read(0.5):
                return False
        return True

    def until(self, text: str) -> None:
        """Wait until the program has printed `text`."""
        assert self.hears(text), f"ended without {text!r}:\n{self._all()}"

    def _all(self) -> str:
        return "\n".join([super()._all(), "its last steps:", *self.steps[-8:]])

    def is_there(self) -> bool:
        """Whether it has not ended; takes in what it has printed meanwhile."""
        return self._read(0)

    def tell(self, *lines: str) -> None:
        """Write lines, whether or not anybody is there to read them."""
        with suppress(BrokenPipeError):
            self.type(*lines)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        raise_programs(asked)
