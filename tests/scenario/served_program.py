"""`avatar-relay run` as a process of its own, beside whatever it talks to in the process of the test."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.scenario.setup.shell import PATIENCE, environment


class ServedProgram:
    """From `async with` to its end; what it writes goes into files in `folder`."""

    def __init__(self, folder: Path, settings: dict[str, str], *, changed: str | None = None) -> None:
        """`changed`: Python that runs first, for a program with something broken on purpose."""
        self.folder = folder
        self._settings, self._changed = settings, changed
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
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

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true while the program runs."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert self.is_there, self.log[-4000:]
                await asyncio.sleep(0.02)

    async def end(self) -> int:
        """Wait for it to end by itself, and return its exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def stop(self) -> int:
        """Ask it to end, as `docker stop` does; its exit code."""
        self.send(signal.SIGTERM)
        return await self.end()
