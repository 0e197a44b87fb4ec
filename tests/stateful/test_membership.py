"""Three processes at one database that are stopped, cut off and healed in any order, on one clock that the test moves:
at no instant two may act, and whoever takes over waits for what the one before may still have on its way."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.network import SENT_WITHIN
from bot.cluster import membership as module
from bot.cluster.membership import LOOKS_TO_END, Membership
from bot.core.errors import OwnershipLost
from bot.core.ports import Timer
from bot.core.tasks import cancel_and_wait
from tests import options
from tests.fakes.process_table import FakeRows, ProcessTable
from tests.harness.clock import ManualClock, settle

STEP = 0.25
MEMBERS = range(3)

members = st.sampled_from(MEMBERS)
events = st.one_of(
    st.tuples(st.sampled_from(["stop", "go on", "cut", "heal", "slow", "quick"]), members),
    st.tuples(st.sampled_from(["away", "back"]), st.just(0)),
)
stories = st.lists(st.tuples(events, st.sampled_from([0.25, 1.0, 3.0, 5.0, 8.0, 12.0])), max_size=14)
BOUNDS = settings(
    max_examples=400 if options.is_thorough() else 40, deadline=None, suppress_health_check=list(HealthCheck)
)


class _Stoppable:
    """A timer of a process that may be stopped when it is due."""

    def __init__(self, clock: "ProcessClock", callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback: Callable[[], None] | None = callback
        self.here: Timer | None = None

    def cancel(self) -> None:
        self._callback = None
        if self.here is not None:
            self.here.cancel()

    def ring(self) -> None:
        if self._clock.is_stopped:
            self._clock.missed.append(self)
        elif (callback := self._callback) is not None:
            self._callback = None
            callback()


class ProcessClock:
    """The machine's clock as a process has it: while that is stopped time passes, and nothing of it runs."""

    def __init__(self, host: ManualClock) -> None:
        self._host = host
        self.is_stopped = False
        self.missed: list[_Stoppable] = []

    def now(self) -> datetime:
        return self._host.now()

    def monotonic(self) -> float:
        return self._host.monotonic()

    def uptime(self) -> float:
        return self._host.uptime()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = _Stoppable(self, callback)
        timer.here = self._host.call_later(seconds, timer.ring)
        return timer

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: done.done() or done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    def go_on(self) -> None:
        self.is_stopped = False
        missed, self.missed = self.missed, []
        for timer in missed:
            timer.ring()


class Story:
    """The processes, and the rules that are looked at after every step."""

    def __init__(self) -> None:
        self.host = ManualClock()
        self.table = ProcessTable()
        self.clocks = [ProcessClock(self.host) for _ in MEMBERS]
        self.rows = [FakeRows(self.table, clock) for clock in self.clocks]
        for rows in self.rows:
            rows.takes = 0.01
        self.members = [
            Membership("postgresql://relay@nowhere/relay", clock, rows)
            for clock, rows in zip(self.clocks, self.rows, strict=True)
        ]
        self._seen = 0

    async def live(self, story: list[tuple[tuple[str, int], float]]) -> None:
        async with AsyncExitStack() as stack:
            for member in self.members:
                await stack.enter_async_context(member)
            wishes = [asyncio.create_task(self._wish(member)) for member in self.members]
            try:
                await self.wait(3.0)
                for (what, who), seconds in story:
                    self._befall(what, who)
                    await settle()
                    self.check()
                    await self.wait(seconds)
                for who in MEMBERS:
                    for what in ("heal", "quick", "back", "go on"):
                        self._befall(what, who)
                await self.wait(2 * LOOKS_TO_END + 5.0)
                assert [member.is_lost for member in self.members if member.is_active and member.may_act()] == [False]
            finally:
                for clock in self.clocks:
                    clock.go_on()
                for wish in wishes:
                    await cancel_and_wait(wish)

    @staticmethod
    async def _wish(member: Membership) -> None:
        try:
            await member.until_active(asyncio.Event())
        except OwnershipLost:
            return

    async def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            await self.host.advance(STEP)
            self.check()

    def check(self) -> None:
        acting = [
            member
            for member, clock in zip(self.members, self.clocks, strict=True)
            if member.is_active and member.may_act() and not clock.is_stopped
        ]
        assert len(acting) <= 1
        by_id = {member.process.id: member for member in self.members}
        for process_id, at in self.table.activated[self._seen :]:
            for earlier, _ in self.table.activated[: self._seen]:
                if earlier != process_id:
                    assert by_id[earlier]._may_act_until + SENT_WITHIN <= at + 1e-6
            self._seen += 1

    def _befall(self, what: str, who: int) -> None:
        rows, clock = self.rows[who], self.clocks[who]
        match what:
            case "stop":
                clock.is_stopped = True
            case "go on":
                clock.go_on()
            case "cut" | "heal":
                rows.is_cut = what == "cut"
            case "slow" | "quick":
                rows.takes = 1.4 if what == "slow" else 0.01
            case _:
                self.table.is_away = what == "away"


@BOUNDS
@given(stories)
def test_at_no_instant_two_processes_may_act(story: list[tuple[tuple[str, int], float]]) -> None:
    asyncio.run(Story().live(story))


TAKEN_AWAY = [(("cut", who), 12.0) for who in MEMBERS]
"""Whoever is active is cut off, and replaced."""


@pytest.mark.parametrize(("name", "value"), [("MAY_ACT_FOR", 9.0), ("LOOKS_TO_END", 3)])
def test_with_other_numbers_two_would_act_or_the_next_one_would_be_too_early(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    """The test above proves something only if this one is so."""
    asyncio.run(Story().live([]))
    monkeypatch.setattr(module, name, value)
    with pytest.raises(AssertionError):
        asyncio.run(Story().live(TAKEN_AWAY))
