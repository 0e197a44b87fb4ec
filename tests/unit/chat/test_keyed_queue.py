"""Queues: order within one, side by side between them, and a limit that slow work does not use up."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from adapters.chat import keyed_queue as keyed_queue_module
from adapters.chat.keyed_queue import KeyedTaskQueue, Work
from tests.harness.clock import settle

MANY = 20


@pytest.fixture
async def queues() -> AsyncIterator[KeyedTaskQueue]:
    made = KeyedTaskQueue("test", at_once=2)
    yield made
    await made.close()


class Crowd:
    """Work that notes how many do it at the same time, and in which order it was done."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self.done: list[int] = []

    def work(self, number: int) -> Work:
        async def work() -> None:
            self._now += 1
            self.most = max(self.most, self._now)
            await asyncio.sleep(0)
            self._now -= 1
            self.done.append(number)

        return work


async def test_what_has_the_same_key_runs_in_order(queues: KeyedTaskQueue) -> None:
    crowd = Crowd()
    for number in range(MANY):
        queues.submit("channel", crowd.work(number))
    await queues.idle()

    assert crowd.done == list(range(MANY))
    assert crowd.most == 1


async def test_only_so_many_queues_work_at_once(queues: KeyedTaskQueue) -> None:
    crowd = Crowd()
    for number in range(MANY):
        queues.submit(number, crowd.work(number))
    await queues.idle()

    assert sorted(crowd.done) == list(range(MANY))
    assert crowd.most == 2


async def test_without_a_limit_all_work_at_once() -> None:
    queues, crowd = KeyedTaskQueue("test"), Crowd()
    for number in range(MANY):
        queues.submit(number, crowd.work(number))
    await queues.idle()

    assert crowd.most == MANY


async def test_channels_that_wait_for_slack_do_not_hold_up_the_others(
    queues: KeyedTaskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyed_queue_module, "LONG_WORK", 0.01)
    slack_answers, everything_else_is_done, crowd = asyncio.Event(), asyncio.Event(), Crowd()

    async def wait_for_slack() -> None:
        await slack_answers.wait()

    async def finish() -> None:
        everything_else_is_done.set()

    for number in range(MANY):
        queues.submit(f"slow {number}", wait_for_slack)
    for number in range(MANY):
        queues.submit("channel", crowd.work(number))
    queues.submit("channel", finish)
    async with asyncio.timeout(10):
        await everything_else_is_done.wait()
    assert crowd.done == list(range(MANY))

    slack_answers.set()
    await queues.idle()


async def test_work_that_only_waits_gives_its_room_to_others_and_keeps_its_place(queues: KeyedTaskQueue) -> None:
    committed, crowd = asyncio.Event(), Crowd()
    waiting: list[int] = []

    def wait_for_the_commit(number: int) -> Work:
        async def work() -> None:
            queues.give_room(number)
            queues.give_room(number)
            waiting.append(number)
            await committed.wait()

        return work

    for number in range(MANY):
        queues.submit(number, wait_for_the_commit(number))
        queues.submit(number, crowd.work(number))
    await settle()
    assert waiting == list(range(MANY))
    assert crowd.done == []

    committed.set()
    await queues.idle()
    assert sorted(crowd.done) == list(range(MANY))
    # What was given back twice, and once more at the end, is no more room than there was.
    assert crowd.most == 2


async def test_room_that_nobody_has_cannot_be_given(queues: KeyedTaskQueue) -> None:
    queues.give_room("channel")
    without_limit = KeyedTaskQueue("test")
    without_limit.submit("channel", partial(asyncio.sleep, 0))
    without_limit.give_room("channel")
    await without_limit.idle()


async def test_a_turn_comes_after_what_was_put_before_and_holds_up_what_is_behind(queues: KeyedTaskQueue) -> None:
    crowd = Crowd()
    queues.submit("channel", crowd.work(1))
    async with queues.turn("channel"):
        queues.submit("channel", crowd.work(2))
        await asyncio.sleep(0.01)
        assert crowd.done == [1]
    await queues.idle()
    assert crowd.done == [1, 2]


@pytest.mark.parametrize(("drops_oldest", "done"), [(False, [0, 1, 2]), (True, [7, 8, 9])])
async def test_queue_that_is_full_leaves_out_the_newest_or_the_oldest(drops_oldest: bool, done: list[int]) -> None:
    queues, crowd = KeyedTaskQueue("test", max_queued=3, drops_oldest=drops_oldest), Crowd()
    taken = [queues.submit("channel", crowd.work(number)) for number in range(10)]
    assert taken == [drops_oldest or number < 3 for number in range(10)]
    await queues.idle()
    assert crowd.done == done
