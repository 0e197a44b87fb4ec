"""Streams in the store, on both engines."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.errors import StoreError
from bot.core.models import Channel, StreamState, StreamUsage
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
        spoken_seconds=12.25,
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


async def test_spoken_seconds_come_with_a_state_and_stay_where_none_are_told(store: Store) -> None:
    session = await store.sessions.open(a_session())
    stream = a_stream(session, state=StreamState.OPEN, upstream_id="up-1")
    await store.streams.record(stream)
    for told, kept in ((None, None), (4.5, 4.5), (None, 4.5)):
        assert await store.streams.advance(stream.id, StreamState.CLOSING, spoken_seconds=told)
        assert [row.spoken_seconds for row in await store.streams.unsettled()] == [kept]


async def test_spoken_seconds_of_several_streams_are_noted_at_once(store: Store) -> None:
    streams = []
    for number in range(3):
        streams.append(a_stream(await store.sessions.open(a_session()), upstream_id=f"up-{number}"))
        await store.streams.record(streams[-1])
    await store.streams.note_spoken({streams[0].id: 1.5, streams[2].id: 3.0, "nobody": 9.0})
    await store.streams.note_spoken({})
    assert {row.id: row.spoken_seconds for row in await store.streams.unsettled()} == {
        streams[0].id: 1.5,
        streams[1].id: None,
        streams[2].id: 3.0,
    }


async def test_what_a_session_used_is_told_by_session_without_streams_that_were_never_named(store: Store) -> None:
    channel = Channel("discord", "guild", "general")
    busy = await store.sessions.open(a_session(channel=channel))
    asleep, other = [await store.sessions.open(a_session()) for _ in range(2)]
    over_at = NOON + timedelta(seconds=60)
    closed = a_stream(busy, state=StreamState.CLOSED, upstream_id="up-1", closed_at=over_at, spoken_seconds=20.0)
    still = a_stream(busy, state=StreamState.OPEN, upstream_id="up-2")
    for stream in (closed, still, a_stream(asleep), a_stream(other, upstream_id="up-3")):
        await store.streams.record(stream)
    used = await store.streams.usage_of([busy.id, asleep.id, "nobody"])
    assert sorted(used.pop(busy.id), key=lambda use: use.stream_id != closed.id) == [
        StreamUsage(channel, busy.id, closed.id, NOON, over_at, 20.0),
        StreamUsage(channel, busy.id, still.id, NOON, None),
    ]
    assert used == {asleep.id: [], "nobody": []}
