"""What came in while nobody had its session: kept in order, for who owns that next."""

from datetime import timedelta

from bot.core.models import Channel, SessionState
from bot.store.parcels import AT_ONCE
from tests.builders import a_session
from tests.harness.cluster import Cluster


async def test_parcels_come_in_their_order_to_the_owner_of_their_session_alone(cluster: Cluster) -> None:
    first, second = await cluster.store_of("a"), await cluster.store_of("b")
    mine, other = await first.sessions.open(a_session()), await second.sessions.open(a_session())
    for number in range(5):
        await second.parcels.put(mine.channel, "slack", f"mine {number}")
        await first.parcels.put(other.channel, "slack", f"other {number}")
    waiting = await first.parcels.waiting(homeless=False)
    assert [(parcel.kind, parcel.body, parcel.channel) for parcel in waiting] == [
        ("slack", f"mine {number}", mine.channel) for number in range(5)
    ]
    for parcel in waiting[:2]:
        await first.parcels.forget(parcel.id)
    assert await first.parcels.waiting(homeless=False) == waiting[2:]
    assert len(await second.parcels.waiting(homeless=True)) == 5


async def test_the_workspace_a_channel_was_heard_through_does_not_matter(cluster: Cluster) -> None:
    """A channel of several workspaces is known under one of them."""
    store = await cluster.store_of("a")
    session = await store.sessions.open(a_session())
    await store.parcels.put(Channel(session.channel.platform, "", session.channel.id), "slack", "mine")
    assert [parcel.body for parcel in await store.parcels.waiting(homeless=False)] == ["mine"]


async def test_what_waits_for_a_session_that_is_over_is_for_who_takes_the_homeless(cluster: Cluster) -> None:
    first, second = await cluster.store_of("a"), await cluster.store_of("b")
    session = await first.sessions.open(a_session())
    await first.parcels.put(session.channel, "slack", "hello")
    await first.sessions.advance(session.id, SessionState.CLOSED)
    for store in (first, second):
        assert await store.parcels.waiting(homeless=False) == []
        assert [parcel.body for parcel in await store.parcels.waiting(homeless=True)] == ["hello"]


async def test_what_waits_for_a_session_without_an_owner_waits_on(cluster: Cluster) -> None:
    shell, store = await cluster.shell(), await cluster.store_of("a")
    session = await shell.sessions.open(a_session())
    await store.parcels.put(session.channel, "slack", "hello")
    assert await store.parcels.waiting(homeless=True) == []


async def test_a_process_that_was_ended_may_still_keep_what_came_in(cluster: Cluster) -> None:
    first, second = await cluster.store_of("a"), await cluster.store_of("b")
    session = await first.sessions.open(a_session())
    assert await cluster.end("a")
    await first.parcels.put(session.channel, "slack", "hello")
    await second.sessions.claim(session.provider)
    assert [parcel.body for parcel in await second.parcels.waiting(homeless=False)] == ["hello"]


async def test_not_more_are_read_than_can_be_handled_at_once(cluster: Cluster) -> None:
    store = await cluster.store_of("a")
    session = await store.sessions.open(a_session())
    for number in range(AT_ONCE + 1):
        await store.parcels.put(session.channel, "slack", str(number))
    waiting = await store.parcels.waiting(homeless=False)
    assert [parcel.body for parcel in waiting] == [str(number) for number in range(AT_ONCE)]


async def test_what_nobody_handles_is_forgotten_in_the_end(cluster: Cluster) -> None:
    store = await cluster.store_of("a")
    session = await store.sessions.open(a_session())
    await store.parcels.put(session.channel, "slack", "old")
    await cluster.age_parcels(timedelta(hours=25))
    await store.parcels.put(session.channel, "slack", "new")
    ages = [parcel.age for parcel in await store.parcels.waiting(homeless=False)]
    assert ages[0] >= timedelta(hours=25).total_seconds() > ages[1]
    assert await store.parcels.prune(timedelta(days=1)) == 1
    assert [parcel.body for parcel in await store.parcels.waiting(homeless=False)] == ["new"]
