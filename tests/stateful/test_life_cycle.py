"""Anything people, providers, networks and crashes can do to sessions, in any order, with the rules of the house
checked after every step (rules 1, 2, 4, 5 and 7).

The whole bot is in this process with a clock that only the test moves, so that a step may end between two instants, and
what was found is found again; `test_program.py` does the like with the real program.

`--hypothesis-profile=thorough` looks for longer.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from adapters.simulator import Simulator
from bot.core.errors import Refused
from bot.core.models import Channel, SessionState, StreamState, UtteranceState
from bot.core.tasks import cancel_and_wait
from bot.relay import Message
from bot.sessions.session import AvatarSession
from bot.store import tables
from bot.streams.streams import CLOSE_PATIENCE
from tests import options
from tests.harness.bot import ADA, ANA, BotHarness, simulated, was_heard, with_policy
from tests.harness.clock import ClockElsewhere
from tests.harness.simulator_faults import FAULTS

pytestmark = pytest.mark.slow

CHANNELS = tuple(Channel("test", "workspace", name) for name in ("general", "random"))
# The id of a stream ends in a digit or in a to f, "words" does not.
CALLS = {
    "heygen-streaming": (
        ("POST", "/v1/streaming.new"),
        ("POST", "/v1/streaming.start"),
        ("POST", "/v1/streaming.task"),
        ("POST", "/v1/streaming.interrupt"),
        ("POST", "/v1/streaming.stop"),
    ),
    "heygen-realtime": (
        ("POST", "/v3/avatar-realtime"),
        ("GET", "/v3/avatar-realtime/*[0-9a-f]"),
        ("GET", "/v3/avatar-realtime/*/words"),
        ("POST", "/v3/avatar-realtime/*/text"),
        ("POST", "/v3/avatar-realtime/*/cancel"),
    ),
    "liveavatar": (
        ("POST", "/v1/sessions/token"),
        ("POST", "/v1/sessions/start"),
        ("POST", "/v1/sessions/stop"),
        ("POST", "/v1/sessions/keep-alive"),
        ("GET", "/v1/sessions"),
    ),
}
COMMANDS = (
    "stop", "interrupt", "skip", "clear", "status", "queue", "mode repeat", "ask where are we?", "keep",
    "idle 20", "idle 300", "wake",
)  # fmt: skip
ADMIN_COMMANDS = ("sessions", "cleanup", "stop-all", "usage", "limits", "block ana", "unblock ana")
THOROUGH = options.is_thorough()
BOUNDS = settings(
    max_examples=300 if THOROUGH else 16,
    stateful_step_count=60 if THOROUGH else 22,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONGER_THAN_ANY_STREAM = 700.0
"""Seconds after which a stream nobody closed has ended at the provider by itself: its idle limit, and v1's 600 s."""

T = TypeVar("T")
channels = st.sampled_from(CHANNELS)


@dataclass
class Page:
    """A watch page, and the session that it is connected to."""

    running: AvatarSession
    places: ExitStack = field(default_factory=ExitStack)


