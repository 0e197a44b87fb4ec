"""With the real encoder as a process, and a clock that stands still: what arrives is as late as a test wants it."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.media.room.sink import MediaSink
from adapters.media.room.source import PAUSES, REST, START_LIMIT, UNWATCHED, WAIT_LIMIT, RoomPicture
from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, PlaylistPosition
from tests.harness import marked_avatar
from tests.harness.clock import ManualClock, settle
from tests.harness.played import played

SIZE = (96, 54)
PLANES = {bright: marked_avatar.picture(*SIZE, 0, is_bright=bright) for bright in (False, True)}
SECOND = marked_avatar.sound(0.0, marked_avatar.RATE).tobytes()


class Avatar:
    """Sends pictures and sound while its clock is moved, and not faster than the encoder takes them."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._sink: MediaSink | None = None
        self._steps = 0

    async def follow(self, sink: MediaSink) -> None:
        self._sink = sink
        await asyncio.Event().wait()

    async def play(self, seconds: float) -> None:
        """25 pictures a second, and 50 pieces of sound."""
        assert isinstance(self._sink, RoomPicture)
        piece = len(SECOND) // 50
        for _ in range(round(seconds * 50)):
            await self._clock.advance(0.02)
            place = self._steps % 50
            self._sink.sound(SECOND[place * piece : (place + 1) * piece], 1)
            if self._steps % 2 == 0:
                bright = place / 50 < marked_avatar.FLASH
                self._sink.picture(self._steps / 50, *SIZE, memoryview(PLANES[bright]), 1)
            self._steps += 1
            feed = self._sink._encoder._feed
            while feed is not None and feed._is_open and feed._waiting:  # noqa: ASYNC110 - a thread takes them
                await asyncio.sleep(0.001)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 30, 12, 0, tzinfo=UTC))


@pytest.fixture
def avatar(clock: ManualClock) -> Avatar:
    return Avatar(clock)


@pytest_asyncio.fixture
async def source(clock: ManualClock, avatar: Avatar) -> AsyncIterator[RoomPicture]:
    source = RoomPicture("s1", avatar.follow, clock)
    source.start()
    await until_it_runs(source)
    yield source
    await source.aclose()


async def until_it_runs(source: RoomPicture, *, other_than: int | None = None) -> int:
    async with asyncio.timeout(30):
        while (pid := source._encoder.pid) in (None, other_than):  # noqa: ASYNC110 - the kernel has no event for it
            await asyncio.sleep(0.01)
    assert pid is not None
    return pid


async def until_it_died(source: RoomPicture) -> None:
    async with asyncio.timeout(30):
        while source._encoder.pid is not None:  # noqa: ASYNC110 - the kernel has no event for it
            await asyncio.sleep(0.01)
    await settle()


async def playlist(source: RoomPicture, segments: int) -> str:
    """The playlist, once it has so many whole segments since the source began."""
    begun = source._playlist._next - len(source._playlist._segments) - bool(source._playlist._open)
    async with asyncio.timeout(30):
        while not source._playlist.has(PlaylistPosition(begun + segments - 1)):
            await source._changed.wait()
    file = await source.fetch(PLAYLIST)
    assert file is not None
    assert (file.content_type, file.is_immutable) == ("application/vnd.apple.mpegurl", False)
    return file.body.decode()


async def media(source: RoomPicture, text: str) -> bytes:
    """Everything of a playlist with one init segment."""
    (init,) = re.findall('EXT-X-MAP:URI="(.+)"', text)
    names = [init, *re.findall(r"^[^#\n].*$", text, re.MULTILINE)]
    files = [await source.fetch(name) for name in names]
    assert all(file is not None and (file.content_type, file.is_immutable) == ("video/mp4", True) for file in files)
    return b"".join(file.body for file in files if file is not None)


async def test_what_arrives_can_be_played_with_sound_and_picture_together(source: RoomPicture, avatar: Avatar) -> None:
    await avatar.play(7)
    result = played(await media(source, await playlist(source, 5)))
    assert len(result.pictures) >= 5 * 25
    assert len(result.offsets) >= 4
    assert max(map(abs, result.offsets)) < 0.03


async def test_program_date_time_is_that_of_the_arrival(source: RoomPicture, avatar: Avatar) -> None:
    await avatar.play(4)
    text = await playlist(source, 2)
    (first, *_) = re.findall("EXT-X-PROGRAM-DATE-TIME:(.+)", text)
    # The first picture arrived with the first step of the clock.
    assert first == "2026-11-30T12:00:00.020Z"


async def test_who_asks_for_what_is_to_come_gets_it_as_soon_as_it_is_there(source: RoomPicture, avatar: Avatar) -> None:
    await avatar.play(3)
    text = await playlist(source, 2)
    last = int(re.findall(r"-(\d+)\.mp4\n", text)[-1])
    (upcoming,) = re.findall('PRELOAD-HINT:TYPE=PART,URI="(.+)"', text)
    asked = asyncio.create_task(source.fetch(PLAYLIST, PlaylistPosition(last + 2, 0)))
    hinted = asyncio.create_task(source.fetch(upcoming))
    await settle()
    assert not asked.done()
    await avatar.play(3)
    async with asyncio.timeout(30):
        part, later = await hinted, await asked
    assert part is not None
    assert part.body[4:8] == b"moof"
    assert later is not None
    assert f"{last + 2}.0.mp4" in later.body.decode()


async def test_who_asks_for_what_does_not_come_gets_what_there_is(
    source: RoomPicture, avatar: Avatar, clock: ManualClock
) -> None:
    await avatar.play(3)
    await playlist(source, 2)
    asked = asyncio.create_task(source.fetch(PLAYLIST, PlaylistPosition(2**63)))
    await settle()
    await clock.advance(WAIT_LIMIT - 0.1)
    assert not asked.done()
    await clock.advance(0.2)
    assert await asked is not None


