"""What the avatar shows and says in a LiveKit room that the bot is in, as it comes: every picture and every sound.

Imports the `livekit` package, so it is itself imported only where rooms are encoded.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from livekit import rtc

from adapters.media.room.sink import MediaSink
from adapters.media.room.sound import RATE
from adapters.media.room.wire import i420_size
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

Change = Literal["track_subscribed", "track_unsubscribed", "participant_disconnected"]
CHANGES: tuple[Change, ...] = ("track_subscribed", "track_unsubscribed", "participant_disconnected")


class RoomTracks:
    """The avatar's tracks in one room, whichever they are just now."""

    def __init__(self, room: rtc.Room, ignored: str = "") -> None:
        """`ignored`: the identity of a participant who is no avatar."""
        self._room = room
        self._ignored = ignored
        self._numbers = itertools.count(1)

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

    async def _pictures(self, track: rtc.Track, sink: MediaSink) -> None:
        number = next(self._numbers)
        stream = rtc.VideoStream(track, capacity=MAX_PICTURES, format=rtc.VideoBufferType.I420)
        try:
            async for event in stream:
                frame = event.frame
                planes = frame.data.cast("B")
                size = i420_size(frame.width, frame.height)
                if 0 < frame.width <= LARGEST and 0 < frame.height <= LARGEST and len(planes) >= size:
                    sink.picture(event.timestamp_us / 1e6, frame.width, frame.height, planes[:size], number)
        finally:
            await _close(stream.aclose)

    async def _sound(self, track: rtc.Track, sink: MediaSink) -> None:
        number = next(self._numbers)
        stream = rtc.AudioStream(track, capacity=MAX_SOUND, sample_rate=RATE, num_channels=1, frame_size_ms=FRAME_MS)
        try:
            async for event in stream:
                sink.sound(bytes(event.frame.data.cast("B")), number)
        finally:
            await _close(stream.aclose)


async def _close(closing: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(CLOSE_LIMIT):
            await closing()
    except TimeoutError:
        log.warning("a track of an avatar's room was not given up in time")
