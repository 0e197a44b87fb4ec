"""The pictures of this process's streams: a source is opened with its first viewer, and closed when nobody has fetched
anything for a while or the stream is over.

Knows sources only as `bot.core.pictures` has them, and neither links nor sessions.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import lru_cache

from bot.core.errors import PictureUnavailable
from bot.core.models import Playback, Stream
from bot.core.pictures import MediaFile, PictureSource, PictureSourceFactory, PlaylistPosition
from bot.core.ports import Clock, Timer
from bot.core.precedence import Precedence
from bot.core.sound import Sound
from bot.core.tasks import ROUNDING, TaskSet, cancel_and_wait
from bot.telemetry import metrics

UNWATCHED_TIMEOUT = 15.0
"""Seconds after the last fetch for which a source goes on: whoever comes back within them sees the picture at once."""

OPEN_AGAIN = 1.0
"""Seconds until a source that could not be opened is opened again, however many wait for it."""


class _OpenPicture:
    """The source of one stream. opening: ends once `source` or `failure` is there. listeners: to its sound."""

    def __init__(self, fetched_at: float) -> None:
        self.fetched_at = fetched_at
        self.listeners = 0
        self.opening: asyncio.Task[None]
        self.source: PictureSource | None = None
        self.failure: PictureUnavailable | None = None
        self.timer: Timer


class StreamPictures:
    """See the module."""

    def __init__(self, factories: Sequence[PictureSourceFactory], clock: Clock, precedence: Precedence) -> None:
        """`factories`: the kinds of sources there are; the first that can show a stream does."""
        self._factories = factories
        self._precedence = precedence
        self._clock = clock
        self._tasks = TaskSet()
        self._open: dict[str, _OpenPicture] = {}

    def name_of(self, stream: Stream | None, playback: Playback | None) -> str | None:
        """The name of a stream's picture, from which nobody learns which stream that is; None if it has none here."""
        if stream is None or playback is None or self._factory_for(playback) is None:
            return None
        return _name_for(stream.id)

    async def fetch(
        self, stream: Stream, playback: Playback, name: str, after: PlaylistPosition | None = None
    ) -> MediaFile | None:
        """A file of an open stream's picture, see `PictureSource`. Raises `PictureUnavailable`."""
        picture = self._open.get(stream.id) or self._begin(stream, playback)
        if picture is None:
            return None
        picture.fetched_at = self._clock.monotonic()
        source = await _opened(picture)
        await self._precedence.give_way()
        return await source.fetch(name, after)

    async def listen(self, stream: Stream, playback: Playback) -> AsyncGenerator[Sound, None]:
        """An open stream's sound, see `PictureSource`; nothing of one that nobody can hear here. Raises
        `PictureUnavailable`."""
        picture = self._open.get(stream.id) or self._begin(stream, playback)
        if picture is None:
            return
        picture.listeners += 1
        try:
            source = await _opened(picture)
            async with aclosing(source.listen()) as sounds:
                async for sound in sounds:
                    yield sound
        finally:
            picture.listeners -= 1
            picture.fetched_at = self._clock.monotonic()

    def end(self, stream: Stream) -> None:
        """The stream is over, and its picture with it."""
        self._close(stream.id)

    async def aclose(self) -> None:
        """Close every source and wait until that is done."""
        for stream_id in tuple(self._open):
            self._close(stream_id)
        await self._tasks.drained()

    def _factory_for(self, playback: Playback) -> PictureSourceFactory | None:
        return next((factory for factory in self._factories if factory.can_show(playback)), None)

    def _begin(self, stream: Stream, playback: Playback) -> _OpenPicture | None:
        factory = self._factory_for(playback)
        if factory is None:
            return None
        picture = self._open[stream.id] = _OpenPicture(self._clock.monotonic())
        metrics.open_pictures.inc()
        picture.opening = self._tasks.create_task(
            self._open_source(picture, factory, stream, playback), name="open a picture"
        )
        picture.timer = self._clock.call_later(UNWATCHED_TIMEOUT, lambda: self._close_unwatched(stream.id))
        return picture

    async def _open_source(
        self, picture: _OpenPicture, factory: PictureSourceFactory, stream: Stream, playback: Playback
    ) -> None:
        try:
            picture.source = await factory.open(stream.upstream_id or "", playback)
        except PictureUnavailable as failure:
            picture.failure = failure
        finally:
            if picture.source is None and self._open.get(stream.id) is picture:
                # Whoever fetches meanwhile is told the same.
                picture.timer.cancel()
                picture.timer = self._clock.call_later(OPEN_AGAIN, lambda: self._close(stream.id))

    def _close_unwatched(self, stream_id: str) -> None:
        picture = self._open[stream_id]
        if picture.listeners:
            picture.fetched_at = self._clock.monotonic()
        left = picture.fetched_at + UNWATCHED_TIMEOUT - self._clock.monotonic()
        if left <= ROUNDING:
            self._close(stream_id)
        else:
            picture.timer = self._clock.call_later(left, lambda: self._close_unwatched(stream_id))

    def _close(self, stream_id: str) -> None:
        if (picture := self._open.pop(stream_id, None)) is not None:
            picture.timer.cancel()
            metrics.open_pictures.dec()
            self._tasks.create_task(_close_source(picture), name="close a picture")


async def _opened(picture: _OpenPicture) -> PictureSource:
    if picture.source is None:
        await asyncio.wait([picture.opening])
    if picture.source is None:
        raise PictureUnavailable(*(picture.failure.args if picture.failure else ("it could not be opened",)))
    return picture.source


async def _close_source(picture: _OpenPicture) -> None:
    await cancel_and_wait(picture.opening)
    if picture.source is not None:
        await picture.source.aclose()


@lru_cache(maxsize=4096)
def _name_for(stream_id: str) -> str:
    return hashlib.sha256(stream_id.encode()).hexdigest()[:12]
