"""Starts the installed program, not the checkout's, talks to it, and ends it."""

import os
import selectors
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 60.0
"""Seconds of real time that a process may take; only a failing test waits so long."""


class Started:
    """A process with nothing in its environment but `environment`; its input stays open."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def type(self, line: str) -> None:
        """Write a line to its input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def until(self, condition: Callable[[str], bool]) -> None:
        """Read its output until it is as wanted."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + PATIENCE
            while not condition(self.output):
                assert time.monotonic() < deadline, self.output
                if waiting.select(0.5):
                    data = os.read(self._process.stdout.fileno(), 65536)
                    assert data, f"it ended: {self.output}"
                    self.output += data.decode(errors="replace")

    def kill(self) -> None:
        """As `kill -9` does."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def terminate(self) -> int:
        """SIGTERM, as `docker stop` and systemd send it; returns the exit code."""
        self._process.send_signal(signal.SIGTERM)
        rest, _ = self._process.communicate(timeout=PATIENCE)
        self.output += rest.decode(errors="replace")
        return self._process.returncode


def get(url: str) -> tuple[int, str]:
    """The status and the text behind an address."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own loopback address
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
