"""Tasks with an owner: awaited at the end, and one that fails takes no other with it."""

import asyncio

import pytest

from bot.core.tasks import TaskSet, cancel_and_wait
from bot.telemetry.logs import configure


@pytest.fixture(autouse=True)
def _logging(logging_as_it_was: None) -> None:
    configure("info", "text", [])


async def test_owner_keeps_a_task_until_it_has_ended() -> None:
    owner, go = TaskSet(), asyncio.Event()

    async def work() -> None:
        await go.wait()

    task = owner.create_task(work(), name="work")
    assert len(owner) == 1
    assert task.get_name() == "work"
    go.set()
    await task
    await asyncio.sleep(0)
    assert len(owner) == 0


async def test_close_cancels_what_runs_and_waits_until_it_has_cleaned_up() -> None:
    owner, cleaned = TaskSet(), []

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(number)

    for number in range(3):
        owner.create_task(work(number), name=f"work {number}")
    await asyncio.sleep(0)
    await owner.close()
    assert sorted(cleaned) == [0, 1, 2]
    assert len(owner) == 0
    await owner.close()


async def test_failure_is_logged_with_the_name_of_its_task_and_hurts_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner, go, done = TaskSet(), asyncio.Event(), []

    async def fail() -> None:
        raise RuntimeError("out of luck")

    async def work() -> None:
        await go.wait()
        done.append(True)

    working = owner.create_task(work(), name="the other")
    failing = owner.create_task(fail(), name="the unlucky one")
    await asyncio.wait([failing])
    await asyncio.sleep(0)
    told = capsys.readouterr().err
    assert "task failed" in told
    assert "the unlucky one" in told
    assert "RuntimeError: out of luck" in told
    go.set()
    await working
    assert done == [True]
    await owner.close()


async def test_failure_during_close_is_not_raised(capsys: pytest.CaptureFixture[str]) -> None:
    owner = TaskSet()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("while leaving")

    owner.create_task(work(), name="work")
    await asyncio.sleep(0)
    await owner.close()
    await asyncio.sleep(0)
    assert "while leaving" in capsys.readouterr().err


async def test_end_waits_for_one_task_and_takes_anything() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    await cancel_and_wait(task)
    assert ended == [True]
    assert task.cancelled()
    await cancel_and_wait(task)
    await cancel_and_wait(None)


async def test_end_asks_again_where_a_library_swallows_the_first_cancellation() -> None:
    swallowed = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.append(True)
        await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    await cancel_and_wait(task, again_after=0.01)
    assert swallowed == [True]
    assert task.cancelled()
