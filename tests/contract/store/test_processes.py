"""Who owns a session, who may claim it, and that a process which is none any more writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import OwnershipLost
from bot.core.models import PanelMessage, SessionState, StreamState, UtteranceState
from bot.store import migrate, tables
from bot.store.processes import members_of
from bot.store.store import Store
from bot.store.url import parse_url
from bot.store.writer import TRY_EVERY
from tests.builders import NOON, a_session, a_stream, an_utterance
from tests.harness.cluster import Cluster, a_process
from tests.harness.write_faults import WriteFaults

PROVIDER = a_session().provider
RL001 = "belongs to another avatar-relay now"


# --- rows of processes -----------------------------------------------------------------------------------------------


async def test_whoever_joins_is_seen_until_it_leaves(cluster: Cluster) -> None:
    first, second = a_process("a"), a_process("b", host="elsewhere")
    await cluster.rows.join(first)
    await cluster.rows.join(second)
    assert await cluster.rows.everybody() == [first, second]
    await cluster.rows.leave("a")
    assert await members_of(parse_url(cluster.url)) == [second]


async def test_a_process_that_has_beaten_meanwhile_is_not_ended(cluster: Cluster) -> None:
    await cluster.rows.join(a_process("a"))
    assert not await cluster.rows.end(a_process("a", beat=7))
    assert await cluster.rows.end(a_process("a", beat=0))
    assert not await cluster.rows.end(a_process("a", beat=0))


async def test_a_beat_counts_and_shows_everybody_as_they_were(cluster: Cluster) -> None:
    if cluster.is_sqlite:
        pytest.skip("nobody beats on SQLite")
    await cluster.rows.join(a_process("a"))
    await cluster.rows.join(a_process("b"))
    assert await cluster.rows.beat("a") == ([a_process("a"), a_process("b")], True)
    rows, is_first = await cluster.rows.beat("a")
    assert {row.id: row.beat for row in rows} == {"a": 1, "b": 0}
    assert not is_first
    await cluster.rows.leave("a")
    assert await cluster.rows.beat("a") == ([a_process("b")], False)


async def test_whoever_is_alone_takes_the_place_of_all_before(cluster: Cluster) -> None:
    store = await cluster.store_of("dead")
    session = await store.sessions.open(a_session())
    await cluster.rows.join(a_process("a", is_leaving=True), alone=True)
    assert await cluster.rows.everybody() == [a_process("a", is_leaving=True)]
    assert await cluster.owners() == {session.id: None}


# --- who owns a session ----------------------------------------------------------------------------------------------


async def test_a_session_belongs_to_whoever_opened_it_until_it_is_closed(cluster: Cluster) -> None:
    store = await cluster.store_of("a")
    session = await store.sessions.open(a_session())
    assert await cluster.owners() == {session.id: "a"}
    await store.sessions.advance(session.id, SessionState.CLOSING)
    assert await cluster.owners() == {session.id: "a"}
    await store.sessions.advance(session.id, SessionState.CLOSED)
    assert await cluster.owners() == {session.id: None}


async def test_the_sessions_of_a_process_that_ends_are_free_and_claimed_by_another(cluster: Cluster) -> None:
    first, second = await cluster.store_of("a"), await cluster.store_of("b")
    mine = await first.sessions.open(a_session())
    other = await second.sessions.open(a_session())
    assert await second.sessions.claim(PROVIDER) == []
    assert await cluster.end("a")
    assert await cluster.owners() == {mine.id: None, other.id: "b"}
    assert await second.sessions.claim("another provider") == []
    assert await second.sessions.claim(PROVIDER) == [mine]
    assert await cluster.owners() == {mine.id: "b", other.id: "b"}
    assert await second.sessions.claim(PROVIDER) == []


async def test_closed_sessions_are_nobodys(cluster: Cluster) -> None:
    store = await cluster.store_of("a")
    session = await store.sessions.open(a_session())
    await store.sessions.advance(session.id, SessionState.CLOSED)
    assert await store.sessions.claim(PROVIDER) == []


async def test_of_two_that_claim_at_once_each_gets_what_the_other_does_not(cluster: Cluster) -> None:
    shell = await cluster.shell()
    free = [await shell.sessions.open(a_session()) for _ in range(40)]
    stores = [await cluster.store_of(name) for name in "abc"]
    claimed = await asyncio.gather(*(store.sessions.claim(PROVIDER) for store in stores))
    ids = [session.id for sessions in claimed for session in sessions]
    assert sorted(ids) == sorted(session.id for session in free)
    owners = await cluster.owners()
    for name, sessions in zip("abc", claimed, strict=True):
        assert {session.id for session in sessions} == {each for each, owner in owners.items() if owner == name}


async def test_no_more_are_claimed_than_asked_for_also_by_several_at_once(cluster: Cluster) -> None:
    shell = await cluster.shell()
    free = [await shell.sessions.open(a_session()) for _ in range(30)]
    stores = [await cluster.store_of(name) for name in "abc"]
    claimed = await asyncio.gather(*(store.sessions.claim(PROVIDER, None, 10) for store in stores))
    assert [len(sessions) for sessions in claimed] == [10, 10, 10]
    assert sorted(each.id for sessions in claimed for each in sessions) == sorted(session.id for session in free)


async def test_only_what_is_named_is_claimed(cluster: Cluster) -> None:
    shell = await cluster.shell()
    free = sorted([await shell.sessions.open(a_session()) for _ in range(6)], key=lambda session: session.id)
    store = await cluster.store_of("a")
    named = [session.id for session in free[1:5]]
    assert await store.sessions.claim(PROVIDER, []) == []
    assert sorted(each.id for each in await store.sessions.claim(PROVIDER, named, 3)) == named[:3]
    assert [each.id for each in await store.sessions.claim(PROVIDER, named)] == named[3:]
    assert sorted(each.id for each in await store.sessions.ownerless()) == [free[0].id, free[5].id]


async def test_whose_a_session_is_can_be_looked_up(cluster: Cluster) -> None:
    store, shell = await cluster.store_of("a"), await cluster.shell()
    mine, free = await store.sessions.open(a_session()), await shell.sessions.open(a_session())
    closed = await store.sessions.open(a_session())
    await store.sessions.advance(closed.id, SessionState.CLOSED)
    owners = {each.id: (each.owner, each.channel) for each in await shell.sessions.owners()}
    assert owners == {mine.id: ("a", mine.channel), free.id: (None, free.channel)}
    assert [each.id for each in await shell.sessions.ownerless()] == [free.id]
    found = await shell.sessions.owner_at(mine.channel.platform, mine.channel.id)
    assert found is not None
    assert (found.id, found.owner, found.provider) == (mine.id, "a", PROVIDER)
    assert await shell.sessions.owner_behind(mine.link_nonce) == found
    assert await shell.sessions.owner_at(closed.channel.platform, closed.channel.id) is None
    assert await shell.sessions.owner_behind(closed.link_nonce) is None


async def test_a_process_lets_go_of_what_it_does_not_know(cluster: Cluster) -> None:
    first, second = await cluster.store_of("a"), await cluster.store_of("b")
    known, unknown = [await first.sessions.open(a_session()) for _ in range(2)]
    another = await second.sessions.open(a_session())
    closed = await first.sessions.open(a_session())
    await first.sessions.advance(closed.id, SessionState.CLOSED, closed_at=NOON)
    await first.sessions.release_all_but([known.id, "one that was never written"])
    assert await cluster.owners() == {known.id: "a", unknown.id: None, another.id: "b", closed.id: None}
    assert [session.id for session in await first.sessions.claim(PROVIDER)] == [unknown.id]


async def test_what_is_claimed_comes_in_its_order(cluster: Cluster) -> None:
    shell = await cluster.shell()
    free = [await shell.sessions.open(a_session()) for _ in range(5)]
    expected = sorted(free, key=lambda session: (session.created_at, session.id))
    assert await (await cluster.store_of("a")).sessions.claim(PROVIDER) == expected


# --- the fence -------------------------------------------------------------------------------------------------------


Write = Callable[[Store], Awaitable[object]]


async def accepted(store: Store) -> tuple[str, str, str]:
    """A session with a stream and a message that waits: their ids."""
    session = await store.sessions.open(a_session())
    stream, utterance = a_stream(session), an_utterance(session)
    await store.streams.record(stream)
    await store.utterances.accept(["key"], utterance)
    return session.id, stream.id, utterance.id


async def test_a_process_that_was_ended_writes_nothing_to_what_was_accepted(cluster: Cluster) -> None:
    if cluster.is_sqlite:
        pytest.skip("the lock of the file keeps a second process away")
    store = await cluster.store_of("a")
    session_id, stream_id, utterance_id = await accepted(store)
    session = await store.sessions.get(session_id)
    assert session is not None
    assert await cluster.end("a")
    refused: list[Write] = [
        lambda store: store.sessions.open(a_session()),
        lambda store: store.sessions.advance(session_id, SessionState.CLOSED),
        lambda store: store.sessions.claim(PROVIDER),
        lambda store: store.streams.record(a_stream(session)),
        lambda store: store.streams.advance(stream_id, StreamState.CLOSED, detail="too late"),
        lambda store: store.utterances.accept([], an_utterance(session)),
        lambda store: store.utterances.advance(utterance_id, UtteranceState.SENDING),
        lambda store: store.utterances.accept(["another key"], None),
        lambda store: store.utterances.forget_keys(NOON),
        lambda store: store.panels.place("slack", PanelMessage(session_id, "somewhere")),
        lambda store: store.panels.forget(session_id),
        lambda store: store.outlets.enter(session_id, "discord", "elsewhere"),
        lambda store: store.outlets.leave(session_id),
    ]
    for number, write in enumerate(refused, 1):
        with pytest.raises(OwnershipLost, match=RL001):
            await write(store)
        assert len(cluster.fenced) >= number
    # Reading is allowed, and the shell is nobody's process.
    assert await store.sessions.get(session_id) == session
    shell = await cluster.shell()
    assert await shell.sessions.request_stop(session_id, "shell:operator")
    assert await shell.sessions.advance(session_id, SessionState.CLOSED)
    await shell.utterances.advance(utterance_id, UtteranceState.DROPPED)


@pytest.mark.postgres
@pytest.mark.parametrize("table", [table.name for table in tables.FENCED])
async def test_without_its_trigger_a_table_would_take_the_writes_of_a_process_that_was_ended(
    new_postgres_url: Callable[[], str], table: str
) -> None:
    """The test above proves something only if this one is so."""
    url = await asyncio.to_thread(new_postgres_url)
    await migrate.upgrade(url)
    await migrate.over_connection(
        url, lambda connection: connection.exec_driver_sql(f"DROP TRIGGER still_a_member ON {table}")
    )
    async with AsyncExitStack() as stack:
        unfenced = Cluster(url, stack)
        stack.push_async_callback(unfenced.rows.close)
        store = await unfenced.store_of("a")
        session_id, stream_id, utterance_id = await accepted(store)
        await unfenced.end("a")
        writes: dict[str, Write] = {
            "sessions": lambda store: store.sessions.request_stop(session_id, "a former process"),
            "streams": lambda store: store.streams.advance(stream_id, StreamState.CLOSED, detail="too late"),
            "utterances": lambda store: store.utterances.advance(utterance_id, UtteranceState.SENDING),
            "processed_events": lambda store: store.utterances.accept(["another key"], None),
            "panels": lambda store: store.panels.place("slack", PanelMessage(session_id, "somewhere")),
            "outlets": lambda store: store.outlets.enter(session_id, "discord", "elsewhere"),
        }
        for name, write in writes.items():
            if name == table:
                await write(store)
            else:
                with pytest.raises(OwnershipLost):
                    await write(store)


class HeldOpen(WriteFaults):
    """Keeps the transaction that comes next open between its last statement and its commit."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held = False
        self.written = asyncio.Event()
        self.go_on = asyncio.Event()

    async def after_work(self, connection: AsyncConnection) -> None:
        if self.is_held:
            self.is_held = False
            self.written.set()
            await self.go_on.wait()


