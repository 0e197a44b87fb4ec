"""A session ends once, for the first reason, and only its own end cuts its work short quietly."""

import asyncio

import pytest

from bot.core.models import EndReason
from bot.sessions.stop import StopScope
from tests.harness.clock import settle


class Served:
    """A session's task: serves until it is cut short, then closes."""

    def __init__(self, ending: StopScope) -> None:
        self._ending = ending
        self.may_close = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> str:
        with self._ending.scope():
            await asyncio.Event().wait()
        await self.may_close.wait()
        return "closed"


async def test_asking_for_the_end_cuts_the_work_short_and_lets_the_task_close() -> None:
    ending = StopScope()
    served = Served(ending)
    await settle()
    ending.request(EndReason.STOPPED)
    await settle()
    served.may_close.set()
    assert await served.task == "closed"
    assert ending.why == (EndReason.STOPPED, None)


async def test_the_first_reason_counts_and_closing_is_not_cut_short() -> None:
    ending = StopScope()
    served = Served(ending)
    await settle()
    ending.request(EndReason.IDLE, "nobody wrote")
    await settle()
    ending.request(EndReason.SHUTDOWN)
    ending.note_failure("too late")
    await settle()
    served.may_close.set()
    assert await served.task == "closed"
    assert ending.why == (EndReason.IDLE, "nobody wrote")


async def test_a_cancellation_from_outside_goes_through() -> None:
    served = Served(StopScope())
    await settle()
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.task


async def test_a_cancellation_from_outside_goes_through_together_with_the_end() -> None:
    ending = StopScope()
    served = Served(ending)
    await settle()
    ending.request(EndReason.STOPPED)
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.task


def test_an_end_can_be_asked_for_before_there_is_a_task() -> None:
    ending = StopScope()
    assert not ending.is_set
    ending.request(EndReason.ADMIN)
    assert ending.is_set


def test_a_failure_is_a_reason_to_end() -> None:
    ending = StopScope()
    ending.note_failure("the provider is away")
    assert ending.is_set
    assert ending.why == (EndReason.FAILED, "the provider is away")
