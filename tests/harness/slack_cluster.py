"""Several bots in this process that share a PostgreSQL database, a local Slack and an avatar service: the real
composition roots, each with a web server and sockets to Slack of its own. Slack sends to any of them."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from adapters.chat.slack.adapter import SlackAdapter
from adapters.chat.slack.manifest import manifest_of
from adapters.simulator import Simulator, SimulatorOptions
from adapters.web import WebServer
from bot.app import Application
from bot.core.clock import SystemClock
from bot.plugins import with_simulator
from bot.settings import Settings
from bot.store import migrate
from tests.fakes.slack import Channel, Ephemeral, FakeSlack, Interaction, Message, Timing
from tests.platforms.platform_driver import ADA, ANA, BEN, PATIENT
from tests.platforms.running_bot import KEY, settings_with
from tests.platforms.slack import is_panel, text_of

SPEED = 2.0
"""Seconds of the bots' world in one second. More would take a machine that is busy for a moment for a dead one."""

PATIENCE = 40.0
"""Seconds of real time that something may take to come true; only a failing test waits so long."""


def _web_server(*arguments: Any, **named: Any) -> WebServer:
    return WebServer(*arguments, **(named | {"registry": CollectorRegistry()}))


class ClusterBot:
    """One of the bots."""

    def __init__(self, settings: Settings, clock: SystemClock) -> None:
        self.told: list[str] = []
        self.application = Application(settings, clock, self.told.append)
        self.serving: asyncio.Task[None]

    async def start(self) -> None:
        # The metrics of a process are there once.
        with patch("bot.app.WebServer", _web_server):
            await self.application.start([SlackAdapter])
        self.serving = asyncio.create_task(self.application.serve())

    @property
    def adapter(self) -> Any:
        return self.application._adapters[0]

    @property
    def process(self) -> str:
        return self.application._membership.process.id

    @property
    def channels(self) -> set[str]:
        """The channels whose sessions are here."""
        return {running.session.channel.id for running in self.application.bot.sessions}

    @property
    def address(self) -> str:
        """Where its own web server listens."""
        line = next(line for line in self.told if line.startswith("Web:"))
        return line.rsplit(" ", 1)[1].rstrip(".")

    async def stop(self) -> None:
        """Shut down as a signal does."""
        self.application.ask_to_stop()
        try:
            await self.serving
        finally:
            await self.application.stop()

    async def die(self) -> None:
        """End without a goodbye: its row stays, so the others have to see that it beats no more."""

        async def stays(_process_id: str) -> None:
            pass

        self.application._membership._rows.leave = stays  # type: ignore[method-assign,assignment]
        await self.application.bot.sessions.abandon_all()
        self.serving.cancel()
        await asyncio.wait([self.serving])
        await self.application.stop()


