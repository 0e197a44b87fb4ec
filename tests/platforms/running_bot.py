"""The whole bot as `avatar-relay run` makes it, in this process: the real composition root over the simulator, a clock
that runs fast, and one chat platform. What the drivers of the platforms start and stop."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydantic import SecretStr

from adapters.simulator import Simulator, SimulatorOptions
from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.tasks import cancel_and_wait
from bot.core.views import SessionView
from bot.facade import Bot, ChatAdapter
from bot.plugins import with_simulator
from bot.settings import Settings, load
from tests.harness.blank_database import make_database

KEY = "key-that-nobody-may-read-0123456789"
SPEED = 20.0
"""Seconds of the bot's world in one second: speech of 3 s is over in 150 ms."""

PATIENCE = 20.0
"""Seconds of real time that something may take to come true; only a failing test waits so long."""


class RunningBot:
    """One bot after another on one database, over one simulator that outlives them."""

    def __init__(
        self, folder: Path, make: Callable[[Bot], ChatAdapter], settings: Settings, *, speed: float = SPEED
    ) -> None:
        """`settings` as `tests.platforms.running_bot.settings_with` makes them; `make` is the adapter's class."""
        self.clock = SystemClock(speed)
        self.simulator = Simulator(SimulatorOptions(api_key=SecretStr(KEY), auto_viewer=True), self.clock)
        self.told: list[str] = []
        self._settings = settings.model_copy(update={"database_url": f"sqlite:///{folder / 'platform.sqlite3'}"})
        self._make = make
        self._application: Application | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def bot(self) -> Bot:
        """The core of the bot that runs now."""
        assert self._application is not None
        return self._application.bot

    @property
    def adapter(self) -> Any:
        """The platform's adapter of the bot that runs now. What a test looks at in one is no platform's contract."""
        assert self._application is not None
        return self._application._adapters[0]

    @property
    def serving(self) -> asyncio.Task[None]:
        """The bot at work; done, with its error, where it has given up."""
        assert self._serving is not None
        return self._serving

    async def prepare(self) -> None:
        """Start the simulator and make the database; before the first `start`."""
        await self.simulator.start()
        await make_database(self._settings.database_url)

    async def start(self) -> None:
        """Start the next bot. It is up, but may still be connecting to the platform."""
        application = await self._recover()
        self._serving = asyncio.create_task(application.serve())

    async def _recover(self) -> Application:
        settings = with_simulator(self._settings, self.simulator.address, SecretStr(KEY))
        self._application = Application(settings, self.clock, self.told.append)
        await self._application.start([self._make])
        return self._application

    async def stop(self) -> None:
        """Shut the bot down as a signal does: every session is closed first."""
        application, self._application = self._application, None
        if application is None:
            return
        application.ask_to_stop()
        try:
            await self.serving
        finally:
            await application.stop()

    async def take_down(self) -> None:
        """Take down a bot that has given up."""
        application, self._application = self._application, None
        assert application is not None
        await application.stop()

    async def kill(self) -> None:
        """End the bot without a goodbye: no session is closed, no panel is drawn."""
        application, self._application = self._application, None
        if application is None:
            return
        await application.bot.sessions.abandon_all()
        await cancel_and_wait(self._serving)
        await application.stop()

    async def kill_recovering(self) -> None:
        """End the bot, and the next one as well, which has gone through the database, and has shown nothing yet."""
        await self.kill()
        await self._recover()
        await self.kill()

    async def close(self) -> None:
        """Stop everything."""
        try:
            await self.stop()
        finally:
            await self.simulator.stop()

    @property
    def spoken(self) -> list[str]:
        """What the avatars have said to the end, in order, greetings left out."""
        texts = [text for view in self.simulator.streams() for text in view.spoken if text.state == "spoken"]
        return [text.asked.strip() for text in texts if text.asked.strip() != self._settings.avatar.greeting]

    @property
    def views(self) -> list[SessionView]:
        """What may be shown of the sessions that run."""
        return [] if self._application is None else [one.view() for one in self._application.bot.sessions]

    @property
    def open_streams(self) -> int:
        """Streams that cost money now."""
        return sum(view.ended is None for view in self.simulator.streams())

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true. Raises what the bot failed with, where it did."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                if self._serving is not None and self._serving.done():
                    self._serving.result()
                await asyncio.sleep(0.01)


def settings_with(environment: dict[str, str]) -> Settings:
    """The settings of a bot whose environment is this and nothing else. Where not said otherwise it speaks to nobody,
    too, and keeps its streams: most scenarios are about neither."""
    base = {
        "AVATAR_PROVIDER": "heygen-realtime",
        "SESSION_NEEDS_VIEWER": "never",
        "STREAM_LINGER": "3600",
        "WEB_PORT": "0",
        "LOG_LEVEL": "error",
    }
    with patch.dict(os.environ, {**base, **environment}, clear=True):
        return load(None)
