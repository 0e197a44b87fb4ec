"""How processes share shards, on both engines: each shard is at one process, and nobody takes more than its share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bot.store.shards import Shards, share_of
from bot.store.store import Store
from tests.harness.cluster import Cluster


async def sharer(members: Cluster, name: str) -> Store:
    """The store of a process that shares Discord's shards."""
    store = await members.store_of(name)
    await store.shards.join("discord")
    return store


@pytest.fixture
async def members(url: str) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        members = Cluster(url, stack)
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


def test_what_others_have_is_neither_free_nor_ones_own() -> None:
    assert Shards(4, frozenset({0}), frozenset({3}), 2).elsewhere == {1, 2}
    assert Shards(0, frozenset(), frozenset(), 0).elsewhere == frozenset()


async def test_one_process_has_every_shard(members: Cluster) -> None:
    one = await sharer(members, "one")
    assert await one.shards.look("discord") == Shards(0, frozenset(), frozenset(), 1)
    assert await one.shards.claim("discord", 3) == Shards(3, frozenset({0, 1, 2}), frozenset(), 1)
    assert (await one.shards.look("elsewhere")).of == 0


async def test_two_at_once_share_them_and_what_one_releases_the_other_takes(members: Cluster) -> None:
    one, two = await sharer(members, "one"), await sharer(members, "two")
    await asyncio.gather(one.shards.claim("discord", 5), two.shards.claim("discord", 5))
    first, second = await one.shards.claim("discord", 5), await two.shards.claim("discord", 5)
    assert not first.mine & second.mine
    assert sorted((len(first.mine), len(second.mine))) == [2, 3]
    await one.shards.release("discord", [*first.mine, *second.mine])
    assert (await two.shards.look("discord")).mine == second.mine
    assert (await two.shards.look("discord")).free == first.mine


async def test_shards_of_a_process_that_has_ended_are_free(members: Cluster) -> None:
    one, two = await sharer(members, "one"), await sharer(members, "two")
    await one.shards.claim("discord", 2)
    await two.shards.claim("discord", 2)
    assert (await two.shards.look("discord")).wanted == 0
    assert await members.end("one")
    assert (await two.shards.look("discord")).wanted == 1
    assert (await two.shards.claim("discord", 2)).mine == {0, 1}


async def test_who_leaves_or_has_no_part_in_them_does_not_count(members: Cluster) -> None:
    one, two = await sharer(members, "one"), await sharer(members, "two")
    await members.store_of("three")
    await two.shards.claim("discord", 2)
    await two.shards.withdraw("discord")
    assert (await one.shards.claim("discord", 2)).mine == {0, 1}
    await two.shards.join("discord")
    assert (await two.shards.claim("discord", 2)).wanted == 0
    assert (await one.shards.look("discord")).surplus == 1
    await members.rows.announce_leaving("two")
    assert (await one.shards.look("discord")).surplus == 0


async def test_their_number_remains_while_anybody_has_one(members: Cluster) -> None:
    one, two = await sharer(members, "one"), await sharer(members, "two")
    await one.shards.claim("discord", 2)
    assert (await two.shards.claim("discord", 4)).of == 2
    await one.shards.release("discord", [0])
    await two.shards.release("discord", [1])
    assert (await two.shards.claim("discord", 3)).of == 3
    assert (await one.shards.claim("discord", 3)).mine == {2}


async def test_tickets_of_a_bucket_are_so_many_seconds_apart(members: Cluster) -> None:
    one, two = await sharer(members, "one"), await sharer(members, "two")
    assert await one.shards.take_ticket("discord", 0, 100.0) == 0.0
    assert await two.shards.take_ticket("discord", 0, 100.0) == pytest.approx(100.0, abs=10)
    assert await one.shards.take_ticket("discord", 0, 100.0) == pytest.approx(200.0, abs=10)
    assert await one.shards.take_ticket("discord", 1, 100.0) == 0.0


async def test_many_who_want_a_ticket_at_once_get_one_each(members: Cluster) -> None:
    stores = [await members.store_of(name) for name in ("one", "two", "three")]
    waits = await asyncio.gather(*(store.shards.take_ticket("discord", 0, 100.0) for store in stores * 2))
    assert [round(wait, -2) for wait in sorted(waits)] == [0, 100, 200, 300, 400, 500]
