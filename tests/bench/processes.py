"""The processes of a benchmark: a platform, a provider and, between them, the bot or the bare client library. Each has
an interpreter of its own, so that only the one in the middle is measured. This module starts and ends them, and reads
what the system says of them; it judges nothing."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness.programs import PATIENCE, Program, Service, wait_until

ROOT = Path(__file__).parents[2]


class Child:
    """`python -m tests.bench.MODULE ARGUMENTS`, which is spoken to in lines of JSON. Killed where the block ends."""

    def __init__(self, module: str, *arguments: str, **environment: str) -> None:
        self._name = module
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
            [sys.executable, "-m", f"tests.bench.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self) -> Any:
        """Its next line. Raises RuntimeError when it has ended; why stands on stderr."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"tests.bench.{self._name} has ended")
        return json.loads(line)

    def order(self, what: str, **how: object) -> Any:
        """Have it do something, and return what came of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": what, **how}) + "\n")
        self._process.stdin.flush()
        return self.hear()


@dataclass(frozen=True)
class Surroundings:
    """A platform and a provider, and what a client needs to get into both."""

    name: str
    platform: Child
    service: Service
    access: dict[str, str]
    channels: int

    def start_avatars(self, bots: int = 1) -> None:
        """Have one in every channel; each of several bots gets as many."""
        self.platform.order("start_avatars", bots=bots)
        wait_until(lambda: self.service.open_streams == self.channels)

    @contextmanager
    def bot(self, folder: Path, **settings: str) -> Iterator[Program]:
        """The program, connected to the platform."""
        chosen = self.service.settings(
            folder,
            AVATAR_PROVIDER="heygen-streaming",
            USER_RATE="0",
            QUEUE_LIMIT="1000",
            SESSION_NEEDS_VIEWER="never",
            WEB_PUBLIC_URL="https://watch.example.com",
            # A channel whose turn does not come for a while must not find its stream closed: to open another one is
            # not what is measured.
            STREAM_LINGER="3600",
            **self.access,
        )
        with Program(folder, "run", **chosen | settings) as program:
            program.until("Web: ")
            self.platform.order("connected")
            yield program

    @contextmanager
    def bare(self) -> Iterator[Child]:
        """The bare client library, connected to the platform."""
        with Child("bare", self.name, self.service.url, **self.access) as bare:
            bare.hear()
            self.platform.order("connected")
            yield bare


@contextmanager
def surroundings(name: str, channels: int) -> Iterator[Surroundings]:
    """A platform with so many channels, and a provider that tells it of every text."""
    with Child("platforms", name, str(channels)) as platform:
        told = platform.hear()
        with Child("provider", str(told["port"])) as provider:
            yield Surroundings(name, platform, Service(provider.hear()), told["access"], channels)


@contextmanager
def folder() -> Iterator[Path]:
    """For a database, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="avatar-relay-bench-") as made:
        yield Path(made)


# --- what the system says --------------------------------------------------------------------------------------------

ON_LINUX = Path("/proc/self/stat").exists()
"""Elsewhere nobody is asked how much a process used."""


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, all its threads included. In steps of 10 ms; Linux only."""
    after_the_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(after_the_name[11]) + int(after_the_name[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Memory that a process has. Linux only."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
