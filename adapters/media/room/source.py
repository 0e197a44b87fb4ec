"""The picture of one room as HLS (`bot.core.pictures.PictureSource`), and its sound alone.

It gives what arrives to the encoder's process, and holds what comes back for whoever fetches it. It knows neither where
pictures and sound come from nor how they are encoded.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from adapters.media.room.encoder_process import EncoderDied, EncoderProcess
from adapters.media.room.playlist import SEGMENT, LivePlaylist
from adapters.media.room.sink import MediaSink
from adapters.media.room.wire import Head, Kind
from bot.core.backoff import Backoff
from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, MediaFile, PlaylistPosition
from bot.core.ports import Clock
from bot.core.sound import FRAME, Sound
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.time_limit import time_limit
from bot.supervision import Supervised

log = structlog.get_logger(__name__)

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
MEDIA_TYPE = "video/mp4"

START_LIMIT = 3.5
"""Seconds the first playlist may take: a player waits for 4 (`adapters/web/static/player.js`)."""

WAIT_LIMIT = 3 * SEGMENT
"""Seconds somebody who asked for what is to come waits for it at most (RFC 8216bis, 6.2.5.2)."""

TICK = 0.1
"""Seconds after which the encoder is told the time, so that it goes on where nothing arrives."""

PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before an encoder that died is started again; after the last one it is given up for a while."""

REST = 30.0
"""Seconds after which an encoder that was given up is tried again, if somebody still wants to watch."""

STEADY = 60.0
"""Seconds after which an encoder that dies counts as one that worked, and has all its attempts again."""

MAX_HEARD = 50
"""Pieces of sound, of 20 ms each, that wait for who listens to the sound alone; older ones are left out."""

LEAD = 0.1
"""Seconds by which the sound of a room may be late: WebRTC has evened it out already, and the event loop may be
busy."""

UNWATCHED = 15.0
"""Seconds after the last fetch for which a picture is encoded that nobody but listeners want."""

WHAT_TO_DO = "see why; if the machine cannot encode at all, set AVATAR_WATCH=seat, or livekit with a server of your own"

Follow = Callable[[MediaSink], Awaitable[None]]


