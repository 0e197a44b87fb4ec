"""Whose a session is, as every process has it in memory, and who claims it: over real rows and a bus in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest

from bot.cluster.bus import PostgresBus
from bot.cluster.claims import Recovery, SessionClaims
from bot.cluster.directory import READ_EVERY, SessionDirectory
from bot.cluster.parcels import SessionParcels
from bot.core.bus import NOBODY
from bot.core.errors import StoreUnavailable
from bot.core.models import Channel, Session, SessionState
from bot.core.policy import LATE_AFTER
from bot.core.tasks import cancel_and_wait
from bot.store.store import Store
from bot.store.url import parse_url
from tests.builders import a_session
from tests.fakes.notifications import FakeListener, NotifyingServer
from tests.harness.clock import ManualClock, settle
from tests.harness.cluster import Cluster

ADDRESS = parse_url("postgresql://relay@nowhere/relay")


class Keeper:
    """What sessions become of that a process claims: nothing but its own."""

    def __init__(self, store: Store) -> None:
        self.provider = a_session().provider
        self.sessions: dict[str, Session] = {}
        self.limits: list[int | None] = []
        self.after_absence: list[bool] = []
        self.is_in_trouble = False
        self._store = store

    def __len__(self) -> int:
        return len(self.sessions)

    def serves(self, session_id: str) -> bool:
        return session_id in self.sessions

    async def recover(
        self, among: Sequence[str] | None, limit: int | None, *, left_behind: bool, after_absence: bool
    ) -> Recovery:
        if self.is_in_trouble:
            raise StoreUnavailable("the database does not answer")
        self.limits.append(limit)
        self.after_absence.append(after_absence)
        found = await self._store.sessions.claim(self.provider, among, limit)
        self.sessions |= {session.id: session for session in found}
        return Recovery(len(found), sessions=found)


@dataclass
class Shares:
    """Who shares the work."""

    sharers: int = 2
    is_first: bool = True
    acts: bool = True
    lived: frozenset[str] = frozenset()

    def may_act(self) -> bool:
        return self.acts

    def has_lived(self, process_id: str) -> bool:
        return process_id in self.lived


class Member:
    """One process: its store, bus, directory and claims."""

    def __init__(self, name: str, store: Store, bus: PostgresBus, clock: ManualClock) -> None:
        self.name, self.store, self.bus = name, store, bus
        self.shares = Shares()
        self.parcels = SessionParcels(store)
        self.directory = SessionDirectory(
            store, bus, clock, is_alone=lambda: self.shares.sharers == 1, is_first=lambda: self.shares.is_first
        )
        self.keeper = Keeper(store)
        self.claims = SessionClaims(store, self.shares, self.directory, self.parcels, bus, clock)
        self.others: list[str] = []
        self.claims.sessions, self.claims.recover = self.keeper, self.keeper.recover
        self.claims.on_others, self.claims.on_recovery = self._on_others, lambda _: None

    async def _on_others(self) -> None:
        self.others.append("called")

    async def open(self, channel: Channel | None = None) -> Session:
        session = await self.store.sessions.open(a_session() if channel is None else a_session(channel=channel))
        self.directory.opened(session)
        await settle()
        return session

    async def close(self, session: Session) -> None:
        await self.store.sessions.advance(session.id, SessionState.CLOSED)
        self.directory.closed(session)
        await settle()


class Members:
    """Processes that share a database and a server of notifications."""

    def __init__(self, cluster: Cluster, stack: AsyncExitStack) -> None:
        self.cluster, self._stack = cluster, stack
        self.clock, self.server = ManualClock(), NotifyingServer()

    async def joined(self, name: str) -> Member:
        bus = await self._stack.enter_async_context(PostgresBus(ADDRESS, name, "all", self.clock, self.server.wire))
        member = Member(name, await self.cluster.store_of(name), bus, self.clock)
        self._stack.push_async_callback(member.directory.close)
        await member.directory.read()
        return member


@pytest.fixture
async def members(cluster: Cluster) -> AsyncIterator[Members]:
    async with AsyncExitStack() as stack:
        yield Members(cluster, stack)


# --- the directory ---------------------------------------------------------------------------------------------------


async def test_the_others_know_a_session_from_its_opening_to_its_end(members: Members) -> None:
    a, b = await members.joined("a"), await members.joined("b")
    session = await a.open()
    elsewhere = Channel(session.channel.platform, "another workspace", session.channel.id)
    assert b.directory.owner_of(session.channel) == b.directory.owner_of(elsewhere) == "a"
    assert b.directory.owner_of_link(session.link_nonce) == "a"
    assert a.directory.owner_of(session.channel) is None
    assert a.directory.owner_of_link(session.link_nonce) is None
    await a.close(session)
    assert b.directory.owner_of(session.channel) is None
    assert b.directory.owner_of_link(session.link_nonce) is None


async def test_who_joins_later_reads_what_there_is(members: Members) -> None:
    a = await members.joined("a")
    session = await a.open()
    b = await members.joined("b")
    assert b.directory.owner_of(session.channel) == "a"
    assert a.directory.owner_of(session.channel) is None


async def test_a_hint_that_was_lost_is_made_good_by_a_look_or_by_the_next_reading(members: Members) -> None:
    a, b = await members.joined("a"), await members.joined("b")
    before = len(members.clock.due)
    reading = asyncio.create_task(b.directory.run())
    # The first reading is over: on a busy machine it would come upon what is opened now.
    await _until(lambda: len(members.clock.due) > before)
    members.server.loses = lambda _: True
    first, second = await a.open(), await a.open()
    assert b.directory.owner_of(first.channel) is None
    assert await b.directory.find(first.channel) == "a"
    assert b.directory.owner_of(first.channel) == "a"
    assert await b.directory.find_link(second.link_nonce) == "a"
    third = await a.open()
    assert b.directory.owner_of(third.channel) is None
    await members.clock.advance(READ_EVERY)
    await _until(lambda: b.directory.owner_of(third.channel) == "a")
    await a.close(first)
    assert await b.directory.find(first.channel) == "a"
    assert await b.directory.find(first.channel, afresh=True) is None
    assert b.directory.owner_of(first.channel) is None
    await cancel_and_wait(reading)


async def test_who_listens_anew_reads_what_was_missed(members: Members) -> None:
    a, b = await members.joined("a"), await members.joined("b")
    reading = asyncio.create_task(b.directory.run())
    await _until(lambda: not b.directory._is_stale.is_set())
    listener = b.bus._listener
    assert isinstance(listener, FakeListener)
    listener.lose()
    await settle()
    session = await a.open()
    assert b.directory.owner_of(session.channel) is None
    await members.clock.advance(1.0)
    await _until(lambda: b.directory.owner_of(session.channel) == "a")
    await cancel_and_wait(reading)


async def test_the_end_of_a_former_session_does_not_hide_the_next_one(members: Members) -> None:
    a, b, c = [await members.joined(name) for name in "abc"]
    former = await a.open()
    await a.store.sessions.advance(former.id, SessionState.CLOSED)
    session = await b.open(former.channel)
    # Late: `b` was quicker to tell than `a`.
    a.directory.closed(former)
    await settle()
    assert c.directory.owner_of(session.channel) == "b"


async def test_a_process_alone_asks_nobody_until_another_one_has_left_something(members: Members) -> None:
    a, b = await members.joined("a"), await members.joined("b")
    session = await b.open()
    a.shares.sharers = 1
    assert not a.directory.is_alone
    a.directory.process_gone("b")
    assert not a.directory.is_alone
    assert a.directory.owner_of(session.channel) == NOBODY
    await members.cluster.end("b")
    await a.claims.claim()
    assert a.directory.is_alone
    assert a.directory.owner_of(session.channel) is None


# --- claims ----------------------------------------------------------------------------------------------------------


async def test_the_sessions_of_a_process_that_has_gone_are_nobodys_until_they_are_claimed(members: Members) -> None:
    a, b, c = [await members.joined(name) for name in "abc"]
    session = await a.open()
    assert await members.cluster.end("a")
    for other in (b, c):
        other.directory.process_gone("a")
        assert other.directory.owner_of(session.channel) == NOBODY
        assert await other.directory.find(session.channel, afresh=True) == NOBODY
    told: list[str | None] = []

    async def claimed(sessions: Sequence[Session]) -> None:
        # What comes in now still waits for what was kept before.
        told.append(b.directory.owner_of(sessions[0].channel))
        told.append(await b.directory.find(sessions[0].channel, afresh=True))

    b.claims.when_claimed(session.channel.platform, claimed)
    assert [each.id for each in (await b.claims.claim()).sessions] == [session.id]
    await settle()
    assert told == [NOBODY, NOBODY]
    assert b.directory.owner_of(session.channel) is None
    assert c.directory.owner_of(session.channel) == "b"


async def test_a_claimed_session_is_on_its_way_where_it_still_counts_as_its_former_owners(members: Members) -> None:
    """What is known is looked at before the database: the end of the owner and the claim may come in between."""
    a, b = await members.joined("a"), await members.joined("b")
    session = await a.open()
    assert await members.cluster.end("a")
    told: list[str | None] = []

    async def claimed(_: Sequence[Session]) -> None:
        told.append(await b.directory.find(session.channel, afresh=True))

    b.claims.when_claimed(session.channel.platform, claimed)
    await b.claims.claim()
    assert told == [NOBODY]
    assert await b.directory.find(session.channel, afresh=True) is None


async def test_what_was_kept_is_handled_before_the_others_send_to_the_next_owner(members: Members) -> None:
    a, b, c = [await members.joined(name) for name in "abc"]
    session = await a.open()
    assert await members.cluster.end("a")
    for number in range(3):
        await c.parcels.put(session.channel, "slack", str(number))
    opened: list[tuple[str, str | None]] = []

    async def open_it(body: str, _late_by: float | None) -> None:
        opened.append((body, b.directory.owner_of(session.channel)))

    b.directory.process_gone("a")
    b.parcels.handle("slack", open_it)
    await b.claims.claim()
    assert opened == [("0", NOBODY), ("1", NOBODY), ("2", NOBODY)]
    assert await b.store.parcels.waiting(homeless=True) == []


async def test_what_cannot_be_handled_now_is_handled_later_and_what_never_can_is_dropped(members: Members) -> None:
    a = await members.joined("a")
    session = await a.open()
    for body in ("hello", "a mistake", "again"):
        await a.parcels.put(session.channel, "slack", body)
    opened: list[str] = []
    is_in_trouble = True

    async def open_it(body: str, _late_by: float | None) -> None:
        if body == "a mistake":
            raise KeyError(body)
        if body == "again" and is_in_trouble:
            raise StoreUnavailable("the database does not answer")
        opened.append(body)

    a.parcels.handle("slack", open_it)
    with pytest.raises(StoreUnavailable):
        await a.parcels.open_waiting(homeless=False)
    assert opened == ["hello"]
    is_in_trouble = False
    await a.parcels.open_waiting(homeless=False)
    assert opened == ["hello", "again"]
    assert await a.store.parcels.waiting(homeless=True) == []


async def test_what_was_kept_too_long_is_told_to_be_late(members: Members) -> None:
    a = await members.joined("a")
    session = await a.open()
    await a.parcels.put(session.channel, "slack", "from long ago")
    await members.cluster.age_parcels(timedelta(seconds=LATE_AFTER + 60))
    await a.parcels.put(session.channel, "slack", "from now")
    opened: dict[str, float | None] = {}

    async def open_it(body: str, late_by: float | None) -> None:
        opened[body] = late_by

    a.parcels.handle("slack", open_it)
    await a.parcels.open_waiting(homeless=False)
    assert opened["from now"] is None
    assert opened["from long ago"] is not None
    assert LATE_AFTER + 60 <= opened["from long ago"] < LATE_AFTER + 3600
    assert await a.store.parcels.waiting(homeless=True) == []


async def test_each_takes_its_share_and_all_are_taken(members: Members) -> None:
    shell = await members.cluster.shell()
    for _ in range(30):
        await shell.sessions.open(a_session())
    a, b = await members.joined("a"), await members.joined("b")
    await asyncio.gather(a.claims.claim(), b.claims.claim())
    assert len(a.keeper) >= 8
    assert len(b.keeper) >= 8
    while len(a.keeper) + len(b.keeper) < 30:
        await a.claims.claim()
    b.shares.sharers = 1
    await b.claims.claim()
    assert b.keeper.limits[-1] is None


async def test_nobody_may_have_run_before_what_was_free_when_a_process_came(members: Members) -> None:
    shell = await members.cluster.shell()
    for _ in range(3):
        await shell.sessions.open(a_session())
    a = await members.joined("a")
    a.keeper.is_in_trouble = True
    with pytest.raises(StoreUnavailable):
        await a.claims.claim()
    a.keeper.is_in_trouble = False
    for _ in range(3):
        await a.claims.claim()
    await shell.sessions.open(a_session())
    await a.claims.claim()
    # The third found nothing free any more.
    assert [len(a.keeper), a.keeper.limits] == [4, [2, 1, 0, 1]]
    assert a.keeper.after_absence == [True, True, True, False]


async def test_a_process_that_was_seen_to_live_is_taken_over_from_without_an_absence(members: Members) -> None:
    """Of which nobody knows how long ago it died was dead before this one came."""
    a, b, c = [await members.joined(name) for name in "abc"]
    c.shares.lived = frozenset("a")
    await c.claims.claim()
    for gone in (a, b):
        await gone.open()
        await members.cluster.end(gone.name)
        c.claims.process_gone(gone.name)
        await c.claims.claim()
    assert len(c.keeper) == 2
    assert c.keeper.after_absence == [True, False, True]


async def test_what_an_adapter_does_not_allow_is_left_to_another_process(members: Members) -> None:
    shell = await members.cluster.shell()
    sessions = [await shell.sessions.open(a_session()) for _ in range(6)]
    platform = sessions[0].channel.platform
    a, b = await members.joined("a"), await members.joined("b")
    a.claims.allow_only(platform, lambda channel: channel == sessions[2].channel)
    b.claims.allow_only(platform, lambda channel: channel != sessions[2].channel)
    for _ in sessions:
        await a.claims.claim()
        await b.claims.claim()
    assert set(a.keeper.sessions) == {sessions[2].id}
    assert set(b.keeper.sessions) == {session.id for session in sessions} - {sessions[2].id}


async def test_a_process_that_is_alone_takes_up_what_costs_money_whatever_its_adapters_reach(members: Members) -> None:
    shell = await members.cluster.shell()
    session = await shell.sessions.open(a_session())
    a = await members.joined("a")
    a.claims.allow_only(session.channel.platform, lambda _: False)
    await a.claims.claim()
    assert len(a.keeper) == 0
    a.shares.sharers = 1
    await a.claims.claim()
    assert set(a.keeper.sessions) == {session.id}


async def test_who_may_not_act_claims_nothing(members: Members) -> None:
    shell = await members.cluster.shell()
    await shell.sessions.open(a_session())
    a = await members.joined("a")
    a.shares.acts = False
    assert await a.claims.claim() == Recovery()
    assert len(a.keeper) == 0


async def test_a_claim_is_made_at_every_beat_and_goes_on_after_trouble(members: Members) -> None:
    shell = await members.cluster.shell()
    a = await members.joined("a")
    a.keeper.is_in_trouble = True
    running = asyncio.create_task(a.claims.run())
    await members.clock.advance(1.0)
    await shell.sessions.open(a_session())
    a.keeper.is_in_trouble = False
    async with asyncio.timeout(20):
        while not len(a.keeper):
            await members.clock.advance(1.0)
            await asyncio.sleep(0.01)
    await cancel_and_wait(running)


async def test_sessions_of_another_provider_are_told_of_once(members: Members) -> None:
    shell = await members.cluster.shell()
    await shell.sessions.open(a_session(provider="another"))
    a = await members.joined("a")
    for _ in range(3):
        await a.claims.claim()
    assert a.others == ["called"]
    assert len(a.keeper) == 0


async def test_one_process_looks_after_what_one_that_has_ended_left_of_what_nobody_claims(members: Members) -> None:
    a, b = await members.joined("a"), await members.joined("b")
    b.shares.is_first = False
    looked: list[str] = []

    def note(name: str) -> Callable[[], Awaitable[None]]:
        async def then() -> None:
            looked.append(name)

        return then

    for member in (a, b):
        await member.claims.claim()
        member.claims.when_ended("test", note(member.name))
    assert looked == []
    for member in (b, a):
        member.claims.process_gone("c")
        await member.claims.claim()
        await member.claims.claim()
    assert looked == ["a"]


async def test_sessions_that_are_released_are_claimed_by_another_process_at_once(members: Members) -> None:
    a, b = await members.joined("a"), await members.joined("b")
    session = await a.open()
    claiming = asyncio.create_task(b.claims.run())
    await settle()
    let_go: list[str] = []

    async def note(session_id: str) -> None:
        let_go.append(session_id)

    a.claims.before_release(session.channel.platform, note)
    a.directory.released(session)
    assert a.directory.owner_of(session.channel) == NOBODY
    await a.claims.let_go([session])
    assert let_go == [session.id]
    await members.cluster.release(session.id)
    await a.claims.released()
    # No time passes.
    await _until(lambda: b.keeper.serves(session.id) and a.directory.owner_of(session.channel) == "b")
    await cancel_and_wait(claiming)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a database in another thread or process
            await asyncio.sleep(0.01)
