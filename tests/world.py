"""A whole bot in one process for tests: real core, real store, real provider client, real simulator over real HTTP,
and a clock that only the test moves. Nothing of ours is faked but the chat platform, which is a list."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from adapters.answers.openai_compatible import OpenAICompatible
from adapters.avatars.heygen_realtime import HeyGenRealtime
from adapters.avatars.heygen_streaming import HeyGenStreaming
from adapters.avatars.simulator import Simulator, SimulatorOptions, StreamView
from bot.bulletin import Bulletin
from bot.catalogue import Catalogue
from bot.commands import Asked, Commands
from bot.errors import Refused
from bot.grammar import ADMIN, AVATAR, parse
from bot.house import House
from bot.model import Actor, Channel, Notice, Reply, Role, SessionEvent, UtteranceChanged, UtteranceState
from bot.permissions import Permissions
from bot.policy import SessionPolicy
from bot.relay import Message, Receipt, Relay
from bot.running import RunningSession
from bot.sessions import Recovery, Sessions
from bot.settings import Relay as RelayRule
from bot.store import schema
from bot.store.store import Store
from bot.streams import StreamCloser
from tests.clock import ManualClock

CHANNEL = Channel("test", "workspace", "general")
ANA = Actor("test", "ana", "Ana")
ADA = Actor("test", "ada", "Ada", role=Role.ADMIN)
KEY = SecretStr("simulator")
PROVIDERS = ("heygen-realtime", "heygen-streaming")
PATIENCE = 10.0
"""Seconds of real time that a condition may take to come true over real sockets; only a failing test waits so long."""


class Links:
    """Watch links without a web server."""

    def url(self, link_nonce: str) -> str | None:
        return f"https://watch.test/w/{link_nonce}"


class World:
    """One bot and one simulator. `crash` ends the bot without a goodbye, `boot` starts the next one on the same
    database."""

    def __init__(
        self,
        folder: Path,
        provider: str = "heygen-realtime",
        *,
        policy: SessionPolicy | None = None,
        options: SimulatorOptions | None = None,
        chat_model: bool = True,
        user_rate: int = 0,
        rule: RelayRule = RelayRule.MENTIONS,
        api_key: SecretStr = KEY,
        url: str | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.url = url or f"sqlite:///{folder / 'world.sqlite3'}"
        self.simulator = Simulator(options or SimulatorOptions(auto_viewer=True), self.clock)
        self.events: list[SessionEvent] = []
        self._provider_name = provider
        self._policy = policy or SessionPolicy()
        self._with_chat_model = chat_model
        self._user_rate = user_rate
        self._rule = rule
        self._api_key = api_key
        self._bot = AsyncExitStack()
        self._watching: asyncio.Task[None] | None = None
        self.store: Store
        self.sessions: Sessions
        self.relay: Relay
        self.commands: Commands
        self.recovery = Recovery()

    async def __aenter__(self) -> Self:
        await self.simulator.start()
        await schema.upgrade(self.url)
        await self.boot()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.crash()
        await self.simulator.stop()

    async def boot(self) -> None:
        """Start a bot on the database as it is."""
        self.store = await self._bot.enter_async_context(await Store.open(self.url, self.clock))
        make = {"heygen-realtime": HeyGenRealtime, "heygen-streaming": HeyGenStreaming}[self._provider_name]
        provider = await self._bot.enter_async_context(make(self._api_key, self.simulator.address, self.clock))
        model = None
        if self._with_chat_model:
            model = OpenAICompatible(KEY, f"{self.simulator.address}/v1", "simulator", self.clock)
            await self._bot.enter_async_context(model)
        bulletin = Bulletin()
        self._watching = asyncio.create_task(self._watch(bulletin))
        closer = StreamCloser(provider, self.store, self.clock)
        self._bot.push_async_callback(closer.stop)
        house = House(
            provider,
            model,
            self.store,
            closer,
            bulletin,
            Links(),
            self.clock,
            self._policy,
            Catalogue(provider, self.clock),
        )
        self.sessions = Sessions(house)
        self._bot.push_async_callback(self.sessions.leave)
        permissions = Permissions(())
        self.relay = Relay(self.sessions, permissions, self.clock, rule=self._rule, user_rate=self._user_rate)
        self.commands = Commands(self.sessions, self.relay, permissions, closer)
        self.recovery = await self.sessions.recover()

    async def crash(self) -> None:
        """End the bot at once: no session is closed, no row is settled."""
        await self._bot.aclose()
        self._bot = AsyncExitStack()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    async def _watch(self, bulletin: Bulletin) -> None:
        with bulletin.follow(backlog=100_000) as following:
            async for event in following:
                self.events.append(event)

    # --- people ------------------------------------------------------------------------------------------------------

    async def type(self, line: str, actor: Actor = ANA, channel: Channel = CHANNEL) -> Reply:
        """Type a command such as `/avatar start`."""
        group, _, rest = line.removeprefix("/").partition(" ")
        assert group in (AVATAR, ADMIN)
        try:
            command = parse(rest, self.commands.usages, group)
        except Refused as refusal:
            return Reply(str(refusal))
        return await self.commands.run(Asked(command, channel, actor))

    async def write(
        self,
        text: str,
        actor: Actor = ANA,
        channel: Channel = CHANNEL,
        *,
        key: str | None = None,
        addressed: bool = True,
    ) -> Receipt:
        """Write a chat message."""
        keys = () if key is None else (key,)
        return await self.relay.receive(Message(channel, actor, text, keys=keys, addressed=addressed))

    async def start(self, line: str = "/avatar start", channel: Channel = CHANNEL) -> RunningSession:
        """Start an avatar and wait until it is live and has said its greeting."""
        await self.type(line, channel=channel)
        running = self.sessions.in_channel(channel)
        assert running is not None
        await self.until(lambda: running.is_live and running.quiet.is_set())
        return running

    # --- time --------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], *, step: float = 0.1) -> None:
        """Move the clock in small steps until something is true; sockets get real time at every step."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never came true; notices: {self.notices}"
            await self.clock.advance(step)
            await self.rest()

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, with room for sockets after every step."""
        target = self.clock.monotonic() + seconds
        while (left := target - self.clock.monotonic()) > 1e-9:
            await self.clock.advance(min(step, left))
            await self.rest()

    @staticmethod
    async def rest(rounds: int = 4) -> None:
        """Give sockets and the database thread a little real time."""
        for _ in range(rounds):
            await asyncio.sleep(0.001)

    # --- looking -----------------------------------------------------------------------------------------------------

    @property
    def notices(self) -> list[str]:
        """What the channels were told, in order."""
        return [event.reply.text for event in self.events if isinstance(event, Notice)]

    def states(self, text: str) -> list[UtteranceState]:
        """The states a message went through."""
        changes = [event.utterance for event in self.events if isinstance(event, UtteranceChanged)]
        return [utterance.state for utterance in changes if utterance.text == text]

    def ended_as(self, text: str, state: UtteranceState) -> bool:
        return self.states(text)[-1:] == [state]

    @property
    def spoken(self) -> list[str]:
        """Every text the simulated avatars have said to the end, oldest stream first, without greetings."""
        said = [
            text.asked.strip() for view in self.simulator.streams() for text in view.spoken if text.state == "spoken"
        ]
        return [text for text in said if text != self._policy.greeting]

    @property
    def open_streams(self) -> list[StreamView]:
        """The streams that cost money now."""
        return [view for view in self.simulator.streams() if view.ended is None]


def with_policy(**changes: object) -> SessionPolicy:
    """The default policy with some things changed."""
    return replace(SessionPolicy(), **changes)  # type: ignore[arg-type] - the fields are checked by the dataclass