async def test_whoever_takes_over_sees_what_was_committed_last_and_nothing_comes_later(cluster: Cluster) -> None:
    """`queued -> sending` is open while the row is deleted: the delete waits, and the next one finds it in flight."""
    if cluster.is_sqlite:
        pytest.skip("a transaction that writes is alone")
    held = HeldOpen()
    first = await cluster.store_of("a", held)
    second = await cluster.store_of("b")
    session_id, _, utterance_id = await accepted(first)
    held.is_held = True
    sending = asyncio.create_task(first.utterances.advance(utterance_id, UtteranceState.SENDING))
    await held.written.wait()
    ending = asyncio.create_task(cluster.end("a"))
    done, _ = await asyncio.wait({ending}, timeout=0.5)
    assert not done
    assert await second.sessions.claim(PROVIDER) == []
    held.go_on.set()
    await sending
    assert await ending
    (claimed,) = await second.sessions.claim(PROVIDER)
    assert claimed.id == session_id
    await second.utterances.mark_in_flight_unknown([session_id])
    in_doubt = await second.doubts.of_sessions([session_id])
    assert [utterance.id for utterance in in_doubt[session_id]] == [utterance_id]
    with pytest.raises(OwnershipLost):
        await first.utterances.advance(utterance_id, UtteranceState.SPOKEN)


