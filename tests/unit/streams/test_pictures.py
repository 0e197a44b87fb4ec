"""When the source of a picture is opened and closed, and what becomes of those who wait for it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from bot.core.errors import PictureUnavailable
from bot.core.models import Playback, Stream, StreamState
from bot.core.pictures import PLAYLIST, MediaFile, PlaylistPosition
from bot.core.precedence import Precedence
from bot.core.sound import Sound
from bot.streams.pictures import OPEN_AGAIN, UNWATCHED_TIMEOUT, StreamPictures
from tests.harness.clock import ManualClock, settle

HLS = Playback(hls_url="https://cdn.example/a.m3u8")
ROOM = Playback(livekit_url="wss://rooms.example", livekit_token="token")
FILE = MediaFile(b"#EXTM3U", "text/plain", is_immutable=False)


class Source:
    def __init__(self) -> None:
        self.asked: list[tuple[str, PlaylistPosition | None]] = []
        self.is_closed = False

    def listen(self) -> AsyncGenerator[Sound, None]:
        raise NotImplementedError

    async def fetch(self, name: str, after: PlaylistPosition | None = None) -> MediaFile | None:
        self.asked.append((name, after))
        return FILE if name == PLAYLIST else None

    async def aclose(self) -> None:
        self.is_closed = True


class Factory:
    """Opens sources while `gate` is open, unless there is a `failure`."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, Source]] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def can_show(self, playback: Playback) -> bool:
        return playback.hls_url is not None

    async def open(self, upstream_id: str, playback: Playback) -> Source:
        source = Source()
        self.opened.append((upstream_id, source))
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return source


@pytest_asyncio.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def factory() -> Factory:
    return Factory()


@pytest.fixture
def precedence(clock: ManualClock) -> Precedence:
    return Precedence(clock)


@pytest_asyncio.fixture
async def pictures(factory: Factory, clock: ManualClock, precedence: Precedence) -> AsyncIterator[StreamPictures]:
    pictures = StreamPictures([factory], clock, precedence)
    yield pictures
    await pictures.aclose()
    assert clock.due == []


@pytest.fixture
def stream(clock: ManualClock) -> Stream:
    return Stream("stream-1", "session-1", "heygen-realtime", StreamState.OPEN, clock.now(), upstream_id="upstream-1")


def test_a_name_is_there_for_what_can_be_shown_and_tells_nothing(pictures: StreamPictures, stream: Stream) -> None:
    name = pictures.name_of(stream, HLS)
    assert name is not None
    assert not {"stream", "1"} & set(name.split("-"))
    assert name == pictures.name_of(stream, HLS)
    assert name != pictures.name_of(replace(stream, id="stream-2"), HLS)
    assert pictures.name_of(stream, ROOM) is None
    assert pictures.name_of(stream, None) is None
    assert pictures.name_of(None, HLS) is None


async def test_one_source_is_opened_with_the_first_viewer(
    pictures: StreamPictures, factory: Factory, stream: Stream
) -> None:
    factory.gate.clear()
    viewers = [asyncio.create_task(pictures.fetch(stream, HLS, PLAYLIST)) for _ in range(10)]
    await settle()
    factory.gate.set()
    assert await asyncio.gather(*viewers) == [FILE] * 10
    assert [upstream_id for upstream_id, _ in factory.opened] == ["upstream-1"]


async def test_it_is_closed_a_while_after_the_last_fetch(
    pictures: StreamPictures, factory: Factory, stream: Stream, clock: ManualClock
) -> None:
    for _ in range(5):
        await pictures.fetch(stream, HLS, PLAYLIST)
        await clock.advance(UNWATCHED_TIMEOUT - 1)
    (_, source), *_ = factory.opened
    assert not source.is_closed
    await clock.advance(1)
    assert source.is_closed
    await pictures.fetch(stream, HLS, PLAYLIST)
    assert len(factory.opened) == 2


async def test_a_message_on_its_way_goes_first(
    pictures: StreamPictures, stream: Stream, precedence: Precedence
) -> None:
    with precedence.urgent():
        fetching = asyncio.create_task(pictures.fetch(stream, HLS, PLAYLIST))
        await settle()
        assert not fetching.done()
    assert await fetching == FILE


async def test_it_is_closed_with_its_stream(pictures: StreamPictures, factory: Factory, stream: Stream) -> None:
    await pictures.fetch(stream, HLS, PLAYLIST)
    pictures.end(stream)
    pictures.end(stream)
    await settle()
    assert factory.opened[0][1].is_closed


async def test_one_that_is_still_being_opened_is_given_up_with_its_stream(
    pictures: StreamPictures, factory: Factory, stream: Stream
) -> None:
    factory.gate.clear()
    viewer = asyncio.create_task(pictures.fetch(stream, HLS, PLAYLIST))
    await settle()
    pictures.end(stream)
    with pytest.raises(PictureUnavailable):
        await viewer


async def test_one_that_cannot_be_opened_is_tried_again_but_not_by_everybody(
    pictures: StreamPictures, factory: Factory, stream: Stream, clock: ManualClock
) -> None:
    factory.failure = PictureUnavailable("no encoder")
    for _ in range(10):
        with pytest.raises(PictureUnavailable, match="no encoder"):
            await pictures.fetch(stream, HLS, PLAYLIST)
    assert len(factory.opened) == 1
    factory.failure = None
    await clock.advance(OPEN_AGAIN)
    assert await pictures.fetch(stream, HLS, PLAYLIST) is FILE


async def test_what_a_player_waits_for_reaches_the_source(
    pictures: StreamPictures, factory: Factory, stream: Stream
) -> None:
    await pictures.fetch(stream, HLS, PLAYLIST, PlaylistPosition(3, 1))
    assert factory.opened[0][1].asked == [(PLAYLIST, PlaylistPosition(3, 1))]
    assert await pictures.fetch(stream, HLS, "none") is None


async def test_what_nobody_can_show_is_not_there(pictures: StreamPictures, stream: Stream) -> None:
    assert await pictures.fetch(stream, ROOM, PLAYLIST) is None
