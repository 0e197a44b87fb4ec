"""One of several programs on a database, as a process of its own."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Self

from tests.harness.tcp_proxy import TcpProxy
from tests.scenario.setup.shell import environment

PATIENCE = 60.0
"""Seconds of real time that something may take to come true; only a failing test waits so long."""


class Member:
    """A program with its own folder, witness and wire, from `async with` to its end."""

    def __init__(self, name: str, folder: Path, settings: dict[str, str], wire: TcpProxy, changed: str | None) -> None:
        self.name, self.wire = name, wire
        self.folder = folder
        self._settings, self._changed = settings, changed
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self.folder.mkdir()
        changed = f"{self._changed}\nfrom bot.cli.main import main\nmain()"
        started = ["-m", "bot"] if self._changed is None else ["-c", changed]
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *started,
                "run",
                cwd=self.folder,
                env=environment(self.folder, self._settings),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return (self.folder / "out").read_text(encoding="utf-8")

    @property
    def log(self) -> str:
        return (self.folder / "err").read_text(encoding="utf-8")

    @property
    def is_there(self) -> bool:
        return self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> int:
        """Wait for it to end by itself, and return its exit code."""
        async with asyncio.timeout(PATIENCE):
            code = await self._process.wait()
        assert "Traceback" not in self.log, self.log
        return code

    async def until_there(self, file: str) -> None:
        """Wait until a file is in its folder."""
        async with asyncio.timeout(PATIENCE):
            while not (self.folder / file).exists():  # noqa: ASYNC110 - a folder that others change
                await asyncio.sleep(0.02)

    async def until(self, text: str) -> None:
        """Wait until it has printed something."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.output:
                assert self.is_there, self.log[-4000:]
                await asyncio.sleep(0.02)
