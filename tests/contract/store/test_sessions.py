"""Sessions in the store, on both engines."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.core.errors import StoreError
from bot.core.models import Channel, EndReason, Mode, Session, SessionState
from bot.store.store import Store
from tests.builders import CHANNEL, NOON, a_session
from tests.harness.clock import ManualClock


async def test_a_session_comes_back_as_it_was_written(store: Store) -> None:
    session = a_session(
        state=SessionState.CLOSED,
        mode=Mode.CHAT,
        live_at=NOON + timedelta(microseconds=1),
        closed_at=NOON + timedelta(days=1),
        end_reason=EndReason.PROVIDER_ENDED,
        end_detail="the avatar went home: 再见 🦜",
        stop_requested_by="slack:U1",
        speed=1.15,
        language="pt-BR",
    )
    await store.sessions.open(session)
    assert await store.sessions.get(session.id) == session


async def test_a_time_in_another_zone_comes_back_as_utc(store: Store) -> None:
    session = a_session(created_at=datetime(2026, 11, 20, 14, 0, tzinfo=timezone(timedelta(hours=2))))
    await store.sessions.open(session)
    read = await store.sessions.get(session.id)
    assert read is not None
    assert read.created_at == NOON
    assert read.created_at.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="without a zone"):
        await store.sessions.open(a_session(created_at=datetime(2026, 11, 20, 12, 0)))  # noqa: DTZ001 - the point


async def test_twenty_simultaneous_starts_give_one_session(store: Store) -> None:
    candidates = [a_session(channel=CHANNEL) for _ in range(20)]
    in_force = await asyncio.gather(*(store.sessions.open(candidate) for candidate in candidates))
    assert set(in_force) == {candidates[0]}
    assert await store.sessions.all_open() == [candidates[0]]


async def test_two_programs_on_one_database_open_one_session(store: Store, url: str, clock: ManualClock) -> None:
    async with await Store.open(url, clock) as other:
        in_force = await asyncio.gather(
            *(each.sessions.open(a_session(channel=CHANNEL)) for each in (store, other) for _ in range(10))
        )
    assert len(set(in_force)) == 1
    assert await store.sessions.all_open() == [in_force[0]]


@pytest.mark.parametrize("state", [SessionState.OPENING, SessionState.LIVE, SessionState.CLOSING])
async def test_a_session_occupies_its_channel_until_it_is_closed(store: Store, state: SessionState) -> None:
    first = await store.sessions.open(a_session(channel=CHANNEL, state=state))
    assert await store.sessions.open(a_session(channel=CHANNEL)) == first
    assert await store.sessions.running_in(CHANNEL) == first

    await store.sessions.advance(first.id, SessionState.CLOSED)
    assert await store.sessions.running_in(CHANNEL) is None
    second = a_session(channel=CHANNEL)
    assert await store.sessions.open(second) == second
    assert await store.sessions.running_in(CHANNEL) == second


async def test_channels_of_other_platforms_and_with_other_ids_are_different(store: Store) -> None:
    channels = [CHANNEL, *(CHANNEL._replace(**{part: "other"}) for part in ("platform", "id"))]
    opened = [await store.sessions.open(a_session(channel=channel)) for channel in channels]
    assert [await store.sessions.running_in(channel) for channel in channels] == opened
    assert len(set(opened)) == 3


@pytest.mark.parametrize("at_once", [None, 10])
async def test_a_channel_that_two_workspaces_share_has_one_session(store: Store, url: str, at_once: int | None) -> None:
    """Of starts at the same time, through either workspace and at either process, one opens it."""
    theirs = CHANNEL._replace(workspace="another company")
    async with await Store.open(url, ManualClock()) as other:

        async def start(at: Store, channel: Channel) -> Session | None:
            session = a_session(channel=channel)
            if at_once is None:
                return await at.sessions.open(session)
            return await at.sessions.open_within(session, at_once)

        starts = [start(at, channel) for at in (store, other) for channel in (CHANNEL, theirs) for _ in range(5)]
        in_force = await asyncio.gather(*starts)
    assert len(set(in_force)) == 1
    assert await store.sessions.all_open() == [in_force[0]]
    assert await store.sessions.running_in(CHANNEL) == await store.sessions.running_in(theirs) == in_force[0]


async def test_a_link_names_one_session(store: Store) -> None:
    session = await store.sessions.open(a_session())
    assert await store.sessions.by_link(session.link_nonce) == session
    with pytest.raises(StoreError, match="link_nonce") as refusal:
        await store.sessions.open(a_session(link_nonce=session.link_nonce))
    assert session.link_nonce not in str(refusal.value)


async def test_a_session_goes_forward_and_keeps_when_and_why(store: Store, clock: ManualClock) -> None:
    session = await store.sessions.open(a_session())
    assert await store.sessions.advance(session.id, SessionState.LIVE, live_at=NOON + timedelta(seconds=3))
    assert await store.sessions.advance(
        session.id, SessionState.CLOSING, end_reason=EndReason.IDLE, end_detail="nobody wrote"
    )
    await clock.advance(60)
    assert await store.sessions.advance(session.id, SessionState.CLOSED)
    assert await store.sessions.get(session.id) == replace(
        session,
        state=SessionState.CLOSED,
        live_at=NOON + timedelta(seconds=3),
        closed_at=NOON + timedelta(seconds=60),
        end_reason=EndReason.IDLE,
        end_detail="nobody wrote",
    )


STATES = list(SessionState)


@pytest.mark.parametrize("current", STATES)
@pytest.mark.parametrize("wanted", STATES)
async def test_a_session_never_goes_back(store: Store, current: SessionState, wanted: SessionState) -> None:
    session = await store.sessions.open(a_session(state=current))
    moved = await store.sessions.advance(session.id, wanted, end_detail="changed")
    assert moved is (STATES.index(wanted) > STATES.index(current))
    read = await store.sessions.get(session.id)
    assert read is not None
    assert (read.state, read.end_detail) == ((wanted, "changed") if moved else (current, None))


async def test_one_of_many_who_want_to_close_gets_it(store: Store) -> None:
    session = await store.sessions.open(a_session())
    moved = await asyncio.gather(
        *(store.sessions.advance(session.id, SessionState.CLOSING, end_detail=str(i)) for i in range(20))
    )
    assert moved == [True] + [False] * 19


async def test_an_unknown_session_is_not_there(store: Store) -> None:
    assert await store.sessions.get("nobody") is None
    assert await store.sessions.by_link("nobody") is None
    assert await store.sessions.running_in(CHANNEL) is None
    assert not await store.sessions.advance("nobody", SessionState.LIVE)
    assert not await store.sessions.set_mode("nobody", Mode.CHAT)
    assert not await store.sessions.request_stop("nobody", "discord:1")


async def test_a_closed_session_takes_no_more_wishes(store: Store) -> None:
    session = await store.sessions.open(a_session(state=SessionState.CLOSED))
    assert not await store.sessions.set_mode(session.id, Mode.CHAT)
    assert not await store.sessions.request_stop(session.id, "discord:1")
    assert await store.sessions.get(session.id) == session


async def test_the_mode_can_be_changed(store: Store) -> None:
    session = await store.sessions.open(a_session())
    assert await store.sessions.set_mode(session.id, Mode.CHAT)
    assert await store.sessions.get(session.id) == replace(session, mode=Mode.CHAT)


async def test_stop_requests_are_those_of_open_sessions(store: Store) -> None:
    wanted, done, other = [await store.sessions.open(a_session()) for _ in range(3)]
    assert await store.sessions.request_stop(wanted.id, "shell")
    assert await store.sessions.request_stop(done.id, "shell")
    await store.sessions.advance(done.id, SessionState.CLOSED)
    assert await store.sessions.stop_requests() == [(wanted.id, "shell")]
    assert other in await store.sessions.all_open()


async def test_open_sessions_come_oldest_first(store: Store) -> None:
    later = await store.sessions.open(a_session(created_at=NOON + timedelta(seconds=1)))
    first = await store.sessions.open(a_session())
    closed = await store.sessions.open(a_session(state=SessionState.CLOSED))
    assert await store.sessions.all_open() == [first, later]
    assert await store.sessions.get(closed.id) == closed
