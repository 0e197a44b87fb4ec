"""Streams in the store, on both engines."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.errors import StoreError
from bot.core.models import StreamState
from bot.store.store import Store
from tests.builders import NOON, a_session, a_stream
from tests.harness.clock import ManualClock


async def test_an_unsettled_stream_comes_back_as_it_was_written(store: Store) -> None:
    session = await store.sessions.open(a_session())
    stream = a_stream(
        session,
        state=StreamState.CLOSING,
        upstream_id="up-1",
        hls_url="https://example.org/1.m3u8",
        closed_at=NOON,
        end_detail="was idle",
    )
    await store.streams.record(stream)
    assert await store.streams.unsettled() == [stream]


async def test_a_stream_needs_its_session(store: Store) -> None:
    with pytest.raises(StoreError, match="refused"):
        await store.streams.record(a_stream(a_session()))
    assert await store.streams.unsettled() == []


async def test_a_session_has_one_current_stream(store: Store) -> None:
    session = await store.sessions.open(a_session())
    first, second = a_stream(session), a_stream(session)
    await store.streams.record(first)
    with pytest.raises(StoreError, match="refused"):
        await store.streams.record(second)
    await store.streams.advance(first.id, StreamState.OPEN)
    with pytest.raises(StoreError, match="refused"):
        await store.streams.record(second)
    # The next may open while the one before is being closed: that is how a cut works on some providers.
    await store.streams.advance(first.id, StreamState.CLOSING)
    await store.streams.record(second)
    assert {stream.id for stream in await store.streams.unsettled()} == {first.id, second.id}


async def test_the_providers_id_is_stored_once_per_provider(store: Store) -> None:
    sessions = [await store.sessions.open(a_session()) for _ in range(2)]
    here, there = (a_stream(session) for session in sessions)
    elsewhere = a_stream(sessions[1], provider="other", state=StreamState.CLOSING)
    for stream in (here, there, elsewhere):
        await store.streams.record(stream)
    assert await store.streams.bind(here.id, "up-1")
    assert await store.streams.bind(elsewhere.id, "up-1")
    with pytest.raises(StoreError, match="refused"):
        await store.streams.bind(there.id, "up-1")
    assert not await store.streams.bind("nobody", "up-2")
    by_id = {stream.id: stream.upstream_id for stream in await store.streams.unsettled()}
    assert by_id == {here.id: "up-1", there.id: None, elsewhere.id: "up-1"}


async def test_a_stream_keeps_where_it_is_played(store: Store) -> None:
    session = await store.sessions.open(a_session())
    stream = a_stream(session)
    await store.streams.record(stream)
    assert await store.streams.advance(stream.id, StreamState.OPEN)
    assert await store.streams.advance(stream.id, StreamState.OPEN, hls_url="https://example.org/1.m3u8")
    assert await store.streams.advance(stream.id, StreamState.CLOSING, detail="stopped")
    assert await store.streams.unsettled() == [
        replace(stream, state=StreamState.CLOSING, hls_url="https://example.org/1.m3u8", end_detail="stopped")
    ]


FORWARD = {
    StreamState.CREATING: set(),
    StreamState.OPEN: {StreamState.CREATING, StreamState.OPEN},
    StreamState.CLOSING: {StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING, StreamState.LOST},
    StreamState.CLOSED: {StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING, StreamState.LOST},
    StreamState.LOST: {StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING},
}


@pytest.mark.parametrize("wanted", list(StreamState))
async def test_a_stream_never_goes_back(store: Store, wanted: StreamState) -> None:
    for state in StreamState:
        session = await store.sessions.open(a_session())
        stream = a_stream(session, state=state)
        await store.streams.record(stream)
        assert await store.streams.advance(stream.id, wanted) is (state in FORWARD[wanted])


async def test_a_settled_stream_is_unsettled_no_more(store: Store, clock: ManualClock) -> None:
    session = await store.sessions.open(a_session())
    for end in (StreamState.CLOSED, StreamState.LOST):
        stream = a_stream(session)
        await store.streams.record(stream)
        await clock.advance(5)
        assert await store.streams.advance(stream.id, end)
        assert await store.streams.unsettled() == []
    # The last one was given up as lost; it turns up, is closed, and shows when it was given up.
    assert await store.streams.advance(stream.id, StreamState.CLOSING)
    assert await store.streams.unsettled() == [
        replace(stream, state=StreamState.CLOSING, closed_at=NOON + timedelta(seconds=10))
    ]


async def test_unsettled_streams_come_oldest_first(store: Store) -> None:
    sessions = [await store.sessions.open(a_session()) for _ in range(2)]
    later = a_stream(sessions[0], created_at=NOON + timedelta(seconds=1))
    first = a_stream(sessions[1])
    await store.streams.record(later)
    await store.streams.record(first)
    assert await store.streams.unsettled() == [first, later]