async def test_without_anything_to_play_there_is_no_picture(source: RoomPicture, clock: ManualClock) -> None:
    os.kill(await until_it_runs(source), signal.SIGSTOP)
    asked = asyncio.create_task(source.fetch(PLAYLIST))
    await settle()
    await clock.advance(START_LIMIT + 0.1)
    with pytest.raises(PictureUnavailable):
        await asked


async def test_an_encoder_that_dies_is_started_again_and_the_picture_goes_on(
    source: RoomPicture, avatar: Avatar, clock: ManualClock
) -> None:
    await avatar.play(4)
    before = await playlist(source, 3)
    died = await until_it_runs(source)
    os.kill(died, signal.SIGKILL)
    await until_it_died(source)
    await clock.advance(PAUSES[0])
    await until_it_runs(source, other_than=died)
    await avatar.play(4)
    after = await playlist(source, 5)
    assert after.count("EXT-X-MAP") == 2
    assert after.count("#EXT-X-DISCONTINUITY\n") == 1
    assert next(line for line in before.splitlines() if line.startswith("#EXT-X-MAP")) in after
    init, rest = re.split("#EXT-X-DISCONTINUITY\n", after)[1].split("\n", 1)
    assert played(await media(source, f"{init}\n{rest}")).pictures


async def test_an_encoder_that_dies_again_and_again_is_given_up_and_every_viewer_is_told(
    source: RoomPicture, avatar: Avatar, clock: ManualClock
) -> None:
    await avatar.play(3)
    await playlist(source, 2)
    pid = None
    for pause in PAUSES:
        pid = await until_it_runs(source, other_than=pid)
        os.kill(pid, signal.SIGKILL)
        await until_it_died(source)
        await clock.advance(pause)
    pid = await until_it_runs(source, other_than=pid)
    asked = asyncio.create_task(source.fetch(PLAYLIST, PlaylistPosition(2**40)))
    await settle()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PictureUnavailable):
        await asked
    with pytest.raises(PictureUnavailable):
        await source.fetch(PLAYLIST)
    await clock.advance(REST)
    assert await source.fetch(PLAYLIST) is not None
    await until_it_runs(source, other_than=pid)


async def test_its_sound_alone_is_what_arrived(source: RoomPicture, avatar: Avatar) -> None:
    heard: list[bytes] = []

    async def listen() -> None:
        heard.extend([sound.pcm async for sound in source.listen()])

    listening = asyncio.create_task(listen())
    await settle()
    await avatar.play(1)
    await settle()
    await source.aclose()
    await listening
    assert b"".join(heard) == SECOND


async def test_who_listens_too_slowly_loses_the_oldest_and_stops_nobody(source: RoomPicture, avatar: Avatar) -> None:
    listening = source.listen()
    first = asyncio.ensure_future(anext(listening))
    await settle()
    await avatar.play(3)
    await first
    rest = [(await anext(listening)).pcm for _ in range(50)]
    assert b"".join(rest) == SECOND
    await listening.aclose()
    assert source._listeners == set()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux tells the environment of a process")
async def test_the_encoder_knows_no_key_of_ours(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock, avatar: Avatar
) -> None:
    monkeypatch.setenv("HEYGEN_API_KEY", "a-key-of-the-test")
    source = RoomPicture("s1", avatar.follow, clock)
    source.start()
    try:
        environment = Path(f"/proc/{await until_it_runs(source)}/environ")
        assert b"a-key-of-the-test" not in await asyncio.to_thread(environment.read_bytes)
    finally:
        await source.aclose()


async def test_after_its_end_no_process_is_left_and_nobody_waits(source: RoomPicture, avatar: Avatar) -> None:
    pid = await until_it_runs(source)
    await avatar.play(3)
    await playlist(source, 2)
    asked = asyncio.create_task(source.fetch(PLAYLIST, PlaylistPosition(2**40)))
    await settle()
    await source.aclose()
    with pytest.raises(PictureUnavailable):
        await asked
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_later_source_of_the_same_stream_goes_on_with_higher_numbers_and_other_names(
    clock: ManualClock, avatar: Avatar
) -> None:
    numbers: list[int] = []
    names: set[str] = set()
    for _ in range(2):
        source = RoomPicture("s1", avatar.follow, clock)
        source.start()
        await until_it_runs(source)
        await settle()
        await avatar.play(4)
        text = await playlist(source, 3)
        found = re.findall(r"^[^#\n].*$", text, re.MULTILINE)
        assert names.isdisjoint(found)
        names.update(found)
        numbers += [int(name.split("-")[1].removesuffix(".mp4")) for name in found]
        await source.aclose()
    assert numbers == sorted(set(numbers))


async def test_who_only_listens_costs_no_encoder(clock: ManualClock, avatar: Avatar) -> None:
    source = RoomPicture("s1", avatar.follow, clock)
    source.start(encodes=False)
    listening = source.listen()
    first = asyncio.ensure_future(anext(listening))
    await settle()
    await avatar.play(1)
    assert SECOND.startswith((await first).pcm)
    assert source._encoder.pid is None
    # Somebody watches as well, and leaves again.
    asked = asyncio.create_task(source.fetch(PLAYLIST))
    await until_it_runs(source)
    await avatar.play(3)
    assert await asked is not None
    await clock.advance(2 * UNWATCHED)
    await until_it_died(source)
    assert source._playlist.is_empty
    # And comes again: a picture of now, and not of then.
    asked = asyncio.create_task(source.fetch(PLAYLIST))
    await until_it_runs(source)
    await avatar.play(3)
    assert await asked is not None
    await listening.aclose()
    await source.aclose()
