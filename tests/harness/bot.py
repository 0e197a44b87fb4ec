"""A whole bot in one process for tests: real core, real store, real provider client, real simulator over real HTTP,
and a clock that only the test moves. Nothing of ours is faked but the chat platform, which is a list.

Time and sockets take turns: whenever the clock has moved, everything that can happen at that moment happens before it
moves on (`tests.harness.settle`), so that a test runs the same way each time. What nobody may leave behind (a task, a
failed task, an unexpected error) is looked for at the end of every `BotHarness`.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import sqlalchemy as sa
import stamina
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from adapters.avatars.heygen_realtime.provider import HeyGenRealtime
from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from adapters.avatars.liveavatar.provider import LiveAvatar
from adapters.llm.openai_compatible import OpenAICompatible
from adapters.media.relay import RelayFactory
from adapters.simulator import Simulator, SimulatorOptions, SpokenText, StreamView
from adapters.simulator.liveavatar.catalogue import DEMO_CONTEXT
from bot.access.permissions import AccessLists
from bot.access.quotas import Limits
from bot.cluster.claims import Recovery
from bot.commands.parser import ADMIN, AVATAR, CommandContext, parse
from bot.commands.router import CommandRouter
from bot.core.audience import Audiences, Presence
from bot.core.errors import Refused, StoreUnavailable, Transient
from bot.core.events import EventBus, LeftUnsaid, Notice, SessionEvent, UtteranceChanged
from bot.core.models import Actor, Channel, Role, UtteranceState
from bot.core.pictures import PictureSources
from bot.core.policy import SessionPolicy
from bot.core.tasks import cancel_and_wait
from bot.core.views import Reply
from bot.relay import Message, Receipt, Relay
from bot.sessions.registry import SessionRegistry
from bot.sessions.session import AvatarSession
from bot.settings import HeyGenStreamingOptions, LiveAvatarOptions, RelayMode
from bot.store.connections import Begin
from bot.store.store import Store
from bot.store.writer import MAX_DELAY
from bot.wiring import CoreOptions, build_core
from tests.builders import an_actor
from tests.harness.blank_database import make_database
from tests.harness.clock import ManualClock
from tests.harness.settle import wait_loop_idle, watch_work_elsewhere

CHANNEL = Channel("test", "workspace", "general")
ANA = an_actor("Ana")
ADA = an_actor("Ada", role=Role.ADMIN, is_operator=True)
KEY = SecretStr("key-that-nobody-may-read-0123456789")
PROVIDERS = ("heygen-realtime", "heygen-streaming", "liveavatar")
PATIENCE = 10.0
"""Seconds of real time that a condition may take to come true over real sockets; only a failing test waits so long."""


NO_WORD_YET = 0.6
"""Seconds into a text in which its first word is not out yet, so that nobody, and no provider, can know that it
began."""

MISTAKES = ("task failed", "unexpected error")
"""What the log must never say in a test."""


class CrashInjector:
    """Lets one bot crash. From then on nothing the bot does takes effect any more: its writes are not written and its
    requests not sent, as if the process had been killed in that instant.

    instants: how many have passed: one before and one after every write and every request.
    """

    def __init__(self, crash_at: int | None) -> None:
        """`crash_at`: at which instant it crashes by itself."""
        self.instants = 0
        self.has_crashed = False
        self.gone = asyncio.Event()
        self._crash_at = crash_at
        self._stuck: dict[asyncio.Future[None], Exception] = {}

    def crash_in(self, instants: int) -> None:
        """Let the bot crash so many instants from now."""
        self._crash_at = self.instants + instants

    def guard(self, effect: Callable[..., Awaitable[Any]], ending: Exception) -> Callable[..., Awaitable[Any]]:
        """`effect`, until the crash. `ending` is what a caller gets who still waits when the bot is released."""

        async def guarded(*arguments: Any) -> Any:
            await self.instant(ending)
            result = await effect(*arguments)
            await self.instant(ending)
            return result

        return guarded

    async def instant(self, ending: Exception) -> None:
        """The bot may crash here. `ending` is as in `guard`."""
        self.instants += 1
        self.has_crashed = self.has_crashed or self.instants == self._crash_at
        if self.has_crashed:
            self.gone.set()
            stuck = asyncio.get_running_loop().create_future()
            self._stuck[stuck] = ending
            await stuck

    def release(self) -> None:
        """Let go of everybody who was waiting when the bot crashed."""
        stuck, self._stuck = self._stuck, {}
        for future, ending in stuck.items():
            if not future.done():
                future.set_exception(type(ending)(*ending.args, **vars(ending)))


class Links:
    """Watch links without a web server."""

    def url(self, link_nonce: str) -> str | None:
        return f"https://watch.test/w/{link_nonce}"


class BotHarness:
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
        rule: RelayMode = RelayMode.MENTIONS,
        api_key: SecretStr = KEY,
        url: str | None = None,
        jobs: bool = False,
        access: AccessLists | None = None,
        limits: Limits | None = None,
        user_characters: int = 0,
        provider_options: LiveAvatarOptions | HeyGenStreamingOptions | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.url = url or f"sqlite:///{folder / 'world.sqlite3'}"
        self.simulator = Simulator(options or simulated(), self.clock)
        self.events: list[SessionEvent] = []
        self.provider_name = provider
        self._policy = policy or SessionPolicy()
        self._with_chat_model = chat_model
        self.chat_url = ""
        """The chat API, where it is another one than the simulator's. Before the bot boots."""
        self._user_rate = user_rate
        self._rule = rule
        self._api_key = api_key
        self._with_jobs = jobs
        self._access = access or AccessLists()
        self._limits = limits or Limits()
        self._user_characters = user_characters
        self._provider_options = provider_options
        self._around = AsyncExitStack()
        self._bot = AsyncExitStack()
        self._watching: asyncio.Task[None] | None = None
        self.log: list[Any] = []
        self.is_shown = True
        """Whether people can read what is told. Else it is on its way to them, until the bot ends."""
        self.unwritable: set[int] = set()
        """Which of the next writes fail, counted from 0."""
        self.unanswered: set[int] = set()
        """Which of the next writes are made, although the bot is told that they failed."""
        self.transactions = 0
        """How many writes there were."""
        self.crash_injector = CrashInjector(None)
        self.store: Store
        self.sessions: SessionRegistry
        self.relay: Relay
        self.commands: CommandRouter
        self.audiences: Audiences
        self.pictures: PictureSources
        self.recovery = Recovery()

    async def __aenter__(self) -> Self:
        watch_work_elsewhere()
        self._tasks_before = asyncio.all_tasks()
        asyncio.get_running_loop().set_exception_handler(self._note_mistake)
        self._around.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        self.log = self._around.enter_context(capture_logs())
        await self.simulator.start()
        await make_database(self.url)
        await self.boot()
        return self

    def _note_mistake(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.log.append({"event": f"unexpected error: {context}"})

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self.crash()
            await self.simulator.stop()
            await self.rest()
        finally:
            await self._around.aclose()
        if kind is None:
            others = self._tasks_before | {asyncio.current_task()}
            left = {task.get_name() for task in asyncio.all_tasks() - others}
            assert not left, f"these tasks were left behind: {left}"
            mistakes = [entry for entry in self.log if any(mistake in entry["event"] for mistake in MISTAKES)]
            assert not mistakes, mistakes

    async def boot(self, *, crash_at: int | None = None, after_absence: bool = True) -> None:
        """Start a bot on the database as it is. `crash_at`: it crashes at that instant (see `CrashInjector`).
        after_absence: as `bot.sessions.recovery.SessionRecovery.recover` has it."""
        self.crash_injector = CrashInjector(crash_at)
        self.store = await self._bot.enter_async_context(
            await Store.open(self.url, self.clock, wrap_begin=self._wrap_begin)
        )
        make: Any = {
            "heygen-realtime": HeyGenRealtime,
            "heygen-streaming": HeyGenStreaming,
            "liveavatar": partial(LiveAvatar, context_id=DEMO_CONTEXT),
        }[self.provider_name]
        chosen = {} if self._provider_options is None else {"options": self._provider_options}
        provider = await self._bot.enter_async_context(
            make(self._api_key, self.simulator.address, self.clock, **chosen)
        )
        self._put_crashes_between(provider)
        model = None
        if self._with_chat_model:
            model = OpenAICompatible(KEY, self.chat_url or f"{self.simulator.address}/v1", "simulator", self.clock)
            await self._bot.enter_async_context(model)
        options = CoreOptions(
            self._policy, self._access, self._limits, self._rule, self._user_rate, self._user_characters
        )
        relay = await self._bot.enter_async_context(RelayFactory(self.simulator.address, self.clock))
        core = await self._bot.enter_async_context(
            build_core(provider, model, self.store, Links(), self.clock, options, [relay])
        )
        self.sessions, self.relay, self.commands = core.sessions, core.relay, core.commands
        self.pictures, self.recover = core.pictures, core.recovery.recover
        self.audiences = core.services.audiences
        self._watching = asyncio.create_task(self._watch(core.services.event_bus))
        if self._with_jobs:
            self._bot.push_async_callback(cancel_and_wait, asyncio.create_task(core.jobs.run()))
        self.recovery = await self.recover(after_absence=after_absence)

    def _put_crashes_between(self, provider: Any) -> None:
        """Put what a crash cuts between the bot and the provider."""
        connection = provider._connection
        connection._send = self.crash_injector.guard(
            connection._send, Transient("the bot has crashed", may_have_taken_effect=False)
        )
        self._connection = connection

    def _wrap_begin(self, begin: Begin) -> Begin:
        """Put what a crash cuts, and what a full disk does, between the bot and its database."""
        injector, ending = self.crash_injector, StoreUnavailable("the bot has crashed")

        @asynccontextmanager
        async def wrapped() -> AsyncIterator[AsyncConnection]:
            await injector.instant(ending)
            self.transactions += 1
            fails, is_unanswered = 0 in self.unwritable, 0 in self.unanswered
            self.unwritable = {number - 1 for number in self.unwritable if number}
            self.unanswered = {number - 1 for number in self.unanswered if number}
            if fails:
                raise StoreUnavailable("the test's database cannot grow, its disk is full: free some space")
            async with begin() as connection:
                yield connection
            await injector.instant(ending)
            if is_unanswered:
                raise StoreUnavailable("the connection to the test's database was lost")

        return wrapped

    def lose_patience(self) -> None:
        """Let the provider's client wait half a second of the machine's time for an answer instead of 30."""
        self._connection.timeout = httpx.Timeout(0.5)

    async def crash(self) -> None:
        """End the bot in this instant: no session is closed, no row is settled."""
        self.crash_injector.has_crashed = True
        await cancel_and_wait(self._watching)
        self._watching = None
        bot, self._bot = self._bot, AsyncExitStack()
        ending = asyncio.create_task(bot.aclose())
        while not ending.done():
            self.crash_injector.release()
            await asyncio.sleep(0)
        await ending
        # The simulator notices that nobody is there any more.
        await self.rest()

    async def _watch(self, event_bus: EventBus) -> None:
        with event_bus.subscribe(backlog=100_000) as following:
            async for event in following:
                self.events.append(event)
                if self.is_shown and isinstance(event, UtteranceChanged | LeftUnsaid) and event.delivery is not None:
                    event.delivery.release()

    # --- people ------------------------------------------------------------------------------------------------------

    async def type(self, line: str, actor: Actor = ANA, channel: Channel = CHANNEL) -> Reply:
        """Type a command such as `/avatar start`."""
        group, _, rest = line.removeprefix("/").partition(" ")
        assert group in (AVATAR, ADMIN)
        try:
            command = parse(rest, self.commands.usages, group)
        except Refused as refusal:
            return Reply(str(refusal))
        reply = await self.commands.run(CommandContext(command, channel, actor))
        assert reply is not None
        return reply

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

    async def start(self, line: str = "/avatar start", channel: Channel = CHANNEL) -> AvatarSession:
        """Start an avatar and wait until it is live and has said its greeting."""
        await self.type(line, channel=channel)
        running = self.sessions.in_channel(channel)
        assert running is not None
        await self.until(lambda: running.is_live and running.idle.is_set())
        return running

    def viewer(self, running: AvatarSession) -> AbstractContextManager[Presence]:
        """Somebody who watches, until the block is left."""
        return self.audiences.of(running.session.id).join()

    # --- time --------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], *, step: float = 0.1) -> None:
        """Move the clock in small steps until something is true."""
        deadline = time.monotonic() + PATIENCE
        await self.rest()
        while not condition():
            assert time.monotonic() < deadline, f"never came true; notices: {self.notices}"
            await self.pass_time(step)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass; whatever is due happens at its moment."""
        target = self.clock.monotonic() + seconds
        await self.rest()
        while (due := self._next_due()) is not None and due <= target:
            await self._move_to(due)
        await self._move_to(target)

    def _next_due(self) -> float | None:
        return next(iter(self.clock.due), None)

    async def _move_to(self, moment: float) -> None:
        now = self.clock.monotonic()
        seconds = max(0.0, moment - now)
        while now + seconds < moment:
            seconds = math.nextafter(seconds, math.inf)
        await self.clock.advance(seconds)
        await self.rest()

    @staticmethod
    async def rest() -> None:
        """Let everything happen that can happen at this moment."""
        await wait_loop_idle()

    async def wait_for_timeouts(self, condition: Callable[[], object]) -> None:
        """Wait, with the clock standing still, until a real timeout of a network library has made something true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never came true; notices: {self.notices}"
            await asyncio.sleep(0.005)

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
    def running(self) -> AvatarSession | None:
        """The open session of the channel."""
        return self.sessions.in_channel(CHANNEL)

    @property
    def heard(self) -> list[str]:
        """Every text that was heard, at least in part, oldest stream first, without greetings."""
        return [text for text in self._audible if text != self._policy.greeting]

    @property
    def greetings(self) -> int:
        """How often a greeting was heard."""
        return self._audible.count(self._policy.greeting)

    @property
    def _audible(self) -> list[str]:
        return [text.asked.strip() for view in self.simulator.streams() for text in view.spoken if was_heard(text)]

    async def rows(self, table: sa.Table) -> list[sa.Row[Any]]:
        """Every row of a table, in the order of its first column, once what rides along is written."""
        await self.pass_time(MAX_DELAY)
        query = sa.select(table).order_by(*table.primary_key)
        return list(await self.store._connections.read(lambda connection: connection.execute(query).all()))

    @property
    def open_streams(self) -> list[StreamView]:
        """The streams that cost money now."""
        return [view for view in self.simulator.streams() if view.ended is None]


def simulated(**changes: Any) -> SimulatorOptions:
    """The simulator as `BotHarness` has it, with some things changed."""
    return replace(SimulatorOptions(api_key=KEY, auto_viewer=True), **changes)


def was_heard(text: SpokenText) -> bool:
    """Whether a word of it is out."""
    lasted = (text.ends_at or 0.0) - (text.starts_at or 0.0)
    return text.state in ("speaking", "spoken") or (text.state == "interrupted" and lasted > NO_WORD_YET)


def with_policy(**changes: Any) -> SessionPolicy:
    """The default policy with some things changed."""
    return replace(SessionPolicy(), **changes)
