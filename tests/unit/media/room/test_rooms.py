"""Real rooms on a real LiveKit server, encoded: what can be played of them."""

import asyncio
import re
import statistics
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import numpy as np
import pytest
from livekit import api, rtc

from adapters.media.room.factory import MISSING, RoomPictures
from adapters.media.room.source import RoomPicture
from bot import watching
from bot.core.clock import SystemClock
from bot.core.errors import PictureUnavailable
from bot.core.models import Playback
from bot.core.pictures import PLAYLIST, PictureSource, PlaylistPosition
from bot.core.sound import FRAME, FRAME_BYTES, Sound
from tests.harness.livekit import LiveKitServer, livekit_program, livekit_server
from tests.harness.marked_avatar import MarkedAvatar
from tests.harness.played import LOUD, Played, played

__all__ = ["livekit_program", "livekit_server"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PATIENCE = 30.0
NOTHING = Playback()
"""What a provider says of a room whose one place the bot has."""


def token(server: LiveKitServer, room: str, identity: str) -> str:
    may = api.VideoGrants(room_join=True, room=room)
    return api.AccessToken(server.api_key, server.api_secret).with_identity(identity).with_grants(may).to_jwt()


@asynccontextmanager
async def avatar_in(server: LiveKitServer, name: str, *shape: int, sounds: bool = True) -> AsyncIterator[MarkedAvatar]:
    """An avatar that plays in a room; width, height and pictures a second."""
    room = rtc.Room()
    await room.connect(server.url, token(server, name, "avatar"), rtc.RoomOptions(auto_subscribe=False))
    avatar = MarkedAvatar(room, *shape, sounds=sounds)
    await avatar.publish()
    playing = asyncio.create_task(avatar.play())
    try:
        yield avatar
    finally:
        playing.cancel()
        await asyncio.wait([playing])
        await room.disconnect()


@asynccontextmanager
async def bot_in(server: LiveKitServer, name: str) -> AsyncIterator[rtc.Room]:
    room = rtc.Room()
    await room.connect(server.url, token(server, name, "client"))
    try:
        yield room
    finally:
        await room.disconnect()


async def text(source: PictureSource) -> str:
    file = await source.fetch(PLAYLIST)
    assert file is not None
    return file.body.decode()


async def next_segments(source: PictureSource, count: int) -> Played:
    """What is shown from now on, so many segments, which need one init segment."""
    names = re.findall(r"^[^#\n].*$", before := await text(source), re.MULTILINE)
    upcoming = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="\w+-(\d+)', before)
    last = int(names[-1].split("-")[1].removesuffix(".mp4")) if names else int(upcoming[0]) - 1
    async with asyncio.timeout(PATIENCE):
        for number in range(last + 1, last + count + 1):
            await source.fetch(PLAYLIST, PlaylistPosition(number))
    after = await text(source)
    wanted = [name for name in re.findall(r"^[^#\n].*$", after, re.MULTILINE) if name not in names][:count]
    head = after[: after.index(wanted[0])]
    init = re.findall('EXT-X-MAP:URI="(.+)"', head)[-1]
    files = [await source.fetch(name) for name in (init, *wanted)]
    return played(b"".join(file.body for file in files if file is not None))


async def opened(pictures: RoomPictures, stream: str) -> RoomPicture:
    """A source that has something to play."""
    source = await pictures.open(stream, NOTHING)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await source.fetch(PLAYLIST)
            except PictureUnavailable:
                continue
            return source


class Arrivals:
    """Seconds that beeps came later than flashes out of WebRTC, which on a busy machine are a fifth of a second."""

    def __init__(self, source: RoomPicture) -> None:
        self._flashes: list[float] = []
        self._beeps: list[float] = []
        self._was_bright = self._was_loud = True
        take_picture, take_sound = source.picture, source.sound

        def picture(moment: float, width: int, height: int, planes: memoryview, track: int, later: float = 0.0) -> None:
            bright = planes[height * 3 // 4 * width + width // 2] > 128
            if bright and not self._was_bright:
                self._flashes.append(time.monotonic() + later)
            self._was_bright = bright
            take_picture(moment, width, height, planes, track, later)

        def sound(pcm: bytes, track: int, later: float = 0.0) -> None:
            loud = np.flatnonzero(np.abs(np.frombuffer(pcm, np.int16)) > 32_768 * LOUD)
            if len(loud) and not self._was_loud:
                self._beeps.append(time.monotonic() + later - (len(pcm) // 2 - loud[0]) / 48_000)
            self._was_loud = len(loud) > 0
            take_sound(pcm, track, later)

        source.picture, source.sound = picture, sound  # type: ignore[method-assign,assignment]

    @property
    def offset(self) -> float:
        """Of the last few, in the middle."""
        near = [min((beep - flash for flash in self._flashes), key=abs) for beep in self._beeps[-6:]]
        return statistics.median(near)


async def test_sound_and_picture_of_a_room_are_played_as_they_arrive(livekit_server: LiveKitServer) -> None:
    name, pictures = str(uuid.uuid4()), RoomPictures(SystemClock())
    async with avatar_in(livekit_server, name, 640, 360, 25), bot_in(livekit_server, name) as room:
        pictures.enter(name, room)
        source = await opened(pictures, name)
        arrivals = Arrivals(source)
        # WebRTC's buffers find their size meanwhile.
        await next_segments(source, 5)
        result = await next_segments(source, 6)
        await source.aclose()
    assert len(result.pictures) > 6 * 15
    assert len(result.offsets) >= 4
    assert abs(statistics.median(result.offsets) - arrivals.offset) < 0.08


async def test_who_only_listens_hears_the_room_without_an_encoder(livekit_server: LiveKitServer) -> None:
    name, pictures = str(uuid.uuid4()), RoomPictures(SystemClock())
    async with avatar_in(livekit_server, name, 320, 180, 15), bot_in(livekit_server, name) as room:
        pictures.enter(name, room)
        source = await pictures.open(name, NOTHING)
        async with asyncio.timeout(PATIENCE), aclosing(source.listen()) as sounds:
            heard = [sound async for _, sound in azip(range(200), sounds)]
        assert source._encoder.pid is None
        await source.aclose()
    assert {len(sound.pcm) for sound in heard} == {FRAME_BYTES}
    # 4 s, with a beep in each.
    assert any(not sound.is_quiet for sound in heard)
    took = heard[-1].at - heard[0].at
    assert abs(took - 199 * FRAME) < 1.0


async def azip(numbers: range, sounds: AsyncIterator[Sound]) -> AsyncIterator[tuple[int, Sound]]:
    for number in numbers:
        yield number, await anext(sounds)


async def test_without_a_sound_track_the_picture_moves_and_it_is_silent(livekit_server: LiveKitServer) -> None:
    name, pictures = str(uuid.uuid4()), RoomPictures(SystemClock())
    async with avatar_in(livekit_server, name, 320, 180, 15, sounds=False), bot_in(livekit_server, name) as room:
        pictures.enter(name, room)
        source = await opened(pictures, name)
        await next_segments(source, 1)
        result = await next_segments(source, 4)
        await source.aclose()
    assert len(result.flashes) >= 2
    assert float(np.abs(result.sound).max()) < 1e-3


async def test_a_room_that_drops_leaves_a_still_picture_and_the_next_one_is_shown_by_the_same_source(
    livekit_server: LiveKitServer,
) -> None:
    first, second, pictures = str(uuid.uuid4()), str(uuid.uuid4()), RoomPictures(SystemClock())
    async with bot_in(livekit_server, first) as room:
        pictures.enter("s1", room)
        async with avatar_in(livekit_server, first, 640, 360, 25):
            source = await opened(pictures, "s1")
            assert (await next_segments(source, 3)).flashes
    pictures.leave("s1", room)
    await next_segments(source, 1)
    gap = await next_segments(source, 3)
    assert not gap.flashes
    assert len(gap.pictures) >= 6
    assert float(np.abs(gap.sound).max()) < 1e-3
    # As after a reconnect, and upright: it is fitted into what is encoded.
    async with avatar_in(livekit_server, second, 180, 320, 25), bot_in(livekit_server, second) as room:
        pictures.enter("s1", room)
        await next_segments(source, 2)
        result = await next_segments(source, 5)
        await source.aclose()
        pictures.leave("s1", room)
    assert len(result.offsets) >= 3
    assert result.pictures[-1][1][:, :100].max() < 40
    assert pictures._places == {}


async def test_where_the_bot_is_in_no_room_there_is_no_picture() -> None:
    with pytest.raises(PictureUnavailable):
        await RoomPictures(SystemClock()).open("s1", NOTHING)


async def test_without_the_extra_it_says_what_is_missing(
    livekit_server: LiveKitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "find_spec", lambda name: None if name == "av" else object())
    pictures = RoomPictures(SystemClock())
    pictures.enter("s1", rtc.Room())
    with pytest.raises(PictureUnavailable, match=re.escape(MISSING)):
        await pictures.open("s1", NOTHING)


@pytest.mark.parametrize(
    ("playback", "can"),
    [
        (Playback(), True),
        (Playback(hls_url="https://example.com/a.m3u8"), False),
        (Playback(livekit_url="wss://example.com", livekit_token="t"), False),
        (Playback(is_broadcast=True), False),
    ],
)
def test_it_shows_the_rooms_that_the_bot_alone_is_in(playback: Playback, can: bool) -> None:
    assert RoomPictures(SystemClock()).can_show(playback) is can
