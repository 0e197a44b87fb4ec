"""Who acts, until when, and who is dead: on a clock that the test moves, over a table in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from adapters.network import SENT_WITHIN
from bot.cluster.membership import BEAT_EVERY, LOOKS_TO_END, MAY_ACT_FOR, Looks, Membership
from bot.core.errors import OwnershipLost
from bot.core.tasks import cancel_and_wait
from bot.store.processes import Process
from bot.telemetry import metrics
from tests.builders import NOON
from tests.fakes.process_table import FakeRows, ProcessTable
from tests.harness.clock import ManualClock

URL = "postgresql://relay@nowhere/relay"


class Cluster:
    """Processes at one table."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.clock = ManualClock()
        self.table = ProcessTable()
        self._stack = stack

    def process(self) -> tuple[Membership, FakeRows]:
        rows = FakeRows(self.table, self.clock)
        return Membership(URL, self.clock, rows), rows

    async def joined(self) -> tuple[Membership, FakeRows]:
        membership, rows = self.process()
        await self._stack.enter_async_context(membership)
        await self.clock.advance(0)
        return membership, rows

    async def active(self) -> tuple[Membership, FakeRows]:
        membership, rows = await self.joined()
        wish = asyncio.create_task(membership.until_active(asyncio.Event()))
        await self.clock.advance(2 * BEAT_EVERY)
        assert wish.done()
        return membership, rows


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        yield Cluster(stack)


# --- the time to act -------------------------------------------------------------------------------------------------


async def test_a_process_acts_until_four_seconds_after_its_last_confirmed_beat(cluster: Cluster) -> None:
    membership, rows = await cluster.active()
    assert membership.may_act()
    await cluster.clock.advance(60)
    assert membership.may_act()
    rows.is_cut = True
    sent = cluster.clock.uptime()
    await cluster.clock.advance(MAY_ACT_FOR - BEAT_EVERY)
    assert membership.may_act()
    await cluster.clock.advance(BEAT_EVERY)
    assert cluster.clock.uptime() == sent + MAY_ACT_FOR
    assert not membership.may_act()
    assert membership.unhealthy_reason is not None
    rows.is_cut = False
    await cluster.clock.advance(BEAT_EVERY)
    assert membership.may_act()
    assert membership.unhealthy_reason is None


async def test_the_time_to_act_begins_when_a_beat_is_sent_and_not_with_its_answer(cluster: Cluster) -> None:
    membership, rows = await cluster.active()
    rows.takes = 3.0
    await cluster.clock.advance(BEAT_EVERY)  # this one is sent now
    sent = cluster.clock.uptime()
    await cluster.clock.advance(3.0)
    rows.is_cut = True
    assert membership.may_act()
    await cluster.clock.advance(sent + MAY_ACT_FOR - cluster.clock.uptime())
    assert not membership.may_act()


async def test_a_suspended_machine_has_no_time_to_act_left_when_it_wakes_up(cluster: Cluster) -> None:
    membership, _ = await cluster.active()
    cluster.clock.suspend(MAY_ACT_FOR)
    assert not membership.may_act()


async def test_the_time_of_day_does_not_matter(cluster: Cluster) -> None:
    membership, _ = await cluster.active()
    for seconds in (7200.0, -7200.0):
        cluster.clock.jump(seconds)
        assert membership.may_act()


async def test_how_old_the_beat_is_is_told(cluster: Cluster) -> None:
    _, rows = await cluster.active()
    rows.is_cut = True
    before = metrics.registry.get_sample_value("avatar_relay_beat_seconds")
    await cluster.clock.advance(3)
    after = metrics.registry.get_sample_value("avatar_relay_beat_seconds")
    assert before is not None
    assert after is not None
    assert after == pytest.approx(before + 3)


# --- the looks -------------------------------------------------------------------------------------------------------


def a_process(name: str, beat: int) -> Process:
    return Process(name, beat, "host", 1, "0", is_active=True, is_leaving=False, started_at=NOON)


def test_a_beat_that_stands_still_for_six_looks_is_a_dead_process() -> None:
    looks = Looks()
    still = a_process("a", 7)
    for _ in range(LOOKS_TO_END):
        assert looks.dead([still]) == []
    assert looks.dead([still]) == [still]


def test_a_beat_that_changes_begins_the_count_anew() -> None:
    looks = Looks()
    for _ in range(LOOKS_TO_END):
        assert looks.dead([a_process("a", 7)]) == []
    for _ in range(LOOKS_TO_END):
        assert looks.dead([a_process("a", 8)]) == []
    assert looks.dead([a_process("a", 8)]) == [a_process("a", 8)]


def test_a_failed_look_begins_every_count_anew() -> None:
    looks = Looks()
    for _ in range(LOOKS_TO_END):
        looks.dead([a_process("a", 7)])
    looks.forget()
    for _ in range(LOOKS_TO_END):
        assert looks.dead([a_process("a", 7)]) == []


