"""One playlist of the provider, for everybody who watches: asked for when somebody wants it and it may have changed, by
one request at a time.

When it may have changed is learned from when it did: a segment's length after the last change, and then in short steps.
So the number of requests depends on the stream and not on how many watch, and what is handed on is a step old at the
most. Nothing runs here while nobody asks.
"""

import asyncio
from collections.abc import Awaitable, Callable

from adapters.media.relay.syntax import Playlist
from bot.core.errors import PictureUnavailable
from bot.core.ports import Clock
from bot.core.tasks import TaskSet

STEP = 0.2
"""Seconds between two requests while a change is due; a longer one's step is an eighth of its segments."""
EARLY = 0.1
"""Seconds before a change is expected in which it is looked for already; so the step before it is found as well."""
STEPS_PER_SEGMENT = 8
PATIENCE = 1.0
"""Seconds that a viewer waits for a fresh playlist before they are given the last one."""
FAILURE_PAUSE = 0.5
"""Seconds until a provider that failed is asked again."""
CHOICE_AGE = 5.0
"""Seconds for which a playlist that lists playlists is taken for true."""
MAX_AGE_SEGMENTS = 3
MIN_MAX_AGE = 6.0
"""A playlist that could not be renewed is handed on until it is so many segments or seconds old, whichever is longer:
players go on with what they have, and then are told."""

Fetch = Callable[[], Awaitable[Playlist | None]]
"""Asks the provider; None if it has no such playlist. Raises `PictureUnavailable`."""


class LivePlaylist:
    """See the module."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._playlist: Playlist | None = None
        self._failure: PictureUnavailable | None = None
        self._confirmed_at = 0.0
        self._due_at = 0.0
        self._tasks = TaskSet()
        self._renewal: asyncio.Task[None] | None = None
        self._waited = asyncio.Event()

    async def read(self) -> Playlist | None:
        """The playlist as it is now; None if there is none. Raises `PictureUnavailable`."""
        if self._renewal is None and self._is_due:
            self._begin()
        if self._renewal is not None and self._is_usable:
            await self._waited.wait()
        elif self._renewal is not None:
            await asyncio.wait([self._renewal])
        if self._is_usable or self._failure is None:
            return self._playlist
        raise PictureUnavailable(*self._failure.args)

    async def aclose(self) -> None:
        """End the request that is under way."""
        await self._tasks.close()

    @property
    def _is_due(self) -> bool:
        is_over = self._playlist is not None and self._playlist.is_over
        return not is_over and self._clock.monotonic() >= self._due_at

    @property
    def _is_usable(self) -> bool:
        if self._playlist is None:
            return False
        max_age = max(MIN_MAX_AGE, MAX_AGE_SEGMENTS * (self._playlist.target_duration or 0.0))
        return self._playlist.is_over or self._clock.monotonic() - self._confirmed_at <= max_age

    def _begin(self) -> None:
        self._waited = asyncio.Event()
        self._renewal = self._tasks.create_task(self._renew(self._waited), name="renew a playlist")

    async def _renew(self, waited: asyncio.Event) -> None:
        patience = self._clock.call_later(PATIENCE, waited.set)
        asked_at = self._clock.monotonic()
        try:
            self._take(await self._fetch(), asked_at)
        except PictureUnavailable as failure:
            self._failure = failure
            self._due_at = self._clock.monotonic() + FAILURE_PAUSE
        finally:
            patience.cancel()
            self._renewal = None
            waited.set()

    def _take(self, playlist: Playlist | None, asked_at: float) -> None:
        before, self._failure = self._playlist, None
        if playlist is None:
            # Gone for a moment, or for good: whoever has an earlier one goes on with it for as long as it may be used.
            self._due_at = self._clock.monotonic() + FAILURE_PAUSE
            self._playlist = before if self._is_usable else None
            return
        self._playlist, self._confirmed_at = playlist, asked_at
        if playlist.target_duration is None:
            self._due_at = asked_at + CHOICE_AGE
            return
        step = max(STEP, playlist.newest_duration / STEPS_PER_SEGMENT)
        has_changed = before is not None and before.edge != playlist.edge
        # The first time nobody knows how long ago it changed.
        self._due_at = asked_at + (max(step, playlist.newest_duration - EARLY) if has_changed else step)