async def test_a_transaction_that_is_left_open_comes_to_nothing(cluster: Cluster) -> None:
    """As of a process that was stopped in the middle of one."""
    if cluster.is_sqlite:
        pytest.skip("a transaction that writes is alone")
    held = HeldOpen()
    first = await cluster.store_of("a", held)
    second = await cluster.store_of("b")
    session_id, _, utterance_id = await accepted(first)
    held.is_held = True
    sending = asyncio.create_task(first.utterances.advance(utterance_id, UtteranceState.SENDING))
    await held.written.wait()
    assert await cluster.end("a")
    assert len(await second.sessions.claim(PROVIDER)) == 1
    held.go_on.set()
    # It is tried again, as of one whose connection was lost, and refused.
    while not sending.done():
        await cluster.clock.advance(TRY_EVERY)
        await asyncio.sleep(0.01)
    with pytest.raises(OwnershipLost):
        await sending
    queued = await second.utterances.queued([session_id])
    assert [utterance.id for utterance in queued[session_id]] == [utterance_id]


@pytest.mark.postgres
async def test_without_the_lock_on_its_row_a_process_that_was_ended_could_still_commit(
    new_postgres_url: Callable[[], str],
) -> None:
    """A condition alone is decided before the takeover, and committed after it: the next one has not seen it, and both
    would say the line. The two tests above prove something only if this one is so."""
    url = await asyncio.to_thread(new_postgres_url)
    await migrate.upgrade(url)
    without_lock = tables._STILL_A_MEMBER.replace("FOR KEY SHARE", "")
    assert without_lock != tables._STILL_A_MEMBER
    await migrate.over_connection(url, lambda connection: connection.exec_driver_sql(without_lock))
    async with AsyncExitStack() as stack:
        cluster = Cluster(url, stack)
        stack.push_async_callback(cluster.rows.close)
        held = HeldOpen()
        first = await cluster.store_of("a", held)
        second = await cluster.store_of("b")
        session_id, _, utterance_id = await accepted(first)
        held.is_held = True
        sending = asyncio.create_task(first.utterances.advance(utterance_id, UtteranceState.SENDING))
        await held.written.wait()
        assert await cluster.end("a")
        assert len(await second.sessions.claim(PROVIDER)) == 1
        queued = await second.utterances.queued([session_id])
        held.go_on.set()
        await sending
        assert [utterance.id for utterance in queued[session_id]] == [utterance_id]
