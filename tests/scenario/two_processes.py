"""Two whole programs on one PostgreSQL database, in one process of the machine: each with its own web server, bus and
members' row, both over one simulator. Whoever dies here closes nothing and says nothing to anybody."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import aiohttp
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from adapters.simulator import Simulator, SimulatorOptions
from bot.app import Application
from bot.commands.parser import ADMIN, AVATAR, CommandContext, parse
from bot.core.clock import SystemClock
from bot.core.models import Actor, Channel, Role
from bot.core.ports import Clock
from bot.core.tasks import cancel_and_wait
from bot.core.views import Reply
from bot.plugins import with_simulator
from bot.relay import Message, Receipt
from bot.sessions.session import AvatarSession
from bot.telemetry import metrics
from tests.builders import an_actor
from tests.harness.livekit import LiveKitServer
from tests.harness.watchers import PUBLIC_URL, SECRET
from tests.platforms.running_bot import settings_with

KEY = "key-that-nobody-may-read-0123456789"
GENERAL = Channel("test", "workspace", "general")
ANA = an_actor("Ana")
ADA = an_actor("Ada", role=Role.ADMIN, is_operator=True)
PATIENCE = 30.0
"""Seconds that something may take to come true: a takeover is one of them."""


class ProgramHere:
    """One of them."""

    def __init__(self, environment: dict[str, str], simulator: Simulator, clock: Clock) -> None:
        self.told: list[str] = []
        settings = with_simulator(settings_with(environment), simulator.address, SecretStr(KEY))
        self.application = Application(settings, clock, self.told.append)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        # Of the machine's process there is one registry of metrics, and no two servers count under one name.
        with patch.object(metrics, "registry", CollectorRegistry()):
            await self.application.start([])
        self._serving = asyncio.create_task(self.application.serve())

    async def stop(self) -> None:
        """Shut down as a signal does."""
        if self._serving is None:
            return
        self.application.ask_to_stop()
        serving, self._serving = self._serving, None
        try:
            await serving
        finally:
            await self.application.stop()

    async def die(self) -> None:
        """End without a goodbye: no session is closed. Its row goes at once, so that the others need not look."""
        serving, self._serving = self._serving, None
        await self.application.bot.sessions.abandon_all()
        await cancel_and_wait(serving)
        await self.application.stop()

    @property
    def process(self) -> str:
        return self.application.bot.cluster.bus.process

    @property
    def address(self) -> str:
        """Where its pages are."""
        for line in self.told:
            if (found := re.search(r"served at (http://\S+?)\.?$", line)) is not None:
                return found[1]
        raise AssertionError(self.told)

    def page_of(self, session: AvatarSession) -> str:
        """The page of a session of whichever process, at this one."""
        link = session.view().watch_url
        assert link is not None
        assert link.startswith(PUBLIC_URL)
        return self.address + link.removeprefix(PUBLIC_URL)

    def session_in(self, channel: Channel = GENERAL) -> AvatarSession:
        running = self.application.bot.sessions.in_channel(channel)
        assert running is not None
        return running

    async def type(self, line: str, actor: Actor = ANA, channel: Channel = GENERAL) -> Reply:
        group, _, rest = line.removeprefix("/").partition(" ")
        assert group in (AVATAR, ADMIN)
        commands = self.application.bot.commands
        reply = await commands.run(CommandContext(parse(rest, commands.usages, group), channel, actor))
        assert reply is not None
        return reply

    async def write(self, text: str, actor: Actor = ANA, channel: Channel = GENERAL) -> Receipt:
        return await self.application.bot.relay.receive(Message(channel, actor, text))


class TwoPrograms:
    """Both, and the simulator."""

    def __init__(self, url: str, livekit: LiveKitServer | None = None, **environment: str) -> None:
        self.clock = SystemClock()
        options = SimulatorOptions(api_key=SecretStr(KEY), auto_viewer=True)
        if livekit is not None:
            options = options.with_livekit(livekit.url, livekit.api_key, SecretStr(livekit.api_secret))
        self.simulator = Simulator(options, self.clock)
        shared = {
            "DATABASE_URL": url,
            "WEB_PUBLIC_URL": PUBLIC_URL,
            "WEB_SECRET": SECRET.get_secret_value(),
            "SHUTDOWN": "close",
        }
        self._environment = shared | environment
        self.first: ProgramHere
        self.second: ProgramHere
        self._programs: list[ProgramHere] = []

    async def __aenter__(self) -> Self:
        await self.simulator.start()
        self.first, self.second = await self.one_more(), await self.one_more()
        await until(lambda: all(not each.application.bot.cluster.directory.is_alone for each in self._programs))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._programs:
            await program.stop()
        await self.simulator.stop()

    async def one_more(self) -> ProgramHere:
        program = ProgramHere(self._environment, self.simulator, self.clock)
        self._programs.append(program)
        await program.start()
        return program

    @property
    def said(self) -> list[str]:
        """What the avatars have said to the end."""
        texts = [text for view in self.simulator.streams() for text in view.spoken if text.state == "spoken"]
        return [text.asked.strip() for text in texts]

    @property
    def open_streams(self) -> int:
        return sum(view.ended is None for view in self.simulator.streams())


class WatchPage:
    """A page that is open. heard: what it was told, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    @classmethod
    async def open(cls, client: aiohttp.ClientSession, page: str) -> Self:
        return cls(await client.ws_connect(f"{page}/live", origin=PUBLIC_URL))

    async def say(self, **message: object) -> None:
        await self.socket.send_str(json.dumps(message))

    async def next(self, *kinds: str, **fields: object) -> dict[str, Any]:
        """The next message of one of the kinds, with these fields."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = await self.socket.receive()
                assert frame.type is aiohttp.WSMsgType.TEXT, (frame, self.heard)
                message: dict[str, Any] = json.loads(frame.data)
                self.heard.append(message)
                if message["type"] in kinds and all(message[name] == value for name, value in fields.items()):
                    return message

    async def end(self) -> int | None:
        """Read to the end, and return the code it was closed with."""
        async with asyncio.timeout(PATIENCE):
            while (frame := await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                self.heard.append(json.loads(frame.data))
        return self.socket.close_code

    @property
    def words(self) -> Sequence[str]:
        """The captions so far."""
        return [word["text"] for message in self.heard if message["type"] == "words" for word in message["words"]]


async def until(condition: Callable[[], object], *, within: float = PATIENCE) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - whatever brings it about is no business of the test
            await asyncio.sleep(0.02)
