"""What the avatar shows and says in a LiveKit room that the bot is in, as it comes: every picture and every sound.

Imports the `livekit` package, so it is itself imported only where rooms are encoded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Literal

import structlog
from livekit import rtc

from adapters.media.room.jitter import JitterLag
from adapters.media.room.sink import MediaSink
from adapters.media.room.sound import RATE
from adapters.media.room.wire import i420_size
from bot.core.ports import Clock
from bot.core.tasks import cancel_and_wait

log = structlog.get_logger(__name__)

FRAME_MS = 20
"""A piece of sound; half the calls of WebRTC's own 10 ms, and what a Discord voice channel takes."""

MAX_SOUND = 50
"""Pieces of sound that may wait while the program is busy: a second."""

MAX_PICTURES = 2
"""Pictures that may wait while it is."""

LARGEST = 4_096
"""Pixels in either direction; beyond that it is no avatar."""

CLOSE_LIMIT = 5.0
"""Seconds for the package to give up a track."""

STATS_EVERY = 1.0
"""Seconds between two looks at what WebRTC has counted."""

STATS_LIMIT = 2.0
"""Seconds such a look may take."""

Change = Literal["track_subscribed", "track_unsubscribed", "participant_disconnected"]
CHANGES: tuple[Change, ...] = ("track_subscribed", "track_unsubscribed", "participant_disconnected")


class RoomTracks:
    """The avatar's tracks in one room, whichever they are just now."""

    def __init__(self, room: rtc.Room, clock: Clock, numbers: Iterator[int], ignored: str = "") -> None:
        """numbers: for the tracks, each with another one. ignored: the identity of a participant who is no avatar."""
        self._room = room
        self._clock = clock
        self._numbers = numbers
        self._ignored = ignored
        self._lag = JitterLag()

    async def run(self, sink: MediaSink) -> None:
        """Follow them until cancelled. Raises what goes wrong inside the package, in a group."""
        changed = asyncio.Event()
        followed: dict[int, tuple[rtc.Track, asyncio.Task[None]]] = {}

        def note(*_: object) -> None:
            changed.set()

        for name in CHANGES:
            self._room.on(name, note)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._compare_delays(followed))
                while True:
                    changed.clear()
                    tracks = self._tracks()
                    for kind in [kind for kind, (track, _) in followed.items() if tracks.get(kind) is not track]:
                        await cancel_and_wait(followed.pop(kind)[1])
                    for kind, track in tracks.items():
                        if kind not in followed:
                            follow = self._pictures if kind == rtc.TrackKind.KIND_VIDEO else self._sound
                            followed[kind] = (track, tasks.create_task(follow(track, sink)))
                    await changed.wait()
        finally:
            for name in CHANGES:
                self._room.off(name, note)

    def _tracks(self) -> dict[int, rtc.Track]:
        """The avatar's newest track of each kind."""
        return {
            publication.kind: publication.track
            for participant in self._room.remote_participants.values()
            if participant.identity != self._ignored
            for publication in participant.track_publications.values()
            if publication.track is not None
        }

    async def _compare_delays(self, followed: Mapping[int, tuple[rtc.Track, object]]) -> None:
        """Keep up with how much longer sound is held back than the picture."""
        while True:
            for kind, (track, _) in list(followed.items()):
                try:
                    async with asyncio.timeout(STATS_LIMIT):
                        stats = await track.get_stats()
                except Exception as trouble:  # noqa: BLE001 - the package raises its own undocumented errors, from Rust
                    # A track that just ends: what was known goes on.
                    log.debug("a track tells nothing of its delay", why=type(trouble).__name__)
                    continue
                for buffer in (each.inbound_rtp.inbound for each in stats if each.HasField("inbound_rtp")):
                    is_picture = kind == rtc.TrackKind.KIND_VIDEO
                    self._lag.note(is_picture, buffer.jitter_buffer_delay, buffer.jitter_buffer_emitted_count)
            await self._clock.sleep(STATS_EVERY)

    async def _pictures(self, track: rtc.Track, sink: MediaSink) -> None:
        number = next(self._numbers)
        stream = rtc.VideoStream(track, capacity=MAX_PICTURES, format=rtc.VideoBufferType.I420)
        try:
            async for event in stream:
                frame = event.frame
                planes = frame.data.cast("B")
                size = i420_size(frame.width, frame.height)
                if 0 < frame.width <= LARGEST and 0 < frame.height <= LARGEST and len(planes) >= size:
                    moment, later = event.timestamp_us / 1e6, max(0.0, self._lag.seconds)
                    sink.picture(moment, frame.width, frame.height, planes[:size], number, later)
        finally:
            await _close(stream.aclose)

    async def _sound(self, track: rtc.Track, sink: MediaSink) -> None:
        number = next(self._numbers)
        stream = rtc.AudioStream(track, capacity=MAX_SOUND, sample_rate=RATE, num_channels=1, frame_size_ms=FRAME_MS)
        try:
            async for event in stream:
                sink.sound(bytes(event.frame.data.cast("B")), number, max(0.0, -self._lag.seconds))
        finally:
            await _close(stream.aclose)


async def _close(closing: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(CLOSE_LIMIT):
            await closing()
    except TimeoutError:
        log.warning("a track of an avatar's room was not given up in time")
