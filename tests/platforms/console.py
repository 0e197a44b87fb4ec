"""The console as a platform of the scenarios, in its piped form: a pipe is the keyboard, a list the screen."""

import asyncio
import itertools
import os
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO
from unittest.mock import patch

from adapters.chat.console import ConsoleAdapter
from adapters.chat.console import adapter as console
from adapters.chat.console.stdin import piped_lines
from tests.platforms.platform_driver import ANA
from tests.platforms.running_bot import RunningBot, settings_with


class ConsoleDriver:
    """The console's one channel; whoever sits there is an admin."""

    name = "console"
    has_roles = False
    has_buttons = False

    def __init__(self, folder: Path) -> None:
        settings = settings_with({"WEB_PUBLIC_URL": "https://watch.example.com"})
        self.bot = RunningBot(folder, ConsoleAdapter, settings)
        self._screen = ""
        self._one_at_a_time = asyncio.Lock()
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        await self.bot.prepare()
        await self._sit_down()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.bot.close()
        self._stand_up()

    async def _sit_down(self) -> None:
        read_end, write_end = os.pipe()
        self._reading: TextIO = os.fdopen(read_end, "r")
        self._typing: TextIO = os.fdopen(write_end, "w")
        # The console's own doors to the terminal: sys.stdin and sys.stdout are pytest's.
        self._patches = (
            patch.object(console, "piped_lines", lambda _: piped_lines(self._reading)),
            patch.object(console, "write_line", self._print),
        )
        for one in self._patches:
            one.start()
        await self.bot.start()

    def _print(self, line: str) -> bool:
        self._screen += f"{line}\n"
        return True

    def _stand_up(self) -> None:
        for one in self._patches:
            one.stop()
        self._typing.close()
        self._reading.close()

    async def command(self, line: str, *, by: str = ANA) -> str:
        """Type a line; what is printed up to the echo of the next one."""
        async with self._one_at_a_time:
            return await self._command(line)

    async def _command(self, line: str) -> str:
        mark = f"/avatar mark{next(self._numbers)}"
        before = len(self._screen)
        self._typing.write(f"{line}\n{mark}\n")
        self._typing.flush()
        await self.bot.until(lambda: mark in self._screen)
        return self._screen[before:].partition(f"> {mark}")[0].partition("\n")[2]

    async def write(self, text: str, *, by: str = ANA) -> None:
        """Type a message."""
        await self.command(text, by=by)

    async def remark(self, text: str, *, by: str = ANA, pictures: int = 0) -> Callable[[], Collection[str]]:
        """In a console everything that is typed is for the avatar."""
        raise NotImplementedError

    def seen(self) -> list[str]:
        """Every line on the screen."""
        return self._screen.splitlines()

    async def until_read(self, fragment: str) -> None:
        """Wait until it has been printed."""
        await self.bot.until(lambda: fragment in self._screen)

    async def until_told_unsaid(self, text: str, *, by: str = ANA) -> None:
        """Whoever sits there reads of every message how it ended."""
        await self.until_read(f"dropped: {text}")

    async def press(self, label: str, *, by: str = ANA) -> str:
        """A console has nothing to press."""
        raise NotImplementedError

    async def panel(self) -> str:
        """A console has no panel."""
        raise NotImplementedError

    async def restart(self) -> None:
        """Kill the bot and start the next one at the same desk."""
        await self.bot.kill()
        self._stand_up()
        await self._sit_down()
