"""What several processes count together: the sessions of a workspace, what a person sends within a minute, and which
page has a ticket. On SQLite one process does the same."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.models import Channel, SessionState
from bot.store.store import Store
from tests.builders import a_session
from tests.harness.clock import ManualClock
from tests.harness.cluster import Cluster

MINUTE = 29_000_000


# --- sessions of a workspace -----------------------------------------------------------------------------------------


async def test_workspace_has_no_more_sessions_at_once_than_it_may(store: Store) -> None:
    first, second, third = a_session(), a_session(), a_session()
    assert await store.sessions.open_within(first, 2) == first
    assert await store.sessions.open_within(second, 2) == second
    assert await store.sessions.open_within(third, 2) is None
    assert await store.sessions.get(third.id) is None
    # Who is there already is told so, whatever the limit is.
    again = replace(third, channel=first.channel)
    assert await store.sessions.open_within(again, 1) == first
    elsewhere = a_session(channel=Channel("discord", "another guild", "general"))
    assert await store.sessions.open_within(elsewhere, 1) == elsewhere
    other_platform = a_session(channel=Channel("slack", "guild", "general"))
    assert await store.sessions.open_within(other_platform, 1) == other_platform
    await store.sessions.advance(first.id, SessionState.CLOSED)
    assert await store.sessions.open_within(third, 2) is not None


@pytest.mark.parametrize("round_", range(5))
async def test_of_many_starts_at_several_processes_as_many_come_about_as_may(cluster: Cluster, round_: int) -> None:
    if cluster.is_sqlite:
        pytest.skip("one process alone")
    stores = [await cluster.store_of(name) for name in ("a", "b", "c")]
    # Of several workspaces, each in another order, so that their locks cross.
    sessions = [
        a_session(channel=Channel("discord", f"guild-{number % 3}", f"channel-{number}")) for number in range(36)
    ]
    sessions_of = {
        store: [each for n, each in enumerate(sessions) if n % 9 // 3 == k] for k, store in enumerate(stores)
    }
    opened = await asyncio.gather(
        *(
            store.sessions.open_within(session, 4)
            for store, mine in sessions_of.items()
            for session in (mine if round_ % 2 else mine[::-1])
        )
    )
    open_ones = [session for session in opened if session is not None]
    for workspace in ("guild-0", "guild-1", "guild-2"):
        assert sum(session.channel.workspace == workspace for session in open_ones) == 4
    assert len(await stores[0].sessions.all_open()) == 12


async def test_sessions_elsewhere_are_those_of_others_and_of_nobody(cluster: Cluster) -> None:
    mine, others, shell = await cluster.store_of("mine"), await cluster.store_of("others"), await cluster.shell()
    await mine.sessions.open(a_session())
    theirs = await others.sessions.open(a_session())
    nobodys = await shell.sessions.open(a_session())
    closed = await others.sessions.open(a_session())
    await others.sessions.advance(closed.id, SessionState.CLOSED)
    assert await mine.sessions.open_elsewhere() == [(theirs, "others"), (nobodys, None)]


# --- what a person sends ---------------------------------------------------------------------------------------------


async def test_person_sends_so_many_messages_and_characters_a_minute_and_no_more(store: Store) -> None:
    most = (3, 100)
    counts = [await store.rates.count("discord:1", MINUTE, (1, 30), most) for _ in range(5)]
    assert counts == [None, None, None, "messages", "messages"]
    assert await store.rates.count("discord:2", MINUTE, (1, 100), most) is None
    assert await store.rates.count("discord:2", MINUTE, (1, 1), most) == "characters"
    assert await store.rates.count("discord:3", MINUTE, (1, 101), most) == "characters"
    assert await store.rates.count("discord:3", MINUTE, (1, 100), most) is None
    # Another minute, and all may again; what was refused has not counted.
    assert await store.rates.count("discord:1", MINUTE + 1, (1, 100), most) is None
    # Without a limit of either kind.
    assert [await store.rates.count("discord:4", MINUTE, (1, 4000), (0, 0)) for _ in range(3)] == [None] * 3
    assert await store.rates.count("discord:4", MINUTE, (0, 4000), (3, 0)) is None
    assert await store.rates.count("discord:4", MINUTE, (1, 4000), (3, 0)) == "messages"


async def test_what_was_sent_in_earlier_minutes_is_forgotten(store: Store) -> None:
    await store.rates.count("discord:1", MINUTE, (1, 30), (1, 0))
    await store.rates.count("discord:2", MINUTE + 1, (1, 30), (1, 0))
    await store.rates.forget(MINUTE + 1)
    assert await store.rates.count("discord:1", MINUTE, (1, 30), (1, 0)) is None
    assert await store.rates.count("discord:2", MINUTE + 1, (1, 30), (1, 0)) == "messages"


async def test_processes_count_one_person_together(cluster: Cluster) -> None:
    stores = [await cluster.store_of(name) for name in ("a", "b", "c")]
    counts = await asyncio.gather(
        *(store.rates.count("discord:1", MINUTE, (1, 1), (10, 0)) for store in stores for _ in range(10))
    )
    assert counts.count(None) == 10


# --- tickets ---------------------------------------------------------------------------------------------------------


async def test_of_many_pages_at_several_processes_one_has_the_ticket(cluster: Cluster) -> None:
    stores = [await cluster.store_of(name) for name in ("a", "b", "c")]
    pages = [(store, f"page-{number}-{index}") for number, store in enumerate(stores) for index in range(5)]
    taken = await asyncio.gather(*(store.tickets.take("nonce", page) for store, page in pages))
    assert taken.count(True) == 1
    store, page = pages[taken.index(True)]
    for other in stores:
        assert await other.tickets.holder("nonce") == page
        assert await other.tickets.take("nonce", page)
    assert await store.tickets.holder("another") is None


async def test_old_tickets_are_forgotten(store: Store, clock: ManualClock) -> None:
    await store.tickets.take("old", "page")
    await clock.advance(timedelta(days=1).total_seconds())
    await store.tickets.take("new", "page")
    await store.tickets.forget(clock.now() - timedelta(hours=1))
    assert await store.tickets.holder("old") is None
    assert await store.tickets.holder("new") == "page"
