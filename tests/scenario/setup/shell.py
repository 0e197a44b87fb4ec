"""`avatar-relay ...` as a process of its own, while servers of this process answer it: a simulator, Discord, Slack."""

import asyncio
import os
import pty
import sys
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0
"""Seconds of real time that a command may take; only a failing test waits so long."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """What the program finds: its settings and nothing else."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(folder), "COLUMNS": "200", **settings}


async def run(folder: Path, *arguments: str, **settings: str) -> Ran:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        cwd=folder,
        env=environment(folder, settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


class Terminal:
    """A command in a terminal, with a person who reads and types."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._settings = settings
        self.screen = ""

    async def __aenter__(self) -> "Terminal":
        self._master, theirs = pty.openpty()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            *self._arguments,
            cwd=self._folder,
            env=environment(self._folder, self._settings),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            self.screen += os.read(self._master, 65536).decode(errors="replace")
        except OSError:
            # The other end is closed: the program has ended.
            asyncio.get_running_loop().remove_reader(self._master)

    async def until(self, fragment: str) -> None:
        """Wait until it can be read."""
        async with asyncio.timeout(PATIENCE):
            while fragment not in self.screen:
                assert self._process.returncode is None or fragment in self.screen, self.screen
                await asyncio.sleep(0.01)

    async def answer(self, question: str, answer: str) -> None:
        """Wait for a question behind what was answered before, and type.

        The blank behind it counts: `getpass` throws away what was typed before it has written that.
        """
        await self.until(f"{question} ")
        self.screen = self.screen.rpartition(f"{question} ")[2]
        os.write(self._master, f"{answer}\n".encode())

    async def end(self) -> int:
        """Wait for the end; its exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()
