"""The files that playlists lead to: each fetched once while it is in the window, kept within bounds, and given to
everybody who asks.
"""

import asyncio
from dataclasses import dataclass

from cachetools import LRUCache

from adapters.media.relay.syntax import Kind, Reference
from adapters.media.relay.upstream import Bounds, Upstream
from bot.core.errors import PictureUnavailable
from bot.core.pictures import MediaFile
from bot.core.ports import Clock
from bot.core.tasks import TaskSet

CACHE_SIZE = 32 << 20
"""Bytes of files that are kept of one stream. A minute at 4 Mbit/s."""
SEGMENT_BOUNDS = Bounds(8 << 20, 15.0)
"""6 s at 10 Mbit/s."""
KEY_BOUNDS = Bounds(1024, 5.0)
MAX_REQUESTS = 6
"""Files of one stream that are fetched at a time; others wait."""
FAILURE_PAUSE = 0.4
"""Seconds for which a file that could not be had is not asked for again; players try again after half a second."""

_MP4, _TRANSPORT_STREAM, _KEY = "video/mp4", "video/mp2t", "application/octet-stream"


@dataclass(slots=True)
class _Attempt:
    """A request for a file, or the one that has failed last. result: None while it is under way, and where the provider
    has no such file."""

    done: asyncio.Event
    result: MediaFile | None = None
    failure: PictureUnavailable | None = None
    ended_at: float | None = None


class FileCache:
    """The files of one stream."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self._upstream = upstream
        self._clock = clock
        self._kept: LRUCache[str, MediaFile] = LRUCache(CACHE_SIZE, getsizeof=lambda file: len(file.body))
        self._attempts: dict[str, _Attempt] = {}
        self._places = asyncio.Semaphore(MAX_REQUESTS)
        self._tasks = TaskSet()

    async def read(self, name: str, reference: Reference) -> MediaFile | None:
        """The file of a name; None if the provider has none. Raises `PictureUnavailable`."""
        if (kept := self._kept.get(name)) is not None:
            return kept
        attempt = self._attempts.get(name)
        if attempt is None or self._may_be_repeated(attempt):
            attempt = self._attempts[name] = _Attempt(asyncio.Event())
            self._tasks.create_task(self._fetch(name, reference, attempt), name="fetch a file of a stream")
        await attempt.done.wait()
        if attempt.failure is not None:
            raise PictureUnavailable(*attempt.failure.args)
        return attempt.result

    def forget(self, name: str) -> None:
        """The file of this name is not asked for any more."""
        self._kept.pop(name, None)
        self._attempts.pop(name, None)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._tasks.close()
        self._kept.clear()

    def _may_be_repeated(self, attempt: _Attempt) -> bool:
        return attempt.ended_at is not None and self._clock.monotonic() - attempt.ended_at >= FAILURE_PAUSE

    async def _fetch(self, name: str, reference: Reference, attempt: _Attempt) -> None:
        bounds = KEY_BOUNDS if reference.kind is Kind.KEY else SEGMENT_BOUNDS
        try:
            async with self._places:
                download = await self._upstream.get(reference.url, bounds, reference.byte_range)
            if download is not None:
                attempt.result = MediaFile(download.body, _content_type(reference), reference.kind is not Kind.KEY)
                self._keep(name, attempt.result)
        except PictureUnavailable as failure:
            attempt.failure = failure
        finally:
            attempt.ended_at = self._clock.monotonic()
            if attempt.result is not None and self._attempts.get(name) is attempt:
                del self._attempts[name]
            attempt.done.set()

    def _keep(self, name: str, file: MediaFile) -> None:
        if len(file.body) <= self._kept.maxsize:
            self._kept[name] = file


def _content_type(reference: Reference) -> str:
    """What a file is, by what leads to it: what the provider says of it is not handed on."""
    if reference.kind is Kind.KEY:
        return _KEY
    return _MP4 if reference.is_fragmented else _TRANSPORT_STREAM
