"""Parts of the program that fail in ways nobody foresaw: they start again, alone, and the log has each mistake once."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from bot.core.backoff import Backoff
from bot.core.errors import SettingsError, StoreUnavailable
from bot.core.tasks import cancel_and_wait
from bot.core.unexpected import MAX_KNOWN, report_unexpected
from bot.supervision import RAN_WELL, RESTART_DELAYS, Supervised
from bot.telemetry import metrics
from tests.harness.clock import ManualClock, settle


class Work:
    """Fails as it is told, once for each of `failures`, then goes on for ever."""

    def __init__(self, clock: ManualClock, *failures: BaseException, lasts: float = 0.0) -> None:
        self._clock = clock
        self._failures = list(failures)
        self._lasts = lasts
        self.begun: list[float] = []

    async def __call__(self) -> None:
        self.begun.append(self._clock.monotonic())
        if self._lasts:
            await self._clock.sleep(self._lasts)
        if self._failures:
            raise self._failures.pop(0)
        await asyncio.Event().wait()


def running(part: Supervised) -> asyncio.Task[None]:
    return asyncio.create_task(part.run())


async def test_what_fails_starts_again_after_growing_pauses_and_says_why_meanwhile() -> None:
    clock = ManualClock()
    work = Work(clock, *(RuntimeError("out of luck") for _ in range(9)))
    part = Supervised("test", work, clock)
    with capture_logs() as logs:
        task = running(part)
        await settle()
        assert part.unhealthy_reason is not None
        reference = logs[0]["reference"]
        assert reference in part.unhealthy_reason
        assert "out of luck" not in part.unhealthy_reason
        await clock.advance(1000)
        assert part.unhealthy_reason is None
        await cancel_and_wait(task)
    pauses = [later - earlier for earlier, later in zip(work.begun, work.begun[1:], strict=False)]
    assert pauses == [*RESTART_DELAYS, RESTART_DELAYS[-1], RESTART_DELAYS[-1]]
    assert [entry["reference"] for entry in logs] == [reference] * 9


async def test_what_ran_well_for_a_while_starts_again_soon() -> None:
    clock = ManualClock()
    work = Work(clock, *(RuntimeError() for _ in range(4)), lasts=RAN_WELL)
    task = running(Supervised("test", work, clock))
    await clock.advance(4 * (RAN_WELL + RESTART_DELAYS[0]) + 1)
    assert work.begun == [number * (RAN_WELL + RESTART_DELAYS[0]) for number in range(5)]
    await cancel_and_wait(task)


@pytest.mark.parametrize("error", [SettingsError("wrong"), ExceptionGroup("", [KeyError(), SettingsError("wrong")])])
async def test_what_may_end_the_program_does(error: Exception) -> None:
    clock = ManualClock()
    part = Supervised("test", Work(clock, error), clock, may_end_program=SettingsError)
    with pytest.raises(SettingsError, match="wrong"):
        await part.run()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(),
        KeyError("type"),
        StoreUnavailable("of somebody else"),
        ExceptionGroup("", [ValueError()]),
        RecursionError(),
        asyncio.CancelledError("by a library"),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_nothing_else_does(error: BaseException) -> None:
    clock = ManualClock()
    work = Work(clock, error)
    before = metrics.restarts.labels(part="test")._value.get()
    task = running(Supervised("test", work, clock, may_end_program=SettingsError))
    await clock.advance(RESTART_DELAYS[0])
    assert len(work.begun) == 2
    assert not task.done()
    assert metrics.restarts.labels(part="test")._value.get() == before + 1
    await cancel_and_wait(task)


async def test_who_is_cancelled_stops_at_work_and_in_the_pause() -> None:
    clock = ManualClock()
    for failures in ((), (RuntimeError(),)):
        task = running(Supervised("test", Work(clock, *failures), clock))
        await settle()
        await cancel_and_wait(task)
        assert task.cancelled()


async def test_what_has_nothing_more_to_do_is_over() -> None:
    times: list[str] = []

    async def work() -> None:
        times.append("done at once")

    await Supervised("test", work, ManualClock()).run()
    assert len(times) == 1


# --- the log ---------------------------------------------------------------------------------------------------------


def fail_here() -> None:
    raise KeyError("type")


def fail_there() -> None:
    raise KeyError("type")


def error_of(fail: Callable[[], None]) -> Exception:
    try:
        fail()
    except KeyError as error:
        return error
    raise AssertionError


def test_the_same_error_is_logged_whole_once() -> None:
    with capture_logs() as logs:
        references = {report_unexpected("it failed", error_of(fail_here), number=number) for number in range(5)}
    assert len(references) == 1
    assert ["exc_info" in entry for entry in logs] == [True, False, False, False, False]
    assert [entry.get("times") for entry in logs] == [None, 2, 3, 4, 5]
    assert all(entry["number"] == number for number, entry in enumerate(logs))


def test_another_error_is_logged_whole_too() -> None:
    with capture_logs() as logs:
        assert report_unexpected("it failed", error_of(fail_here)) != report_unexpected(
            "it failed", error_of(fail_there)
        )
        report_unexpected("it failed", ExceptionGroup("", [error_of(fail_here)]))
    assert ["exc_info" in entry for entry in logs] == [True, True, False]


def test_what_is_remembered_is_bounded() -> None:
    kinds = [type(f"Error{number}", (Exception,), {}) for number in range(MAX_KNOWN + 1)]
    first = report_unexpected("it failed", kinds[0]())
    for kind in kinds[1:]:
        report_unexpected("it failed", kind())
    assert report_unexpected("it failed", kinds[0]()) != first


def test_pauses_grow_to_the_last_one_and_begin_again() -> None:
    backoff = Backoff((1, 2, 5))
    assert [backoff.next() for _ in range(5)] == [1, 2, 5, 5, 5]
    backoff.reset()
    assert backoff.next() == 1
