"""The real program as a process of its own, as somebody who typed it into a shell has it."""

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

KEY = "simulator"
PATIENCE = 30.0
"""Seconds of real time that a process may take; only a failing test waits so long."""

_KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONPYCACHEPREFIX")


class Program:
    """`avatar-relay ARGUMENTS` in `folder`, with an environment that holds nothing but `settings`."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        stdin: int | BinaryIO = subprocess.PIPE,
        redirected: str | None = None,
        changed: str | None = None,
        **settings: str,
    ) -> None:
        """`redirected` is what a shell is told behind the command, such as `<&-`. `changed`: Python that runs first,
        for a program with something broken on purpose."""
        started = ["-m", "bot"] if changed is None else ["-c", f"{changed}\nfrom bot.cli.main import main\nmain()"]
        command = [sys.executable, "-W", "default::ResourceWarning", *started, *arguments]
        if redirected is not None:
            command = ["/bin/sh", "-c", f'exec "$@" {redirected}', "sh", *command]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"HOME": str(folder), "AVATAR_GREETING": "Hi."} | settings
        self._process = subprocess.Popen(  # noqa: S603 - our own program and our own words
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
        )
        self._written = {"stdout": b"", "stderr": b""}
        self._pipes = selectors.DefaultSelector()
        for name, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            assert pipe is not None
            self._pipes.register(pipe, selectors.EVENT_READ, name)
        self.code: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._pipes.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self, seconds: float) -> bool:
        """Take in what the program writes within `seconds`. False once it has closed both of its outputs."""
        for key, _ in self._pipes.select(seconds):
            data = os.read(key.fd, 65536)
            self._written[key.data] += data
            if not data:
                self._pipes.unregister(key.fileobj)
        return bool(self._pipes.get_map())

    # --- what somebody does --------------------------------------------------------------------------------------

    def type(self, *lines: str | bytes) -> None:
        """Write lines to the program's input, which stays open."""
        assert self._process.stdin is not None
        for line in lines:
            self._process.stdin.write((line.encode() if isinstance(line, str) else line) + b"\n")
        self._process.stdin.flush()

    def close_input(self) -> None:
        """Let the program read the end of its input, if it is still there to read anything."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close_output(self) -> None:
        """Stop reading what the program prints, as `| head` does."""
        assert self._process.stdout is not None
        self._pipes.unregister(self._process.stdout)
        self._process.stdout.close()

    def send(self, *signals: signal.Signals) -> None:
        for number in signals:
            self._process.send_signal(number)

    # --- what it does --------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._written["stdout"].decode()

    @property
    def errors(self) -> str:
        return self._written["stderr"].decode()

    def until(self, text: str) -> None:
        """Wait until the program has printed `text`."""
        deadline = time.monotonic() + PATIENCE
        while text not in self._written["stdout"].decode(errors="replace"):
            assert time.monotonic() < deadline, f"never printed {text!r}:\n{self._all()}"
            assert self._read(0.5), f"ended without {text!r}:\n{self._all()}"

    def end(self, typed: bytes = b"") -> int:
        """Write `typed`, the last of its input, wait for the program to end by itself, and return its exit code."""
        writer = threading.Thread(target=self._write_all, args=(typed,))
        writer.start()
        deadline = time.monotonic() + PATIENCE
        while self._read(0.5):
            assert time.monotonic() < deadline, f"does not end:\n{self._all()}"
        self.code = self._process.wait(PATIENCE)
        writer.join()
        assert "Traceback" not in self.errors, self.errors
        assert "ResourceWarning" not in self.errors, self.errors
        return self.code

    def _write_all(self, typed: bytes) -> None:
        if typed and self._process.stdin is not None:
            # It may end before it has read everything, which its output explains.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(typed)
                self._process.stdin.close()

    def _all(self) -> str:
        return "\n".join(data.decode(errors="replace")[-4000:] for data in self._written.values())


def run(folder: Path, *arguments: str, typed: str | bytes = b"", **settings: Any) -> Program:
    """Run the program to its end with `typed` as its whole input."""
    with Program(folder, *arguments, **settings) as program:
        if not typed:
            program.close_input()
        program.end(typed.encode() if isinstance(typed, str) else typed)
    return program


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is true of the world outside."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.02)


@dataclass(frozen=True)
class Service:
    """A simulator in a process of its own: the avatar service of the tests, with its meter."""

    url: str

    def settings(self, folder: Path, **others: str) -> dict[str, Any]:
        """What a bot needs to use this service with a database in `folder`. All are texts; they are handed on beside
        options that are not, which `Any` lets them be."""
        return {
            "HEYGEN_API_URL": self.url,
            "HEYGEN_API_KEY": KEY,
            "DATABASE_URL": f"sqlite:///{folder / 'bot.sqlite3'}",
            "WEB_PORT": "0",
            "LOG_LEVEL": "error",
        } | others

    @classmethod
    def found_in(cls, output: str) -> "Service":
        """The simulator whose address stands in what a program has printed."""
        found = re.search(r"(?i:simulator\S* run\w+ at) (http://[\w.:]+\d)", output)
        assert found is not None, output
        return cls(found[1])

    @property
    def streams(self) -> list[Any]:
        """Every stream there ever was, the oldest first."""
        found: list[Any] = self._ask("/simulator/streams")["streams"]
        return found

    @property
    def open_streams(self) -> int:
        """How many streams cost money now."""
        number: int = self._ask("/simulator/meter")["total"]["open"]
        return number

    def break_with(self, **fault: object) -> None:
        """Have something go wrong."""
        self._ask("/simulator/faults", fault)

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        self._ask("/simulator/faults", method="DELETE")

    def end_streams(self) -> None:
        """End what a test that failed has left open."""
        for stream in self.streams:
            if stream["ended"] is None:
                self.break_with(drop_stream=stream["id"])

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *options: str) -> Iterator["Service"]:
        """`avatar-relay simulator`, until the block ends. `options` are further ones of the command."""
        with Program(folder, "simulator", "--port", "0", "--concurrency", "50", *options) as program:
            program.until("The simulator runs at")
            yield cls.found_in(program.output)
            program.send(signal.SIGTERM)
            assert program.end() == 0
            assert program.errors == ""

    def _ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Api-Key": KEY, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - our own server
            return json.load(answer)