def test_a_newcomer_is_not_dead_at_the_first_look() -> None:
    looks = Looks()
    for beat in range(LOOKS_TO_END + 3):
        assert looks.dead([a_process("a", beat)]) == []
    assert looks.dead([a_process("a", 99), a_process("b", 0)]) == []


# --- takeovers -------------------------------------------------------------------------------------------------------


async def test_a_process_that_is_cut_off_is_replaced_after_it_has_fallen_silent(cluster: Cluster) -> None:
    first, rows = await cluster.active()
    second, _ = await cluster.joined()
    wish = asyncio.create_task(second.until_active(asyncio.Event()))
    await cluster.clock.advance(30)
    assert not wish.done()
    rows.is_cut = True
    silent_from = first._may_act_until
    await cluster.clock.advance(8)
    assert wish.done()
    name, taken_at = cluster.table.activated[-1]
    assert name == second.process.id
    # What its kernel still had to deliver is dropped by then.
    assert silent_from + SENT_WITHIN <= taken_at <= silent_from + SENT_WITHIN + 2 * BEAT_EVERY
    rows.is_cut = False
    await cluster.clock.advance(BEAT_EVERY)
    assert first.is_lost
    assert not first.may_act()
    with pytest.raises(OwnershipLost):
        await first.hold()


async def test_of_two_that_stand_by_one_takes_over_and_the_other_one_goes_on_waiting(cluster: Cluster) -> None:
    told: list[str] = []
    _, rows = await cluster.active()
    waiting = [(await cluster.joined())[0] for _ in range(2)]
    wishes = [asyncio.create_task(each.until_active(asyncio.Event(), told.append)) for each in waiting]
    await cluster.clock.advance(5)
    assert len(told) == 2
    assert all(line.startswith("Standing by: process ") for line in told)
    rows.is_cut = True
    await cluster.clock.advance(20)
    assert sorted(each.is_active for each in waiting) == [False, True]
    assert len(cluster.table.ended) == 1
    for wish in wishes:
        wish.cancel()
    await asyncio.wait(wishes)


async def test_whoever_leaves_is_replaced_at_the_next_look(cluster: Cluster) -> None:
    first, _ = cluster.process()
    async with first:
        wish = asyncio.create_task(first.until_active(asyncio.Event()))
        await cluster.clock.advance(2 * BEAT_EVERY)
        assert wish.done()
        second, _ = await cluster.joined()
        waiting = asyncio.create_task(second.until_active(asyncio.Event()))
        await cluster.clock.advance(5)
    assert not first.may_act()
    await cluster.clock.advance(2 * BEAT_EVERY)
    assert waiting.done()
    assert cluster.table.ended == []


async def test_a_database_that_was_away_proves_nobody_dead(cluster: Cluster) -> None:
    first, _ = await cluster.active()
    second, _ = await cluster.joined()
    wish = asyncio.create_task(second.until_active(asyncio.Event()))
    for seconds in (2, 5, 60):
        cluster.table.is_away = True
        await cluster.clock.advance(seconds)
        cluster.table.is_away = False
        await cluster.clock.advance(10)
        assert first.may_act()
        assert first.is_active
    assert cluster.table.ended == []
    wish.cancel()
    await asyncio.wait([wish])


async def test_whoever_waits_is_asked_to_stop_or_loses_patience(cluster: Cluster) -> None:
    await cluster.active()
    second, _ = await cluster.joined()
    stopping = asyncio.Event()
    stopped = asyncio.create_task(second.until_active(stopping))
    await cluster.clock.advance(30)
    assert not stopped.done()
    stopping.set()
    await cluster.clock.advance(1)
    assert await stopped is False
    impatient = asyncio.create_task(second.until_active(asyncio.Event(), patience=10.0))
    await cluster.clock.advance(11)
    assert await impatient is False


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_what_the_database_refuses_ends_the_ownership_at_once(cluster: Cluster) -> None:
    membership, _ = await cluster.active()
    holding = asyncio.create_task(membership.hold())
    await cluster.clock.advance(0)
    membership.member.on_fenced()
    assert not membership.may_act()
    await cluster.clock.advance(0)
    assert membership.is_lost
    with pytest.raises(OwnershipLost):
        await holding


async def test_beats_that_fail_unforeseen_are_told_and_begun_anew(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    membership, rows = await cluster.active()

    async def beat(_: str) -> tuple[list[Process], bool]:
        raise KeyError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "beat", beat)
        holding = asyncio.create_task(membership.hold())
        await cluster.clock.advance(BEAT_EVERY)
        with pytest.raises(KeyError):
            await holding
    await cluster.clock.advance(MAY_ACT_FOR)
    assert not membership.may_act()
    again = asyncio.create_task(membership.hold())
    await cluster.clock.advance(BEAT_EVERY)
    assert membership.may_act()
    await cancel_and_wait(again)
