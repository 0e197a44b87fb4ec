"""The real program between a local Slack and the avatar service, with anything that people, the provider, the network,
the clock and `kill` can do to it, in any order: the rules of the house are checked after every step.

The program goes on while they are checked, so that each check reads first what must not be outrun by the other.
`HYPOTHESIS_PROFILE=thorough` looks for longer.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from adapters.avatars.simulator import SimulatorOptions
from bot.model import SessionState, StreamState, UtteranceState
from tests.faults import FAULTS
from tests.platforms.driver import ADA
from tests.scenario.nursery import Nursery
from tests.scenario.town import Town
from tests.stateful.test_life_cycle import CALLS, COMMANDS
from tests.twins.slack import Message

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
BOUNDS = settings(
    max_examples=40 if THOROUGH else 3,
    stateful_step_count=40 if THOROUGH else 15,
    # What was found once may not be found again, and to look for less of it takes hours.
    phases=[Phase.generate],
    database=None,
    derandomize=not THOROUGH,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
ADMIN_COMMANDS = ("sessions", "cleanup", "stop-all", "usage", "limits", "block @ana", "unblock @ana")
A_MOMENT = 1.0
"""Seconds that the program gets between two steps."""

T = TypeVar("T")
places = st.integers(0, 1)

pytestmark = pytest.mark.timeout(3600 if THOROUGH else 300)


@pytest.fixture(scope="module", autouse=True)
def nursery() -> Iterator[None]:
    with Nursery() as nursery:
        ProgramLife.nursery = nursery
        yield


class ProgramLife(RuleBasedStateMachine):
    """One program on one provider, two channels."""

    nursery: ClassVar[Nursery]
    provider: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        options = SimulatorOptions(
            v1_concurrency=50, v3_concurrency=50, liveavatar_concurrency=50, liveavatar_rate=10_000, auto_viewer=True
        )
        limits = {"SESSION_IDLE_TIMEOUT": "40", "SESSION_IDLE_WARNING": "10", "SESSION_MAX_DURATION": "600"}
        self.town = Town(
            self.nursery, Path(self.folder.name), self.provider, options, channels=2, USER_RATE="0", **limits
        )
        self.messages: list[Message] = []
        self.edited = 0
        self.final: dict[str, UtteranceState] = {}
        self.do(self.town.__aenter__())
        self.do(self.town.start())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    # --- what people do ----------------------------------------------------------------------------------------------

    @rule(place=places)
    def start(self, place: int) -> None:
        self.give(place, "/avatar start")

    @rule(place=places, commands=st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=4))
    def command(self, place: int, commands: list[str]) -> None:
        """Several come in quick succession."""
        self.give(place, *(f"/avatar {command}" for command in commands))

    @rule(place=places, command=st.sampled_from(ADMIN_COMMANDS))
    def administer(self, place: int, command: str) -> None:
        self.give(place, f"/avatar-admin {command}", by=ADA)

    def give(self, place: int, *lines: str, by: str = "ana") -> None:
        async def type_all() -> None:
            for line in lines:
                await self.town.command(self.town.channels[place], line, by=by)
            await self.town.pass_time(A_MOMENT)

        self.do(type_all())

    @rule(place=places, again=st.integers(0, 2), length=st.integers(1, 30))
    def write(self, place: int, again: int, length: int) -> None:
        """A message, which Slack delivers once or several times."""

        async def deliver() -> None:
            text = " ".join([f"message {len(self.messages):04}", *["word"] * length])
            message = await self.town.write(self.town.channels[place], text)
            self.messages.append(message)
            for _ in range(again):
                for delivery in list(message.deliveries):
                    await self.town.slack.redeliver(delivery)
            await self.town.pass_time(A_MOMENT)

        self.do(deliver())

    @rule(back=st.integers(1, 4), deleted=st.booleans())
    def change(self, back: int, deleted: bool) -> None:
        """One of the last messages is edited or deleted, wherever it stands by now."""
        if back > len(self.messages) or self.messages[-back].deleted:
            return
        message, slack = self.messages[-back], self.town.slack
        self.edited += 1
        if deleted:
            self.do(slack.delete_message(message))
        else:
            number = len(self.messages) - back
            edited = f"@{slack.bot.name} message {number:04} edit {self.edited}"
            self.do(slack.edit_message(message, edited))

    @rule(seconds=st.sampled_from([0.2, 1.0, 3.0, 10.0, 35.0]))
    def wait(self, seconds: float) -> None:
        self.do(self.town.pass_time(seconds))

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    @rule(data=st.data(), name=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 2))
    def fault(self, data: st.DataObject, name: str, times: int) -> None:
        method, path = data.draw(st.sampled_from(CALLS[self.provider]))
        self.town.simulator.faults.add(**FAULTS[name], method=method, path=path, times=times)

    @rule(place=places)
    def drop_stream(self, place: int) -> None:
        for stream in sorted(self.town.open_streams)[place : place + 1]:
            self.town.simulator.drop_stream(stream)

    @rule(place=places, command=st.sampled_from(("start", *COMMANDS)), seconds=st.floats(0, 2))
    def kill(self, place: int, command: str, seconds: float) -> None:
        """In the middle of a command, or of what follows from it."""

        async def die() -> None:
            await self.town.command(self.town.channels[place], f"/avatar {command}")
            await self.town.pass_time(seconds)
            await self.town.kill()
            await self.town.start()

        self.do(die())

    @rule()
    def restart(self) -> None:
        async def end_and_begin() -> None:
            await self.town.stop()
            await self.town.start()

        self.do(end_and_begin())

    @rule(seconds=st.sampled_from([5.0, 60.0]))
    def freeze(self, seconds: float) -> None:
        """The program stands still, as in a container that is paused, while everybody else goes on."""

        async def sleep() -> None:
            self.town.bot.send(signal.SIGSTOP)
            await self.town.pass_time(seconds)
            self.town.bot.send(signal.SIGCONT)
            await self.town.pass_time(A_MOMENT)

        self.do(sleep())

    @rule(seconds=st.sampled_from([-3600.0, 5.0, 3600.0]))
    def set_clock(self, seconds: float) -> None:
        self.town.dial.jump(seconds)

    # --- what never happens ------------------------------------------------------------------------------------------

    @invariant()
    def one_open_session_per_channel(self) -> None:
        rows = self.town.rows("SELECT channel FROM sessions WHERE state != 'closed'")
        channels = [row["channel"] for row in rows]
        assert len(channels) == len(set(channels)), channels

    @invariant()
    def every_open_stream_is_in_the_books(self) -> None:
        open_now = self.town.open_streams
        rows = self.town.rows("SELECT upstream_id, state FROM streams")
        without_id = [row for row in rows if row["upstream_id"] is None]
        strays = open_now - {row["upstream_id"] for row in rows}
        assert len(strays) <= len(without_id), (strays, [tuple(row) for row in rows])

    @invariant()
    def a_session_pays_for_one_stream_and_only_while_it_is_open(self) -> None:
        rows = self.town.rows(
            "SELECT upstream_id, session_id, streams.state, sessions.state AS session"
            " FROM streams JOIN sessions ON session_id = sessions.id"
        )
        open_now = [row for row in rows if row["upstream_id"] in self.town.open_streams]
        assert all(row["session"] != SessionState.CLOSED for row in open_now)
        assert all(row["state"] != StreamState.CLOSED for row in open_now)
        owners = [row["session_id"] for row in open_now if row["state"] != StreamState.CLOSING]
        assert len(owners) == len(set(owners)), owners

    @invariant()
    def nothing_is_heard_twice_or_out_of_order(self) -> None:
        heard = [text for text in self.town.heard if text.startswith("message")]
        messages = [text[: len("message 0000")] for text in heard]
        assert len(messages) == len(set(messages)), heard
        rows = self.town.rows("SELECT text, session_id FROM utterances")
        places = {row["text"]: row["session_id"] for row in rows}
        for session in set(places.values()):
            said = [text for text in heard if places.get(text) == session]
            assert said == sorted(said), said

    @invariant()
    def final_states_never_change(self) -> None:
        for row in self.town.rows("SELECT id, state FROM utterances"):
            state = UtteranceState(row["state"])
            assert self.final.get(row["id"], state) is state, (row["id"], self.final[row["id"]], state)
            if state.is_final:
                self.final[row["id"]] = state

    # --- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.do(self.drain())
            self.nothing_is_heard_twice_or_out_of_order()
            self.every_message_has_come_to_its_end()
        finally:
            self.do(self.town.__aexit__(None, None, None))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()

    async def drain(self) -> None:
        """Once nothing goes wrong any more, everything comes to its end."""
        town = self.town
        town.simulator.faults.clear()
        await town.command(town.channels[0], "/avatar-admin unblock @ana", by=ADA)
        for channel in town.channels:
            await town.command(channel, "/avatar skip")
        # Everybody leaves by being idle, and what nobody knows of ends by the provider's own limit.
        await town.until(lambda: not town.open_streams and not self.open_sessions)
        await town.stop()

    @property
    def open_sessions(self) -> list[Any]:
        return self.town.rows("SELECT id FROM sessions WHERE state != 'closed'")

    def every_message_has_come_to_its_end(self) -> None:
        rows = self.town.rows("SELECT text, state FROM utterances")
        unfinished = [row["text"] for row in rows if not UtteranceState(row["state"]).is_final]
        assert unfinished == []
        sent = {text.asked.strip() for view in self.town.simulator.streams() for text in view.spoken}
        said = {row["text"] for row in rows if row["state"] == "spoken" and row["text"].startswith("message")}
        assert said <= sent


class OnRealtime(ProgramLife):
    """On HeyGen's v3 API."""

    provider = "heygen-realtime"


class OnStreaming(ProgramLife):
    """On HeyGen's v1 API."""

    provider = "heygen-streaming"


class OnLiveAvatar(ProgramLife):
    """On LiveAvatar."""

    provider = "liveavatar"


TestProgramOnRealtime = OnRealtime.TestCase
TestProgramOnRealtime.settings = BOUNDS
TestProgramOnStreaming = OnStreaming.TestCase
TestProgramOnStreaming.settings = BOUNDS
TestProgramOnLiveAvatar = OnLiveAvatar.TestCase
TestProgramOnLiveAvatar.settings = BOUNDS
