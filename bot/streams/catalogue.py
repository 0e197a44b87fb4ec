"""What the provider's avatars and voices are called and look like, remembered, so that showing a session or offering a
choice never waits for the provider.
"""

import asyncio
from collections.abc import Sequence

import structlog

from bot.core.errors import ProviderError
from bot.core.ports import AvatarProvider, CatalogueEntry, Clock

log = structlog.get_logger(__name__)

CACHE_TTL = 3600.0
"""Seconds a list is taken for true; accounts get a new avatar now and then, not every minute."""

RETRY_DELAY = 60.0
"""Seconds until a list that could not be had is asked for again."""


class Catalogue:
    """The avatars and voices of one account."""

    def __init__(self, provider: AvatarProvider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._avatars: dict[str, CatalogueEntry] = {}
        self._voices: tuple[CatalogueEntry, ...] = ()
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    @property
    def cached_avatars(self) -> Sequence[CatalogueEntry]:
        """The avatars as they were last read, to choose from; empty until they have been read."""
        return tuple(self._avatars.values())

    @property
    def known_voices(self) -> Sequence[CatalogueEntry]:
        """The voices as they were last read, to choose from; empty until they have been read."""
        return self._voices

    async def avatar(self, wished: str) -> CatalogueEntry | None:
        """The avatar that a stream gets which asks for `wished` (empty: the provider's default); None if the list
        does not have it. Raises `ProviderError`."""
        avatar_id = await self._provider.avatar_for(wished)
        await self._read_avatars(CACHE_TTL)
        return self._avatars.get(avatar_id)

    async def refresh_forever(self) -> None:
        """Read both lists now and every hour, until cancelled. A list that cannot be fetched stays as it was, and is
        asked for again after a minute."""
        while True:
            pause = CACHE_TTL
            try:
                # Less than the pause, so that each round reads.
                await self._read_avatars(CACHE_TTL / 2)
                self._voices = tuple(await self._provider.voices())
            except ProviderError as error:
                log.info("could not fetch the lists of avatars and voices", error=str(error))
                pause = RETRY_DELAY
            await self._clock.sleep(pause)

    async def _read_avatars(self, older_than: float) -> None:
        async with self._reading:
            now = self._clock.monotonic()
            if self._read_at is None or now - self._read_at > older_than:
                self._avatars = {entry.id: entry for entry in await self._provider.avatars()}
                self._read_at = now
