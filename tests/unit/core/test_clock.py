"""The clock of a running program, and the one of the tests beside it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot.core.clock import SystemClock
from bot.core.ports import Clock
from tests.harness.clock import ManualClock

FAST = 100_000.0
"""Seconds per second: an hour passes in 36 ms, so nothing here waits."""


def test_time_of_day_is_utc_and_true() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_fast_clock_starts_now_and_runs_away() -> None:
    before = datetime.now(UTC)
    clock = SystemClock(FAST)
    first, second = clock.now(), clock.now()
    assert before <= first
    assert first < second
    assert second - first < timedelta(hours=10)


@pytest.mark.parametrize("speed", [0, -1.0])
def test_clock_cannot_stand_still_or_run_backwards(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        SystemClock(speed)


@pytest.mark.parametrize("clock", [SystemClock(), SystemClock(FAST)], ids=["real", "fast"])
def test_monotonic_never_goes_back(clock: SystemClock) -> None:
    moments = [clock.monotonic() for _ in range(1000)]
    assert moments == sorted(moments)
    assert moments[0] >= 0


async def test_sleep_takes_at_least_its_time_of_this_clock() -> None:
    clock = SystemClock(FAST)
    before = clock.monotonic()
    await clock.sleep(600)
    # The loop's timers may be early by its own resolution.
    assert clock.monotonic() - before >= 600 - 0.02 * FAST


async def test_timer_runs_once_its_time_has_come_and_a_cancelled_one_never() -> None:
    clock = SystemClock(FAST)
    rung: list[str] = []
    done = asyncio.Event()
    clock.call_later(100, lambda: rung.append("cancelled")).cancel()
    clock.call_later(200, lambda: rung.append("first"))
    clock.call_later(2000, done.set)
    await done.wait()
    assert rung == ["first"]


async def test_clock_of_the_tests_jumps_to_what_is_due_next() -> None:
    clock = ManualClock()
    rung: list[tuple[str, float]] = []

    def ring(name: str) -> None:
        rung.append((name, clock.monotonic()))

    def ring_twice() -> None:
        ring("with it")
        clock.call_later(0, lambda: ring("after that"))

    clock.call_later(1, lambda: ring("cancelled")).cancel()
    clock.call_later(5, lambda: ring("later"))
    clock.call_later(2, lambda: ring("first"))
    clock.call_later(2, ring_twice)
    assert clock.jump_to_next(4)
    assert rung == [("first", 2), ("with it", 2)]
    assert clock.jump_to_next(4)
    assert rung[2:] == [("after that", 2)]
    assert not clock.jump_to_next(4)
    assert clock.monotonic() == 4
    assert clock.jump_to_next(5)
    assert rung[3:] == [("later", 5)]
    assert not clock.jump_to_next(4)
    assert clock.monotonic() == 5


async def test_clock_of_the_tests_stands_still_until_it_is_moved() -> None:
    clock = ManualClock()
    as_port: Clock = clock
    rung: list[float] = []
    for seconds in (3.0, 1.0, 2.0):
        as_port.call_later(seconds, lambda: rung.append(clock.monotonic()))
    sleeping = asyncio.ensure_future(clock.sleep(2.5))
    start = clock.now()
    await clock.advance(2)
    assert rung == [1.0, 2.0]
    assert not sleeping.done()
    await clock.advance(1)
    assert rung == [1.0, 2.0, 3.0]
    assert sleeping.done()
    assert clock.now() - start == timedelta(seconds=3)
