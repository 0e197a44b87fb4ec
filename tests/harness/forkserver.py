"""The real program in a process that starts fast, hears a clock of the test's, and may be killed at one exact step.

The fork server is one process that has imported everything and waits; it forks a program in a tenth of the time that a
new interpreter takes. The program is what `avatar-relay ARGUMENTS` runs, from its entry point on, and differs in two
things: its clock is `SPEED` times faster and agrees with that of every other program of the fork server, and, where it
is watched, it writes down the name of each step and kills itself at the chosen one (`crash_points`). Knows no story;
that is the business of the tests.
"""

import asyncio
import json
import mmap
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import bot.cli.main
from adapters.network import trust
from bot.core.clock import SystemClock
from bot.settings import PROVIDERS_GROUP
from bot.store import migrate
from tests.harness.crash_points import CrashPoints
from tests.harness.programs import _KEPT, PATIENCE, Program

CHATS_GROUP = "avatar_relay.chat"

SPEED = 20.0
"""Seconds of the programs per second of the machine."""

LONG_PATIENCE = 90.0
"""Seconds of the machine that a line may take to come: several programs run side by side, perhaps on one core."""


# --- the clock -------------------------------------------------------------------------------------------------------


class ClockOffset:
    """Where the time of day of a program is set. Both sides have the same page of memory; each makes its own
    `ClockOffset`."""

    _SET_BY = struct.Struct("d")

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(self._SET_BY.pack(0.0))
        with file.open("r+b") as opened:
            self._page = mmap.mmap(opened.fileno(), 0)
        self.file = file

    @property
    def set_by(self) -> float:
        """Seconds by which the time of day is not what it would be by itself."""
        (seconds,) = self._SET_BY.unpack(self._page)
        return float(seconds)

    def jump(self, seconds: float) -> None:
        """Set the time of day, by a person or by NTP: no time passes."""
        self._page[:] = self._SET_BY.pack(self.set_by + seconds)


class SharedClock(SystemClock):
    """A fast clock whose time of day is the same in every program, and goes on from one to the next.

    epoch: when it was right, seconds since 1970.
    """

    def __init__(self, epoch: float, speed: float, clock_offset: ClockOffset | None = None) -> None:
        super().__init__(speed)
        self._epoch, self._clock_offset = epoch, clock_offset

    def now(self) -> datetime:
        set_by = self._clock_offset.set_by if self._clock_offset is not None else 0.0
        return datetime.fromtimestamp(self._epoch, UTC) + timedelta(
            seconds=(time.time() - self._epoch) * self.speed + set_by
        )


# --- the fork server
# ---------------------------------------------------------------------------------------------------


def serve(asked: socket.socket) -> None:
    """Fork what is asked for until nobody asks any more. Returns in the fork server; a program ends by `SystemExit`."""
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
        asyncio.run(migrate.upgrade(f"sqlite:///{folder}/blank.sqlite3"))
    trust()


def _be_the_program(order: dict[str, Any], fds: Sequence[int]) -> None:
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    # Those of the fork server know what kind of file they were made for.
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["settings"])
    sys.argv = ["avatar-relay", *order["arguments"]]
    time.tzset()
    clock_offset = ClockOffset(Path(order["clock_offset"])) if order["clock_offset"] is not None else None
    bot.cli.main.SystemClock = lambda *_: SharedClock(**order["clock"], clock_offset=clock_offset)  # type: ignore[assignment,attr-defined]
    if order["steps"] is not None:
        crash_points = CrashPoints(Path(order["steps"]), order["last"])
        if order["takes_over"]:
            crash_points.watch_takeover()
        else:
            crash_points.watch()
    bot.cli.main.main()
    sys.exit(0)


# --- in the tests ----------------------------------------------------------------------------------------------------


class ForkServer:
    """The other end of `serve`. For use by several threads.

    speed: seconds of its programs per second of the machine. clock: the arguments of their `SharedClock`.
    """

    def __init__(self, *, speed: float = SPEED) -> None:
        self.clock: dict[str, Any] = {"epoch": time.time(), "speed": speed}

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair()
        self._asking = threading.Lock()
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
    """As much of `subprocess.Popen` as `Program` needs, for a process of the fork server."""

    def __init__(self, fork_server: ForkServer, order: dict[str, Any]) -> None:
        self._fork_server = fork_server
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        self.pid: int = fork_server.ask({"clock": fork_server.clock, **order}, theirs)
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
            self.code = self._fork_server.ask({"ended": self.pid})
            assert time.monotonic() < deadline, "does not end"
            if self.code is None:
                time.sleep(0.01)
        return self.code


class KillableProcess(Program):
    """`avatar-relay ARGUMENTS` in `folder`, with an environment of nothing but `settings`. It dies at the step `last`.

    clock_offset: by which its time of day is set. is_watched: whether it writes down its steps, which takes time.
    takes_over: these are the statements from the end of another process on, on PostgreSQL.
    """

    def __init__(
        self,
        fork_server: ForkServer,
        folder: Path,
        *arguments: str,
        last: str | None = None,
        clock_offset: ClockOffset | None = None,
        is_watched: bool = True,
        takes_over: bool = False,
        **settings: str,
    ) -> None:
        self._steps = folder / f"steps-{time.monotonic_ns()}"
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        order = {
            "folder": str(folder),
            "arguments": arguments,
            "steps": str(self._steps) if is_watched else None,
            "last": last,
            "takes_over": takes_over,
            "clock_offset": str(clock_offset.file) if clock_offset is not None else None,
            "settings": environment | {"HOME": str(folder), "AVATAR_GREETING": "Hi."} | settings,
        }
        process: Any = _Forked(fork_server, order)
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
        """Wait until the program has printed `text` so often. False if it ended before that."""
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
        serve(asked)
