"""Everything that is posted is done by one task, in its order."""

import asyncio

import pytest

from bot.core.mailbox import Mailbox
from bot.core.tasks import cancel_and_wait
from tests.harness.clock import ManualClock, settle


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def mailbox(clock: ManualClock) -> Mailbox:
    return Mailbox(clock)


@pytest.fixture
def done() -> list[str]:
    return []


async def test_work_is_done_in_its_order_with_what_comes_in_meanwhile(mailbox: Mailbox, done: list[str]) -> None:
    async def note(what: str) -> None:
        if what == "first":
            mailbox.post(note, "third")
        done.append(what)

    for what in ("first", "second"):
        mailbox.post(note, what)
    await mailbox.serve()
    assert done == ["first", "second", "third"]


async def test_the_task_waits_until_something_comes_in(mailbox: Mailbox) -> None:
    assert mailbox.is_empty
    serving = asyncio.create_task(mailbox.serve())
    await settle()
    assert not serving.done()
    mailbox.wake()
    await serving
    assert mailbox.is_empty


async def test_whatever_comes_in_ends_the_idle_time_at_once(mailbox: Mailbox) -> None:
    mailbox.idle.set()
    mailbox.wake()
    assert not mailbox.idle.is_set()
    assert not mailbox.is_empty


async def test_a_timer_posts_what_its_name_was_given_last(
    mailbox: Mailbox, clock: ManualClock, done: list[str]
) -> None:
    async def note(what: str) -> None:
        done.append(what)

    mailbox.call_later("end", 1.0, note, "replaced")
    mailbox.call_later("end", 2.0, note, "end")
    mailbox.call_later("room", 1.0, note, "cancelled")
    mailbox.cancel("room")
    mailbox.cancel("room")
    await clock.advance(1.9)
    assert mailbox.is_empty
    await clock.advance(0.1)
    await mailbox.serve()
    assert done == ["end"]


async def test_after_the_timers_are_stopped_only_what_was_posted_is_done(
    mailbox: Mailbox, clock: ManualClock, done: list[str]
) -> None:
    async def note(what: str) -> None:
        done.append(what)

    mailbox.call_later("end", 1.0, note, "late")
    mailbox.wake_later("room", 1.0)
    mailbox.post(note, "posted")
    mailbox.stop_timers()
    await mailbox.serve()
    await clock.advance(1.0)
    assert done == ["posted"]
    assert mailbox.is_empty


async def test_what_was_posted_behind_work_that_is_cancelled_or_fails_stays(mailbox: Mailbox, done: list[str]) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError("no")

    async def note(what: str) -> None:
        done.append(what)

    mailbox.post(hang)
    mailbox.post(fail)
    serving = asyncio.create_task(mailbox.serve())
    await settle()
    mailbox.post(note, "behind")
    await cancel_and_wait(serving)
    with pytest.raises(ValueError, match="no"):
        await mailbox.serve()
    mailbox.wake()
    await mailbox.serve()
    assert done == ["behind"]
