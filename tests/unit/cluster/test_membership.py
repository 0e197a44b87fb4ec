"""Who may act until when, and who is dead: on a clock that the test moves, over a table in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from adapters.network import SENT_WITHIN
from bot.cluster.membership import BEAT_EVERY, LOOKS_TO_END, MAY_ACT_FOR, Looks, Membership
from bot.core.errors import OwnershipLost, StoreUnavailable
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

    async def ended_at(self, membership: Membership) -> float:
        """When another process ended this one, at which the clock stands then."""
        for _ in range(100):
            await self.clock.advance(BEAT_EVERY / 10)
            if membership.process.id not in self.table.rows:
                return self.clock.uptime()
        raise AssertionError("nobody has ended it")


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        yield Cluster(stack)


# --- the time to act -------------------------------------------------------------------------------------------------


async def test_a_process_acts_until_four_seconds_after_its_last_confirmed_beat(cluster: Cluster) -> None:
    membership, rows = await cluster.joined()
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
    membership, rows = await cluster.joined()
    rows.takes = 3.0
    await cluster.clock.advance(BEAT_EVERY)  # this one is sent now
    sent = cluster.clock.uptime()
    await cluster.clock.advance(3.0)
    rows.is_cut = True
    assert membership.may_act()
    await cluster.clock.advance(sent + MAY_ACT_FOR - cluster.clock.uptime())
    assert not membership.may_act()


async def test_a_suspended_machine_has_no_time_to_act_left_when_it_wakes_up(cluster: Cluster) -> None:
    membership, _ = await cluster.joined()
    cluster.clock.suspend(MAY_ACT_FOR)
    assert not membership.may_act()


async def test_the_time_of_day_does_not_matter(cluster: Cluster) -> None:
    membership, _ = await cluster.joined()
    for seconds in (7200.0, -7200.0):
        cluster.clock.jump(seconds)
        assert membership.may_act()


async def test_how_old_the_beat_is_is_told(cluster: Cluster) -> None:
    _, rows = await cluster.joined()
    rows.is_cut = True
    before = metrics.registry.get_sample_value("avatar_relay_beat_seconds")
    await cluster.clock.advance(3)
    after = metrics.registry.get_sample_value("avatar_relay_beat_seconds")
    assert before is not None
    assert after is not None
    assert after == pytest.approx(before + 3)


# --- the looks -------------------------------------------------------------------------------------------------------


def a_process(name: str, beat: int) -> Process:
    return Process(name, beat, "host", 1, "0", is_leaving=False, started_at=NOON)


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


def test_whoever_was_seen_to_beat_has_lived_as_long_as_it_has_a_row() -> None:
    looks = Looks()
    dead, alive = a_process("dead", 3), a_process("alive", 7)
    looks.dead([dead, alive])
    assert looks.lived == set()
    looks.dead([dead, a_process("alive", 8)])
    looks.forget()
    looks.dead([dead, a_process("alive", 8)])
    assert looks.lived == {"alive"}
    looks.dead([dead])
    assert looks.lived == set()


# --- takeovers -------------------------------------------------------------------------------------------------------


async def test_whoever_joins_may_act_at_once_and_knows_the_others(cluster: Cluster) -> None:
    first, _ = await cluster.joined()
    second, _ = await cluster.joined()
    assert first.may_act()
    assert second.may_act()
    assert [other.id for other in second.others] == [first.process.id]
    await cluster.clock.advance(BEAT_EVERY)
    assert [other.id for other in first.others] == [second.process.id]
    assert (first.sharers, second.sharers) == (2, 2)
    assert [first.is_first, second.is_first].count(True) == 1


async def test_a_command_of_the_shell_takes_no_share(cluster: Cluster) -> None:
    bot, _ = await cluster.joined()
    shell = Membership(URL, cluster.clock, FakeRows(cluster.table, cluster.clock), takes_sessions=False)
    async with shell:
        await cluster.clock.advance(BEAT_EVERY)
        assert [other.id for other in bot.others] == [shell.process.id]
        assert bot.sharers == 1
        assert bot.is_first


async def test_a_process_that_cannot_beat_at_first_may_not_act_until_it_can(cluster: Cluster) -> None:
    membership, rows = cluster.process()
    beat, rows.beat = rows.beat, failing  # type: ignore[method-assign,assignment]
    async with membership:
        assert not membership.may_act()
        rows.beat = beat  # type: ignore[method-assign]
        await cluster.clock.advance(BEAT_EVERY)
        assert membership.may_act()


async def failing(_: str) -> tuple[list[Process], bool]:
    raise StoreUnavailable("the database does not answer")


async def test_a_process_that_is_cut_off_is_ended_after_it_has_fallen_silent(cluster: Cluster) -> None:
    first, rows = await cluster.joined()
    second, _ = await cluster.joined()
    gone: list[str] = []
    second.on_gone.append(gone.append)
    lived: list[bool] = []
    second.on_gone.append(lambda process_id: lived.append(second.has_lived(process_id)))
    await cluster.clock.advance(30)
    assert cluster.table.ended == []
    rows.is_cut = True
    silent_from = first._may_act_until
    ended_at = await cluster.ended_at(first)
    # What its kernel still had to deliver is dropped by then.
    assert silent_from + SENT_WITHIN <= ended_at <= silent_from + SENT_WITHIN + 2 * BEAT_EVERY
    assert gone == [first.process.id]
    assert lived == [True]
    assert second.others == []
    assert second.may_act()
    rows.is_cut = False
    await cluster.clock.advance(BEAT_EVERY)
    assert first.is_lost
    assert not first.may_act()
    with pytest.raises(OwnershipLost):
        await first.hold()


async def test_of_two_that_see_a_dead_process_one_ends_it_and_both_are_told(cluster: Cluster) -> None:
    first, rows = await cluster.joined()
    others = [(await cluster.joined())[0] for _ in range(2)]
    gone: list[str] = []
    for other in others:
        other.on_gone.append(gone.append)
    rows.is_cut = True
    await cluster.clock.advance(20)
    assert [process_id for process_id, _ in cluster.table.ended] == [first.process.id]
    assert gone == [first.process.id] * 2
    assert all(other.may_act() and len(other.others) == 1 for other in others)


async def test_whoever_leaves_is_gone_at_the_next_look(cluster: Cluster) -> None:
    second, _ = await cluster.joined()
    gone: list[str] = []
    second.on_gone.append(gone.append)
    lived: list[bool] = []
    second.on_gone.append(lambda process_id: lived.append(second.has_lived(process_id)))
    first, _ = cluster.process()
    async with first:
        await cluster.clock.advance(5)
    assert not first.may_act()
    await cluster.clock.advance(BEAT_EVERY)
    assert gone == [first.process.id]
    assert lived == [True]
    assert cluster.table.ended == []


async def test_a_database_that_was_away_proves_nobody_dead(cluster: Cluster) -> None:
    first, _ = await cluster.joined()
    second, _ = await cluster.joined()
    for seconds in (2, 5, 60):
        cluster.table.is_away = True
        await cluster.clock.advance(seconds)
        cluster.table.is_away = False
        await cluster.clock.advance(10)
        assert first.may_act()
        assert second.may_act()
    assert cluster.table.ended == []


async def test_whoever_waits_to_be_alone_ends_the_dead_and_loses_patience_with_the_living(cluster: Cluster) -> None:
    dead, rows = await cluster.joined()
    rows.is_cut = True
    second, _ = await cluster.joined()
    waiting = asyncio.create_task(second.until_alone(10.0))
    await cluster.clock.advance(9)
    assert waiting.done()
    assert await waiting
    assert [process_id for process_id, _ in cluster.table.ended] == [dead.process.id]
    await cluster.joined()
    await cluster.clock.advance(BEAT_EVERY)
    waiting = asyncio.create_task(second.until_alone(10.0))
    await cluster.clock.advance(11)
    assert await waiting is False


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_what_the_database_refuses_ends_the_ownership_at_once(cluster: Cluster) -> None:
    membership, _ = await cluster.joined()
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
    membership, rows = await cluster.joined()

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
