"""What may wait lets go first what must not, and never for long."""

import asyncio

import pytest

from bot.core.precedence import PATIENCE, Precedence
from bot.core.tasks import cancel_and_wait
from tests.harness.clock import ManualClock, settle


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def precedence(clock: ManualClock) -> Precedence:
    return Precedence(clock)


async def test_where_nothing_is_urgent_nothing_waits(precedence: Precedence, clock: ManualClock) -> None:
    await precedence.give_way()
    with precedence.urgent():
        pass
    await precedence.give_way()
    assert clock.due == []


async def test_it_waits_until_the_last_that_is_urgent_has_ended(precedence: Precedence, clock: ManualClock) -> None:
    with precedence.urgent():
        with precedence.urgent():
            giving = [asyncio.create_task(precedence.give_way()) for _ in range(2)]
            await settle()
        await settle()
        assert not any(task.done() for task in giving)
    await asyncio.gather(*giving)
    assert clock.due == []


async def test_it_gives_way_for_a_short_time_only(precedence: Precedence, clock: ManualClock) -> None:
    with precedence.urgent():
        giving = asyncio.create_task(precedence.give_way())
        await settle()
        await clock.advance(PATIENCE / 2)
        assert not giving.done()
        await clock.advance(PATIENCE / 2)
        assert giving.done()


async def test_what_failed_is_urgent_no_more(precedence: Precedence) -> None:
    with pytest.raises(RuntimeError), precedence.urgent():
        raise RuntimeError
    await precedence.give_way()


async def test_whoever_stops_waiting_leaves_nothing_behind(precedence: Precedence, clock: ManualClock) -> None:
    with precedence.urgent():
        giving = asyncio.create_task(precedence.give_way())
        await settle()
        await cancel_and_wait(giving)
        assert clock.due == []