class LifeCycle(RuleBasedStateMachine):
    """One bot on one provider, two channels, each with a page that is open or not."""

    provider = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.world: BotHarness
        self.pages: dict[Channel, Page] = {}
        self.watched: set[Channel] = set()
        self.streams_of: Counter[str] = Counter()
        self.step_began = 0.0
        self.written = 0
        self.edited = 0
        self.final: dict[str, UtteranceState] = {}

    @initialize(needs_viewer=st.booleans(), linger=st.sampled_from([None, 0.0, 10.0]))
    def begin(self, needs_viewer: bool, linger: float | None) -> None:
        policy = with_policy(needs_viewer=needs_viewer, stream_linger=linger, queue_max_age=100.0)
        self.world = BotHarness(Path(self.folder.name), self.provider, policy=policy)
        # The service does not notice when somebody sets the clock of the bot's machine.
        self.world.simulator = Simulator(simulated(), ClockElsewhere(self.world.clock))
        self.do(self.world.__aenter__())
        for channel in CHANNELS:
            self.start(channel)
        self.wait(10.0)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def settle(self, work: Coroutine[Any, Any, T]) -> T:
        result = await work
        await self.world.rest()
        return result

    # --- what people do ----------------------------------------------------------------------------------------------

    @rule(channel=channels)
    def start(self, channel: Channel) -> None:
        self.do(self.settle(self.world.type("/avatar start", channel=channel)))

    @rule(channel=channels, commands=st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=4))
    def command(self, channel: Channel, commands: list[str]) -> None:
        """Several commands come in quick succession: nothing happens between them but their answers."""

        async def give() -> None:
            for command in commands:
                await self.world.type(f"/avatar {command}", channel=channel)
            await self.world.rest()

        self.do(give())

    @rule(channel=channels, deliveries=st.integers(1, 3), length=st.integers(1, 12))
    def write(self, channel: Channel, deliveries: int, length: int) -> None:
        self.written += 1
        text = " ".join([f"message {self.written:04}", *["word"] * length])

        async def deliver() -> None:
            for _ in range(deliveries):
                try:
                    await self.world.relay.receive(
                        Message(
                            channel,
                            ANA,
                            text,
                            keys=(f"key {self.written}",),
                            message_id=f"{self.written}",
                            addressed=True,
                        )
                    )
                except Refused:
                    return
            await self.world.rest()

        self.do(deliver())

    @rule(channel=channels, back=st.integers(0, 3), deleted=st.booleans())
    def change(self, channel: Channel, back: int, deleted: bool) -> None:
        """One of the last messages is edited or deleted, wherever it stands by now."""
        number = max(1, self.written - back)
        self.edited += 1
        if deleted:
            work = self.world.relay.delete(channel, f"{number}")
        else:
            work = self.world.relay.edit(channel, f"{number}", f"message {number:04} edit {self.edited}", {})
        self.do(self.settle(work))

    @rule(command=st.sampled_from(ADMIN_COMMANDS), channel=channels)
    def administer(self, command: str, channel: Channel) -> None:
        async def give() -> None:
            giving = asyncio.create_task(self.world.type(f"/avatar-admin {command}", ADA, channel))
            # Some of them wait for the provider, and that for the clock.
            while not giving.done():
                await self.world.pass_time(1.0)
            await giving

        self.do(give())

    @rule(seconds=st.sampled_from([0.2, 1.0, 3.0, 10.0, 35.0]))
    def wait(self, seconds: float) -> None:
        self.do(self.world.pass_time(seconds))

    @rule(channel=channels)
    def come(self, channel: Channel) -> None:
        """Somebody opens the link of a channel, and keeps the page open over whatever happens to the bot."""
        self.watched.add(channel)
        self.do(self.load_pages())

    @rule(channel=channels)
    def leave(self, channel: Channel) -> None:
        self.watched.discard(channel)
        self.do(self.load_pages())

    async def load_pages(self) -> None:
        """The pages are connected to the sessions that there are now."""
        for channel in CHANNELS:
            running = self.world.sessions.in_channel(channel) if channel in self.watched else None
            page = self.pages.get(channel)
            if page is not None and (running is None or page.running is not running):
                self.pages.pop(channel).places.close()
            if running is not None and channel not in self.pages:
                page = self.pages[channel] = Page(running)
                page.places.enter_context(self.world.viewer(running))
        await self.world.rest()

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    @rule(data=st.data(), name=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 2))
    def fault(self, data: st.DataObject, name: str, times: int) -> None:
        method, path = data.draw(st.sampled_from(CALLS[self.provider]))
        self.world.simulator.faults.add(**FAULTS[name], method=method, path=path, times=times)

    @rule(place=st.integers(0, 1))
    def drop_stream(self, place: int) -> None:
        if place < len(self.world.open_streams):
            self.world.simulator.drop_stream(self.world.open_streams[place].id)
            self.do(self.world.rest())

    @rule()
    def crash(self) -> None:
        self.do(self.world.crash())
        self.do(self.world.boot())
        self.do(self.world.rest())

    @rule()
    def restart_and_keep(self) -> None:
        """A rolling restart: the sessions are left as they are, nothing crashes, and the next process adopts them."""

        async def roll() -> None:
            await self.world.sessions.abandon_all()
            await self.world.crash()
            await self.world.boot()
            await self.world.rest()

        self.do(roll())

    @rule(seconds=st.sampled_from([-3600.0, 5.0, 3600.0]))
    def set_clock(self, seconds: float) -> None:
        self.world.clock.jump(seconds)

    @rule(channel=channels, instants=st.integers(1, 12), command=st.sampled_from(("start", *COMMANDS)))
    def power_cut(self, channel: Channel, instants: int, command: str) -> None:
        """The bot crashes so many instants into a command, or into what follows from it."""

        async def until_it_is_dark() -> None:
            self.world.crash_injector.crash_in(instants)
            giving = asyncio.create_task(self.world.type(f"/avatar {command}", channel=channel))
            await self.world.pass_time(5)
            await cancel_and_wait(giving)
            await self.world.crash()
            await self.world.boot()
            await self.world.rest()

        self.do(until_it_is_dark())

    # --- what never happens ------------------------------------------------------------------------------------------

    @invariant()
    def no_stream_is_opened_for_nobody(self) -> None:
        rows = self.do(self.world.rows(tables.streams))
        streams_of = Counter(row.session_id for row in rows)
        for running in self.world.sessions:
            audience, session = running.audience, running.session.id
            # A stream that somebody was there for may be asked for a moment later, once the one before is closed.
            if audience.is_missing and audience.left_at <= self.step_began - CLOSE_PATIENCE:
                assert streams_of[session] == self.streams_of[session], rows
        self.streams_of = streams_of
        self.step_began = self.world.clock.monotonic()
        self.do(self.load_pages())

    @invariant()
    def one_open_session_per_channel(self) -> None:
        sessions = self.do(self.world.store.sessions.all_open())
        open_in = [session.channel for session in sessions]
        assert len(open_in) == len(set(open_in)), open_in

    @invariant()
    def every_open_stream_is_in_the_books(self) -> None:
        rows = self.do(self.world.rows(tables.streams))
        known = {row.upstream_id for row in rows if row.state in ("creating", "open", "closing")}
        strays = {view.id for view in self.world.open_streams} - known
        without_id = [row for row in rows if row.state in ("creating", "lost") and row.upstream_id is None]
        assert len(strays) <= len(without_id), (strays, rows)

    @invariant()
    def a_session_has_at_most_one_stream_that_is_not_being_closed(self) -> None:
        rows = self.do(self.world.rows(tables.streams))
        open_now = {view.id for view in self.world.open_streams}
        owners = [row.session_id for row in rows if row.upstream_id in open_now and row.state != StreamState.CLOSING]
        assert len(owners) == len(set(owners)), owners

    @invariant()
    def nothing_is_left_open_by_a_session_that_is_closed(self) -> None:
        closed = {row.id for row in self.do(self.world.rows(tables.sessions)) if row.state == SessionState.CLOSED}
        open_now = {view.id for view in self.world.open_streams}
        rows = self.do(self.world.rows(tables.streams))
        assert not [row for row in rows if row.session_id in closed and row.upstream_id in open_now]

    @invariant()
    def nothing_is_heard_twice_or_out_of_order(self) -> None:
        heard = [
            (text.starts_at or 0.0, text.asked.strip())
            for view in self.world.simulator.streams()
            for text in view.spoken
            if was_heard(text) and text.asked.startswith("message")
        ]
        texts = [text[: len("message 0000")] for _, text in heard]
        assert len(texts) == len(set(texts)), heard
        places = {row.text: row.session_id for row in self.do(self.world.rows(tables.utterances))}
        for session in set(places.values()):
            said = [text for _, text in sorted(heard) if places.get(text) == session]
            assert said == sorted(said), said

    @invariant()
    def final_states_never_change(self) -> None:
        for row in self.do(self.world.rows(tables.utterances)):
            state = UtteranceState(row.state)
            assert self.final.get(row.id, state) is state, (row.id, self.final[row.id], state)
            if state.is_final:
                self.final[row.id] = state

    # --- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.do(self.drain())
            self.every_open_stream_is_in_the_books()
            self.nothing_is_heard_twice_or_out_of_order()
        finally:
            self.do(self.world.__aexit__(None))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()

    async def drain(self) -> None:
        """Once nothing goes wrong any more, everything comes to its end."""
        world = self.world
        world.simulator.faults.clear()
        self.watched.update(CHANNELS)
        await self.load_pages()
        await world.type("/avatar-admin unblock ana", ADA)
        for channel in CHANNELS:
            await world.type("/avatar skip", channel=channel)
        await world.pass_time(120)
        for channel in CHANNELS:
            await world.type("/avatar stop", channel=channel)
        await world.pass_time(120)
        assert await world.store.sessions.all_open() == []
        unfinished = [row for row in await world.rows(tables.utterances) if not UtteranceState(row.state).is_final]
        assert unfinished == []
        await world.pass_time(LONGER_THAN_ANY_STREAM)
        assert world.open_streams == []


class OnRealtime(LifeCycle):
    """On HeyGen's v3 API."""

    provider = "heygen-realtime"


class OnStreaming(LifeCycle):
    """On HeyGen's v1 API."""

    provider = "heygen-streaming"


class OnLiveAvatar(LifeCycle):
    """On LiveAvatar."""

    provider = "liveavatar"


TestLifeCycleOnRealtime = OnRealtime.TestCase
TestLifeCycleOnRealtime.settings = BOUNDS
TestLifeCycleOnStreaming = OnStreaming.TestCase
TestLifeCycleOnStreaming.settings = BOUNDS
TestLifeCycleOnLiveAvatar = OnLiveAvatar.TestCase
TestLifeCycleOnLiveAvatar.settings = BOUNDS
