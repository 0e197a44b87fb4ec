"""What a session sounds like: over its streams, only while somebody listens, and not beyond an interrupt."""

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
import pytest_asyncio

from bot.core.errors import PictureUnavailable
from bot.core.models import Playback, Stream, StreamState
from bot.core.pictures import MediaFile, PlaylistPosition
from bot.core.precedence import Precedence
from bot.core.sound import FRAME, FRAME_BYTES, Sound
from bot.streams.pictures import UNWATCHED_TIMEOUT, StreamPictures
from bot.streams.sound import AFTERMATH, LISTEN_AGAIN, UNSETTLED_LIMIT, SessionSound
from tests.harness.clock import ManualClock, settle

HLS = Playback(hls_url="https://cdn.example/a.m3u8")
QUIET = bytes(FRAME_BYTES)


def loud(word: int) -> bytes:
    """A piece that is told from others."""
    return struct.pack(f"<{FRAME_BYTES // 2}h", *[1000 + word] * (FRAME_BYTES // 2))


class Source:
    """Gives what the test says."""

    def __init__(self) -> None:
        self.listeners: list[asyncio.Queue[Sound | None]] = []
        self.failure: PictureUnavailable | None = None
        self.is_closed = False

    async def fetch(self, name: str, after: PlaylistPosition | None = None) -> MediaFile | None:
        return None

    async def listen(self) -> AsyncGenerator[Sound, None]:
        if self.failure is not None:
            raise self.failure
        queue: asyncio.Queue[Sound | None] = asyncio.Queue()
        self.listeners.append(queue)
        try:
            while (sound := await queue.get()) is not None:
                yield sound
        finally:
            self.listeners.remove(queue)

    async def say(self, pcm: bytes, at: float) -> None:
        for queue in self.listeners:
            queue.put_nowait(Sound(pcm, at, 0.1))
        await settle()

    async def aclose(self) -> None:
        self.is_closed = True


class Factory:
    """Opens a source for each stream."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}

    def can_show(self, playback: Playback) -> bool:
        return playback.hls_url is not None

    async def open(self, upstream_id: str, playback: Playback) -> Source:
        return self.sources.setdefault(upstream_id, Source())


class Ear:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.hushes = 0

    def hear(self, sound: Sound) -> None:
        self.heard.append(sound.pcm)

    def hush(self) -> None:
        self.hushes += 1


@pytest_asyncio.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def factory() -> Factory:
    return Factory()


@pytest_asyncio.fixture
async def pictures(factory: Factory, clock: ManualClock) -> AsyncIterator[StreamPictures]:
    pictures = StreamPictures([factory], clock, Precedence(clock))
    yield pictures
    await pictures.aclose()


@pytest_asyncio.fixture
async def sound(pictures: StreamPictures, clock: ManualClock) -> AsyncIterator[SessionSound]:
    sound = SessionSound(pictures, clock)
    yield sound
    await sound.aclose()


def stream(clock: ManualClock, number: int = 1) -> Stream:
    return Stream(f"stream-{number}", "s", "heygen-realtime", StreamState.OPEN, clock.now(), upstream_id=f"up-{number}")


async def test_nothing_is_asked_of_a_source_while_nobody_listens(
    sound: SessionSound, factory: Factory, clock: ManualClock
) -> None:
    sound.begin(stream(clock), HLS)
    await settle()
    assert factory.sources == {}
    with sound.listen(Ear()):
        await settle()
        assert len(factory.sources["up-1"].listeners) == 1
    await settle()
    assert factory.sources["up-1"].listeners == []


async def test_two_outlets_hear_the_same_by_one_subscription(
    sound: SessionSound, factory: Factory, clock: ManualClock
) -> None:
    sound.begin(stream(clock), HLS)
    first, second = Ear(), Ear()
    with sound.listen(first), sound.listen(second):
        await settle()
        await factory.sources["up-1"].say(loud(1), clock.monotonic())
        assert len(factory.sources["up-1"].listeners) == 1
    assert first.heard == second.heard == [loud(1)]


async def test_it_goes_on_with_the_next_stream(sound: SessionSound, factory: Factory, clock: ManualClock) -> None:
    ear = Ear()
    with sound.listen(ear):
        sound.begin(stream(clock), HLS)
        await settle()
        await factory.sources["up-1"].say(loud(1), clock.monotonic())
        sound.end()
        sound.begin(stream(clock, 2), HLS)
        await settle()
        assert factory.sources["up-1"].listeners == []
        await factory.sources["up-2"].say(loud(2), clock.monotonic())
    assert ear.heard == [loud(1), loud(2)]
    assert ear.hushes == 0


async def test_a_source_is_not_closed_while_somebody_listens(
    sound: SessionSound, factory: Factory, pictures: StreamPictures, clock: ManualClock
) -> None:
    sound.begin(stream(clock), HLS)
    with sound.listen(Ear()):
        await settle()
        await clock.advance(10 * UNWATCHED_TIMEOUT)
        assert not factory.sources["up-1"].is_closed
    await settle()
    await clock.advance(2 * UNWATCHED_TIMEOUT)
    assert factory.sources["up-1"].is_closed


async def test_a_source_that_fails_is_tried_again(sound: SessionSound, factory: Factory, clock: ManualClock) -> None:
    source = factory.sources["up-1"] = Source()
    source.failure = PictureUnavailable("not now")
    sound.begin(stream(clock), HLS)
    ear = Ear()
    with sound.listen(ear):
        await settle()
        source.failure = None
        await clock.advance(LISTEN_AGAIN)
        await source.say(loud(1), clock.monotonic())
    assert ear.heard == [loud(1)]


async def test_after_an_interrupt_nothing_of_the_old_speech_is_heard(
    sound: SessionSound, factory: Factory, clock: ManualClock
) -> None:
    sound.begin(stream(clock), HLS)
    ear = Ear()
    with sound.listen(ear):
        await settle()
        source = factory.sources["up-1"]
        cut_at = clock.monotonic()
        sound.cut()
        assert ear.hushes == 1
        await clock.advance(0.3)
        sound.settle()
        # What was made before the provider knew comes late, with a pause between two words.
        for place, pcm in enumerate([loud(1), QUIET, QUIET, loud(1)]):
            await source.say(pcm, cut_at + place * FRAME)
        assert ear.heard == []
        # Its last sound after it knew, and then silence: the end.
        settled_at = clock.monotonic()
        await source.say(loud(1), settled_at + FRAME)
        for place in range(2, 5):
            await source.say(QUIET, settled_at + place * FRAME)
        await source.say(loud(2), settled_at + 5 * FRAME)
    assert loud(1) not in ear.heard
    assert ear.heard[-1] == loud(2)


async def test_what_was_not_interrupted_after_all_is_heard_again(
    sound: SessionSound, factory: Factory, clock: ManualClock
) -> None:
    sound.begin(stream(clock), HLS)
    ear = Ear()
    with sound.listen(ear):
        await settle()
        sound.cut()
        sound.settle()
        await factory.sources["up-1"].say(loud(1), clock.monotonic() + AFTERMATH / 2)
        assert ear.heard == []
        await factory.sources["up-1"].say(loud(2), clock.monotonic() + AFTERMATH)
    assert ear.heard == [loud(2)]


async def test_a_provider_that_never_answers_does_not_silence_it_for_ever(
    sound: SessionSound, factory: Factory, clock: ManualClock
) -> None:
    sound.begin(stream(clock), HLS)
    ear = Ear()
    with sound.listen(ear):
        await settle()
        sound.cut()
        await clock.advance(UNSETTLED_LIMIT)
        await factory.sources["up-1"].say(loud(1), clock.monotonic())
    assert ear.heard == [loud(1)]
