"""One timer for each name."""

import pytest

from bot.core.tasks import NamedTimers
from tests.harness.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def rung() -> list[str]:
    return []


async def test_a_timer_rings_once_when_its_time_has_come(clock: ManualClock, rung: list[str]) -> None:
    NamedTimers(clock).start("end", 5.0, lambda: rung.append("end"))
    await clock.advance(4.9)
    assert rung == []
    await clock.advance(10.0)
    assert rung == ["end"]


async def test_a_second_timer_takes_the_place_of_the_first_of_its_name(clock: ManualClock, rung: list[str]) -> None:
    timers = NamedTimers(clock)
    timers.start("end", 1.0, lambda: rung.append("first"))
    timers.start("end", 5.0, lambda: rung.append("second"))
    timers.start("room", 2.0, lambda: rung.append("room"))
    await clock.advance(10.0)
    assert rung == ["room", "second"]


async def test_a_time_that_is_over_rings_at_once(clock: ManualClock, rung: list[str]) -> None:
    NamedTimers(clock).start("end", -3.0, lambda: rung.append("end"))
    await clock.advance(0.0)
    assert rung == ["end"]


async def test_forgetting_is_for_one_name_and_harmless_where_there_is_none(clock: ManualClock, rung: list[str]) -> None:
    timers = NamedTimers(clock)
    timers.start("end", 1.0, lambda: rung.append("end"))
    timers.start("room", 1.0, lambda: rung.append("room"))
    timers.cancel("end")
    timers.cancel("end")
    await clock.advance(1.0)
    assert rung == ["room"]


async def test_nothing_rings_after_stop(clock: ManualClock, rung: list[str]) -> None:
    timers = NamedTimers(clock)
    for name in ("end", "room"):
        timers.start(name, 1.0, lambda: rung.append("rung"))
    timers.stop()
    await clock.advance(1.0)
    assert rung == []
