"""Three processes at one database that are stopped, cut off and healed in any order, on one clock that the test moves:
whoever is ended, so that others take its sessions, has no time to act left, and nothing of it is on its way."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.network import SENT_WITHIN
from bot.cluster import membership as module
from bot.cluster.membership import LOOKS_TO_END, Membership
from tests import options
from tests.fakes.process_table import FakeRows, ProcessTable
from tests.harness.clock import ManualClock, ProcessClock, settle

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


class Story:
    """The processes, and the rules that are looked at after every step."""

    def __init__(self) -> None:
        self.host = ManualClock()
        self.table = ProcessTable()
        self.clocks = [ProcessClock(self.host) for _ in MEMBERS]
        self.rows = [FakeRows(self.table, clock) for clock in self.clocks]
        self.members = [
            Membership("postgresql://relay@nowhere/relay", clock, rows)
            for clock, rows in zip(self.clocks, self.rows, strict=True)
        ]
        self._seen = 0

    async def live(self, story: list[tuple[tuple[str, int], float]]) -> None:
        async with AsyncExitStack() as stack:
            for member in self.members:
                await stack.enter_async_context(member)
            for rows in self.rows:
                rows.takes = 0.01
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
                for member in self.members:
                    assert member.may_act() is not member.is_lost
                    assert (member.process.id in self.table.rows) is not member.is_lost
                assert any(member.may_act() for member in self.members)
            finally:
                for clock in self.clocks:
                    clock.go_on()

    async def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            await self.host.advance(STEP)
            self.check()

    def check(self) -> None:
        by_id = {member.process.id: member for member in self.members}
        for process_id, at in self.table.ended[self._seen :]:
            assert by_id[process_id]._may_act_until + SENT_WITHIN <= at + 1e-6
            self._seen += 1
        for process_id, _ in self.table.ended:
            # One that is stopped has not learnt of it yet, and its time is over all the same.
            assert not by_id[process_id].may_act()

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
def test_whoever_is_ended_may_not_act_any_more(story: list[tuple[tuple[str, int], float]]) -> None:
    asyncio.run(Story().live(story))


TAKEN_AWAY = [(("cut", 0), 12.0)]
"""One is cut off, and ended by another one."""


@pytest.mark.parametrize(("name", "value"), [("MAY_ACT_FOR", 9.0), ("LOOKS_TO_END", 3)])
def test_with_other_numbers_one_that_was_ended_would_act_or_the_end_would_be_too_early(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    """The test above proves something only if this one is so."""
    asyncio.run(Story().live([]))
    monkeypatch.setattr(module, name, value)
    with pytest.raises(AssertionError):
        asyncio.run(Story().live(TAKEN_AWAY))
