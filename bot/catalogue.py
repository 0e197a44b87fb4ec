"""What the provider's avatars are called and look like, remembered, so that showing a session never waits for a
list."""

import asyncio

from bot.ports import AvatarProvider, CatalogueEntry, Clock

REMEMBERED = 3600.0
"""Seconds a list of avatars is taken for true; accounts get a new avatar now and then, not every minute."""


class Catalogue:
    """The avatars of one account."""

    def __init__(self, provider: AvatarProvider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._entries: dict[str, CatalogueEntry] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def avatar(self, wished: str) -> CatalogueEntry | None:
        """The avatar that a stream gets which asks for `wished` (empty: the provider's default); None where the list
        does not have it. Raises `ProviderError`."""
        avatar_id = await self._provider.avatar_for(wished)
        async with self._reading:
            now = self._clock.monotonic()
            if self._read_at is None or now - self._read_at > REMEMBERED:
                self._entries = {entry.id: entry for entry in await self._provider.avatars()}
                self._read_at = now
        return self._entries.get(avatar_id)
