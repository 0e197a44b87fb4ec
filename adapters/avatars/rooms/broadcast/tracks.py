"""Passes the avatar's picture and sound on from one LiveKit room into another, as they come.

Nothing piles up: of pictures only the newest waits, of sound a fifth of a second at most, and what is older is left
out. Imports the `livekit` package, so it is itself imported only where rooms are republished.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import structlog
from livekit import rtc

from adapters.avatars.rooms.transport import VIEWER
from bot.core.tasks import cancel_and_wait

log = structlog.get_logger(__name__)

RATE = 48_000
"""Samples per second: what Opus, the codec of WebRTC's sound, works with, so nothing is resampled here."""

FRAME_MS = 10
"""How sound comes out of WebRTC, and goes in again without a queue between; a queue would put it behind the picture."""

MAX_BUFFERED_FRAMES = 20
"""Frames of sound that may wait while the program is busy."""

CLOSE_LIMIT = 5.0
"""Seconds for the package to give up a track."""

Change = Literal["track_subscribed", "track_unsubscribed", "participant_disconnected"]
CHANGES: tuple[Change, ...] = ("track_subscribed", "track_unsubscribed", "participant_disconnected")


class TrackForwarder:
    """From the avatar's room, which the bot is in, to a room of ours."""

    def __init__(self, avatar: rtc.Room, stage: rtc.Room) -> None:
        self._avatar = avatar
        self._stage = stage
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow the avatar's tracks until cancelled. Raises what goes wrong inside the package, in a group."""
        forwarded: dict[int, tuple[rtc.Track, asyncio.Task[None]]] = {}
        note = self._note
        for name in CHANGES:
            self._avatar.on(name, note)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._changed.clear()
                    tracks = self._tracks()
                    for kind in [kind for kind, (track, _) in forwarded.items() if tracks.get(kind) is not track]:
                        await cancel_and_wait(forwarded.pop(kind)[1])
                    for kind, track in tracks.items():
                        if kind not in forwarded:
                            is_picture = kind == rtc.TrackKind.KIND_VIDEO
                            work = self._pictures(track) if is_picture else self._sound(track)
                            forwarded[kind] = (track, tasks.create_task(work))
                    await self._changed.wait()
        finally:
            for name in CHANGES:
                self._avatar.off(name, note)

    def _note(self, *_: object) -> None:
        self._changed.set()

    def _tracks(self) -> dict[int, rtc.Track]:
        """The avatar's newest track of each kind."""
        return {
            publication.kind: publication.track
            for participant in self._avatar.remote_participants.values()
            if participant.identity != VIEWER
            for publication in participant.track_publications.values()
            if publication.track is not None
        }

    async def _pictures(self, track: rtc.Track) -> None:
        async with AsyncExitStack() as stack:
            stream = rtc.VideoStream(track, capacity=1)
            stack.push_async_callback(_close, stream.aclose)
            source: rtc.VideoSource | None = None
            async for event in stream:
                frame = event.frame
                if source is None:
                    # The size decides the bit rate, and is known from the first picture on.
                    source = rtc.VideoSource(frame.width, frame.height)
                    stack.push_async_callback(source.aclose)
                    picture = rtc.LocalVideoTrack.create_video_track("avatar-video", source)
                    # One layer: each further one is encoded on its own.
                    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False)
                    await stack.enter_async_context(self._published(picture, options))
                source.capture_frame(frame)

    async def _sound(self, track: rtc.Track) -> None:
        async with AsyncExitStack() as stack:
            stream = rtc.AudioStream(
                track, capacity=MAX_BUFFERED_FRAMES, sample_rate=RATE, num_channels=1, frame_size_ms=FRAME_MS
            )
            stack.push_async_callback(_close, stream.aclose)
            source = rtc.AudioSource(RATE, 1, queue_size_ms=0)
            stack.push_async_callback(source.aclose)
            sound = rtc.LocalAudioTrack.create_audio_track("avatar-audio", source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            await stack.enter_async_context(self._published(sound, options))
            async for event in stream:
                await source.capture_frame(event.frame)

    @asynccontextmanager
    async def _published(self, track: rtc.LocalTrack, options: rtc.TrackPublishOptions) -> AsyncIterator[None]:
        ours = self._stage.local_participant
        publication = await ours.publish_track(track, options)
        try:
            yield
        finally:
            if self._stage.isconnected():
                await _close(lambda: ours.unpublish_track(publication.sid))


async def _close(closing: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(CLOSE_LIMIT):
            await closing()
    except TimeoutError:
        log.warning("a track of a broadcast room was not given up in time")