class RoomPicture:
    """`PictureSource` of what `follow` brings. `start` begins it, `aclose` ends it."""

    def __init__(self, upstream_id: str, follow: Follow, clock: Clock, *, arguments: tuple[str, ...] = ()) -> None:
        """upstream_id: for the log. follow: brings pictures and sound to a sink until it is cancelled. arguments: of
        the encoder (`worker.main`)."""
        self._upstream_id = upstream_id
        self._clock = clock
        self._follow = Supervised("picture of a room", lambda: follow(self), clock)
        self._playlist = self._new_playlist()
        self._rendered: bytes | None = None
        self._utc = timedelta()
        self._encoder = EncoderProcess(self._made, arguments)
        self._failure: str | None = None
        self._rests_until: float | None = None
        self._changed = asyncio.Event()
        self._listeners: set[asyncio.Queue[Sound | None]] = set()
        self._encoding: asyncio.Task[None] | None = None
        self._fetched_at = 0.0
        self._is_closed = False
        self._tasks = TaskSet()

    def start(self, *, encodes: bool = True) -> None:
        """Begin. `encodes`: at once; else with the first fetch, so that who only listens costs no encoder."""
        self._tasks.create_task(self._follow.run(), name=f"tracks of {self._upstream_id}")
        self._tasks.create_task(self._tell_time(), name=f"time of {self._upstream_id}")
        if encodes:
            self._start_encoding()

    def _start_encoding(self) -> None:
        self._fetched_at = self._clock.monotonic()
        self._encoding = self._tasks.create_task(self._encode(), name=f"encoder of {self._upstream_id}")

    async def aclose(self) -> None:
        """End everything. Harmless when that was done before."""
        self._is_closed = True
        self._fail("it was closed")
        await self._tasks.close()
        self._rests_until = None
        for listener in self._listeners:
            _push(listener, None)

    def _new_playlist(self) -> LivePlaylist:
        # Numbers go on from the time of day: a player that still has a playlist of an earlier source of this stream
        # reads one that has gone on, and no name ever means something else.
        return LivePlaylist(f"{secrets.token_hex(3)}-", int(self._clock.now().timestamp()))

    # --- what goes in ------------------------------------------------------------------------------------------------

    def picture(
        self, timestamp: float, width: int, height: int, planes: memoryview, track: int, later: float = 0.0
    ) -> None:
        """Of `MediaSink`."""
        head = Head(Kind.PICTURE, self._clock.monotonic(), timestamp, later, track, width, height, len(planes))
        self._encoder.put(head, planes)

    def sound(self, pcm: bytes, track: int, later: float = 0.0) -> None:
        """Of `MediaSink`."""
        head = Head(Kind.SOUND, self._clock.monotonic(), later=later, track=track, length=len(pcm))
        self._encoder.put(head, pcm)
        if self._listeners:
            piece = Sound(pcm, self._clock.monotonic() - FRAME, LEAD)
            for listener in self._listeners:
                _push(listener, piece)

    # --- what comes out ----------------------------------------------------------------------------------------------

    async def fetch(self, name: str, after: PlaylistPosition | None = None) -> MediaFile | None:
        """Of `PictureSource`."""
        if name == PLAYLIST:
            return await self._fetch_playlist(after)
        if self._playlist.announces(name):
            await self._wait(lambda: not self._playlist.announces(name), WAIT_LIMIT)
        body = self._playlist.file(name)
        return None if body is None else MediaFile(body, MEDIA_TYPE, is_immutable=True)

    async def listen(self) -> AsyncGenerator[Sound, None]:
        """Of `PictureSource`. Where nothing is heard nothing comes; who does not keep up loses the oldest."""
        if self._is_closed:
            return
        queue: asyncio.Queue[Sound | None] = asyncio.Queue(MAX_HEARD)
        self._listeners.add(queue)
        try:
            while (piece := await queue.get()) is not None:
                yield piece
        finally:
            self._listeners.discard(queue)

    async def _fetch_playlist(self, after: PlaylistPosition | None) -> MediaFile:
        self._fetched_at = self._clock.monotonic()
        if self._rests_until is not None and self._fetched_at >= self._rests_until:
            self._rests_until = self._failure = None
            self._start_encoding()
        elif not self._is_closed and (self._encoding is None or self._encoding.cancelled()):
            self._start_encoding()
        if self._playlist.is_empty:
            await self._wait(lambda: not self._playlist.is_empty, START_LIMIT)
        if after is not None:
            await self._wait(lambda: self._playlist.has(after), WAIT_LIMIT)
        if self._failure is not None or self._playlist.is_empty:
            raise PictureUnavailable(f"no picture of {self._upstream_id}: {self._failure or 'nothing is encoded yet'}")
        if self._rendered is None:
            self._rendered = self._playlist.render().encode()
        return MediaFile(self._rendered, PLAYLIST_TYPE, is_immutable=False)

    async def _wait(self, is_there: Callable[[], bool], seconds: float) -> None:
        """Until it is there, or is not to be expected any more."""
        try:
            async with time_limit(self._clock, seconds):
                while not is_there() and self._failure is None:
                    await self._changed.wait()
        except TimeoutError:
            return

    # --- the encoder -------------------------------------------------------------------------------------------------

    async def _encode(self) -> None:
        """Have an encoder at work, one after the other."""
        backoff, failures = Backoff(PAUSES), 0
        while True:
            begun = self._clock.monotonic()
            self._utc = self._clock.now() - datetime.fromtimestamp(0, UTC) - timedelta(seconds=begun)
            try:
                await self._encoder.run()
            except (EncoderDied, OSError) as trouble:
                if self._clock.monotonic() - begun > STEADY:
                    backoff.reset()
                    failures = 0
                failures += 1
                if failures > len(PAUSES):
                    why = str(trouble)
                    log.error("an encoder is given up for now", stream=self._upstream_id, why=why, do=WHAT_TO_DO)
                    self._fail("its encoder dies again and again")
                    self._rests_until = self._clock.monotonic() + REST
                    return
                pause = backoff.next()
                log.warning("an encoder died", stream=self._upstream_id, why=str(trouble), again_in=pause)
                await self._clock.sleep(pause)

    async def _tell_time(self) -> None:
        while True:
            await self._clock.sleep(TICK)
            now = self._clock.monotonic()
            self._encoder.put(Head(Kind.TICK, now))
            if self._listeners and self._rests_until is None and now - self._fetched_at > UNWATCHED:
                # Whoever comes to watch later waits for a new one, as the first viewer did.
                await self._stop_encoding()

    async def _stop_encoding(self) -> None:
        if self._encoding is None:
            return
        await cancel_and_wait(self._encoding)
        if self._clock.monotonic() - self._fetched_at > UNWATCHED:
            self._playlist = self._new_playlist()
            self._note_change()
        self._encoding = None

    def _made(self, head: Head, body: bytes) -> None:
        """The encoder has made something."""
        if head.kind is Kind.MAP:
            log.info("a room is encoded", stream=self._upstream_id, width=head.width, height=head.height)
            self._playlist.add_init(body)
            return
        begins = datetime.fromtimestamp(0, UTC) + self._utc + timedelta(seconds=head.at)
        self._playlist.add_part(body, begins, head.timestamp, begins_segment=bool(head.track))
        self._note_change()

    def _fail(self, why: str) -> None:
        self._failure = why
        self._note_change()

    def _note_change(self) -> None:
        """Wake who waits."""
        self._rendered = None
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _push(queue: asyncio.Queue[Sound | None], piece: Sound | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(piece)
