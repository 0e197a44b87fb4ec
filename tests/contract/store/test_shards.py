"""How processes share shards, on both engines: each shard is at one process, and nobody takes more than its share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bot.store.connections import Member
from bot.store.processes import Process, ProcessRows
from bot.store.shards import Shards, share_of
from bot.store.store import Store
from bot.store.url import parse_url
from tests.builders import NOON
from tests.harness.clock import ManualClock


class Members:
    """Processes at one database, each with a store of its own."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.rows = ProcessRows(parse_url(url))
        self._url = url
        self._stack = stack

    async def join(self, name: str, *, is_leaving: bool = False) -> Store:
        process = Process(name, 0, "host", 1, "1.0", is_active=False, is_leaving=is_leaving, started_at=NOON)
        await self.rows.join(process)
        member = Member(name, lambda: None)
        return await self._stack.enter_async_context(await Store.open(self._url, ManualClock(), member=member))


@pytest.fixture
async def members(url: str) -> AsyncIterator[Members]:
    async with AsyncExitStack() as stack:
        members = Members(url, stack)
        stack.push_async_callback(members.rows.close)
        yield members


@pytest.mark.parametrize(("count", "processes", "share"), [(1, 1, 1), (1, 3, 1), (4, 2, 2), (5, 2, 3), (3, 0, 3)])
def test_share_is_a_fair_part_rounded_up(count: int, processes: int, share: int) -> None:
    assert share_of(count, processes) == share


@pytest.mark.parametrize(
    ("shards", "wanted", "surplus"),
    [
        (Shards(4, frozenset({0}), frozenset({1, 2, 3}), 2), 1, 0),
        (Shards(4, frozenset(), frozenset({3}), 2), 1, 0),
        (Shards(4, frozenset({0, 1, 2, 3}), frozenset(), 2), 0, 2),
        (Shards(4, frozenset({0, 1, 2}), frozenset({3}), 2), 0, 0),
        (Shards(3, frozenset({0, 1}), frozenset(), 2), 0, 0),
        (Shards(0, frozenset(), frozenset(), 0), 0, 0),
    ],
)
def test_what_a_process_may_take_and_what_others_wait_for(shards: Shards, wanted: int, surplus: int) -> None:
    assert (shards.wanted, shards.surplus) == (wanted, surplus)


async def test_one_process_has_every_shard(members: Members) -> None:
    one = await members.join("one")
    assert await one.shards.look("discord") == Shards(0, frozenset(), frozenset(), 0)
    assert await one.shards.claim("discord", 3) == Shards(3, frozenset({0, 1, 2}), frozenset(), 3)
    assert await one.shards.look("elsewhere") == Shards(0, frozenset(), frozenset(), 0)


async def test_two_at_once_share_them_and_what_one_releases_the_other_takes(members: Members) -> None:
    one, two = await members.join("one"), await members.join("two")
    await asyncio.gather(one.shards.claim("discord", 5), two.shards.claim("discord", 5))
    first, second = await one.shards.claim("discord", 5), await two.shards.claim("discord", 5)
    assert not first.mine & second.mine
    assert sorted((len(first.mine), len(second.mine))) == [2, 3]
    await one.shards.release("discord", [*first.mine, *second.mine])
    assert (await two.shards.look("discord")).mine == second.mine
    assert (await two.shards.look("discord")).free == first.mine


async def test_shards_of_a_process_that_has_ended_are_free(members: Members) -> None:
    one, two = await members.join("one"), await members.join("two")
    await one.shards.claim("discord", 2)
    await two.shards.claim("discord", 2)
    assert (await two.shards.look("discord")).wanted == 0
    (ended,) = [process for process in await members.rows.everybody() if process.id == "one"]
    assert await members.rows.end(ended)
    assert (await two.shards.look("discord")).wanted == 1
    assert (await two.shards.claim("discord", 2)).mine == {0, 1}


async def test_who_leaves_counts_no_more(members: Members) -> None:
    one = await members.join("one")
    await members.join("two", is_leaving=True)
    assert (await one.shards.claim("discord", 2)).mine == {0, 1}


async def test_their_number_remains_while_anybody_has_one(members: Members) -> None:
    one, two = await members.join("one"), await members.join("two")
    await one.shards.claim("discord", 2)
    assert (await two.shards.claim("discord", 4)).of == 2
    await one.shards.release("discord", [0])
    await two.shards.release("discord", [1])
    assert (await two.shards.claim("discord", 3)).of == 3
    assert (await one.shards.claim("discord", 3)).mine == {2}


async def test_tickets_of_a_bucket_are_so_many_seconds_apart(members: Members) -> None:
    one, two = await members.join("one"), await members.join("two")
    assert await one.shards.take_ticket("discord", 0, 100.0) == 0.0
    assert await two.shards.take_ticket("discord", 0, 100.0) == pytest.approx(100.0, abs=10)
    assert await one.shards.take_ticket("discord", 0, 100.0) == pytest.approx(200.0, abs=10)
    assert await one.shards.take_ticket("discord", 1, 100.0) == 0.0


async def test_many_who_want_a_ticket_at_once_get_one_each(members: Members) -> None:
    stores = [await members.join(name) for name in ("one", "two", "three")]
    waits = await asyncio.gather(*(store.shards.take_ticket("discord", 0, 100.0) for store in stores * 2))
    assert [round(wait, -2) for wait in sorted(waits)] == [0, 100, 200, 300, 400, 500]
