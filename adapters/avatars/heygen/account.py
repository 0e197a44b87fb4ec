"""What the two HeyGen providers have in common: one key, one address, one pool of connections. Knows no endpoint."""

from types import TracebackType
from typing import Self

import httpx
from pydantic import SecretStr

from adapters.avatars.heygen.errors import HeyGenErrors
from adapters.avatars.http import ProviderHttpClient
from bot.core.errors import SettingsError
from bot.core.ports import Clock
from bot.settings import Settings


class HeyGenAccount:
    """The account both providers work with. Entering and leaving it opens and closes its connection pool."""

    name: str

    def __init__(
        self, api_key: SecretStr, api_url: str, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`api_url` has no path; `transport` replaces the network in tests of single answers."""
        self._connection = ProviderHttpClient("HeyGen", api_url, api_key, transport)
        self._errors = HeyGenErrors("HeyGen", api_key.get_secret_value())
        self._clock = clock

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """The provider of this program. Raises `SettingsError` if there is no key."""
        return cls(cls.key_of(settings), settings.heygen.api_url, clock)

    @classmethod
    def key_of(cls, settings: Settings) -> SecretStr:
        """The account's key. Raises `SettingsError` if there is none."""
        if settings.heygen.api_key is None:
            raise SettingsError(f"HEYGEN_API_KEY is not set; {cls.name} needs the API key of a HeyGen account")
        return settings.heygen.api_key

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)