class SlackCluster:
    """As an async context manager: the bots are up and hear Slack."""

    def __init__(
        self, url: str, *, bots: int = 2, http: bool = False, environment: dict[str, str] | None = None
    ) -> None:
        """`url` is a database without tables. `http`: signed requests, which a balancer hands out, instead of sockets.
        `environment`: further variables of the bots."""
        self.clock = SystemClock(SPEED)
        self.simulator = Simulator(
            SimulatorOptions(api_key=SecretStr(KEY), auto_viewer=True, v3_concurrency=100), self.clock
        )
        self.twin = FakeSlack(timing=Timing(ack=PATIENT, trigger=PATIENT))
        self.bots: list[ClusterBot] = []
        self.url = url
        self._number, self._http, self._environment = bots, http, environment or {}
        self._stack = AsyncExitStack()
        self._choice = random.Random(19)
        self.twin.socket.choose = self._choice.choice

    async def __aenter__(self) -> Self:
        await self.simulator.start()
        self._stack.push_async_callback(self.simulator.stop)
        await migrate.upgrade(self.url)
        twin = await self._stack.enter_async_context(self.twin)
        self.people = {name: twin.add_user(name, is_admin=name == ADA) for name in (ANA, BEN, ADA)}
        self.channel = self.add_channel("general")
        way_in = {"SLACK_SIGNING_SECRET": twin.signing_secret} if self._http else {"SLACK_APP_TOKEN": twin.app_token}
        settings = settings_with(
            {
                "SLACK_BOT_TOKEN": twin.bot_token,
                "SLACK_API_URL": twin.api_url,
                "WEB_PUBLIC_URL": "https://watch.example.com",
                "WEB_SECRET": "0123456789abcdef" * 2,
                **way_in,
                **self._environment,
            }
        )
        twin.configure(manifest_of(settings))
        settings = settings.model_copy(update={"database_url": self.url})
        self._settings = with_simulator(settings, self.simulator.address, SecretStr(KEY))
        for _ in range(self._number):
            await self.add_bot()
        if self._http:
            await self._begin_to_balance()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for bot in self.bots:
                await bot.stop()
            if error is None:
                self.twin.check()
        finally:
            await self._stack.aclose()

    async def add_bot(self, *, hears: bool = True) -> ClusterBot:
        """One more bot, which hears Slack, or not with all it has."""
        bot = ClusterBot(self._settings, self.clock)
        await bot.start()
        self.bots.append(bot)
        if hears:
            await self.until(lambda: bot.adapter.unhealthy_reason is None)
        await self.until(
            lambda: all(len(one.application._membership.others) == len(self.bots) - 1 for one in self.bots)
        )
        return bot

    async def kill(self, bot: ClusterBot) -> None:
        """One of the bots dies."""
        self.bots.remove(bot)
        sockets = len(self.twin.connections)
        await bot.die()
        if not self._http:
            await self.twin.until(lambda: len(self.twin.connections) < sockets)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true. Raises what a bot failed with, where one did."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                for bot in self.bots:
                    if bot.serving.done():
                        bot.serving.result()
                await asyncio.sleep(0.01)

    # --- a balancer --------------------------------------------------------------------------------------------------

    async def _begin_to_balance(self) -> None:
        self._client = await self._stack.enter_async_context(aiohttp.ClientSession())
        app = web.Application()
        app.router.add_post("/slack/events", self._hand_out)
        runner = web.AppRunner(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.twin.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"

    async def _hand_out(self, request: web.Request) -> web.Response:
        bot = self._choice.choice(self.bots)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with self._client.post(
            f"{bot.address}/slack/events", data=await request.read(), headers=headers
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() == "content-type"}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    # --- what people do ----------------------------------------------------------------------------------------------

    def add_channel(self, name: str) -> Channel:
        """A channel with everybody in it, and the app."""
        return self.twin.add_channel(name, self.people.values())

    async def type(self, line: str, *, channel: Channel | None = None, by: str = ANA) -> Interaction:
        """Type a slash command."""
        word, _, text = line.partition(" ")
        return await self.twin.slash(channel or self.channel, self.people[by], word, text)

    async def command(self, line: str, *, channel: Channel | None = None, by: str = ANA) -> str:
        """Type a slash command, and read the answer."""
        return await self.answer(await self.type(line, channel=channel, by=by))

    async def answer(self, interaction: Interaction) -> str:
        """What the person reads who typed or pressed."""
        await interaction.acknowledged()
        await self.until(lambda: interaction.replies)
        return text_of(interaction.replies[0])

    async def mention(self, text: str, *, channel: Channel | None = None, by: str = ANA) -> Message:
        """Write a message that mentions the app."""
        return await self.twin.write(channel or self.channel, self.people[by], f"@{self.twin.bot.name} {text}")

    # --- what there is -----------------------------------------------------------------------------------------------

    def owner_of(self, channel: Channel | None = None) -> ClusterBot:
        """The one bot whose session a channel has."""
        (owner,) = [bot for bot in self.bots if (channel or self.channel).id in bot.channels]
        return owner

    def other(self, bot: ClusterBot) -> ClusterBot:
        """The bot that is not this one, of two."""
        (other,) = [one for one in self.bots if one is not bot]
        return other

    @property
    def spoken(self) -> Counter[str]:
        """How often each text was given to the avatars, greetings left out."""
        texts = [text.asked.strip() for view in self.simulator.streams() for text in view.spoken]
        return Counter(text for text in texts if text != self._settings.avatar.greeting)

    @property
    def open_streams(self) -> int:
        """Streams that cost money now."""
        return sum(view.ended is None for view in self.simulator.streams())

    def panels(self, channel: Channel | None = None) -> list[Message]:
        """The panels in a channel."""
        return [message for message in self.twin.messages(channel or self.channel) if is_panel(message)]

    def reads(self, fragment: str, *, channel: Channel | None = None) -> bool:
        """Whether some message in the channel, or one that a person alone sees, says it."""
        place = channel or self.channel
        private = [one for person in self.people.values() for one in self.twin.ephemerals(place, person)]
        seen: list[Message | Ephemeral] = [*self.twin.messages(place), *private]
        return any(fragment in text_of(one) for one in seen)
