"""What a LiveAvatar account has: its avatars, voices and credits. Knows nothing of sessions."""

from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar

from pydantic import AliasPath, Field, OnErrorOmit

from adapters.avatars.http import ErrorMapper, ProviderHttpClient, RetryPolicy
from adapters.wire.lenient import DataModel, HttpUrl, LenientModel, Number, Text
from bot.core.errors import Transient
from bot.core.ports import CatalogueEntry

PAGE_SIZE = 100
"""The most that LiveAvatar allows."""

MAX_PAGES = 10
"""Pages of a list that are read: 1,000 rows, more than anybody chooses from."""

SANDBOX_AVATAR = "dd73ea75-1218-4ef3-92ce-606d5f7fbc0a"
"""Wayne, the one avatar of the sandbox."""


Row = TypeVar("Row", bound=LenientModel)


class Page(DataModel, Generic[Row]):
    """A page of a list."""

    results: tuple[OnErrorOmit[Row], ...]
    next: object = None


class _Avatar(LenientModel):
    id: Text
    name: Text | None = None
    preview_url: HttpUrl | None = None
    default_voice: Text | None = Field(default=None, validation_alias=AliasPath("default_voice", "id"))
    status: object = None
    is_expired: object = None


class _Voice(LenientModel):
    id: Text
    name: Text | None = None


class _Credits(DataModel):
    credits_left: Number | None = None  # a decimal in a string


class LiveAvatarCatalogue:
    """Avatars, voices and the balance, fetched at each call."""

    def __init__(self, connection: ProviderHttpClient, map_error: ErrorMapper, *, sandbox: bool) -> None:
        self._connection = connection
        self._map_error = map_error
        self._sandbox = sandbox

    async def rows(
        self, path: str, model: type[Page[Row]], most_pages: int = MAX_PAGES, **query: str
    ) -> AsyncIterator[Row]:
        """The rows of a paged list, page after page."""
        for number in range(1, most_pages + 1):
            asked: dict[str, str | int] = {**query, "page": number, "page_size": PAGE_SIZE}
            answer = await self._connection.request("GET", path, self._map_error, RetryPolicy.IDEMPOTENT, query=asked)
            page = answer.read(model, "LiveAvatar answered a list in a form nobody knows", may_have_taken_effect=False)
            for row in page.results:
                yield row
            if page.next is None:
                return

    async def avatars(self) -> Sequence[CatalogueEntry]:
        """The account's own avatars and then the public ones, those that can be used now."""
        if self._sandbox:
            return [CatalogueEntry(SANDBOX_AVATAR, "Wayne")]
        return [entry async for entry in self._avatars()]

    async def choice(self, wished: str) -> str:
        """`wished`, or the first avatar there is. Raises `Transient` if there is none."""
        if self._sandbox:
            return SANDBOX_AVATAR
        if wished:
            return wished
        async for entry in self._avatars():
            return entry.id
        raise Transient("LiveAvatar lists no avatar; choose one with AVATAR_ID", may_have_taken_effect=False)

    async def voices(self) -> Sequence[CatalogueEntry]:
        """The account's own voices and then the public ones."""
        return [
            CatalogueEntry(row.id, row.name or row.id)
            for kind in ("private", "public")
            async for row in self.rows("/v1/voices", Page[_Voice], voice_type=kind)
        ]

    async def balance(self) -> str | None:
        """The credits left."""
        answer = await self._connection.request("GET", "/v1/users/credits", self._map_error, RetryPolicy.IDEMPOTENT)
        credits_left = _Credits.model_validate(answer.json).credits_left
        return None if credits_left is None else f"{round(credits_left, 1):g} credits"

    async def _avatars(self) -> AsyncIterator[CatalogueEntry]:
        for path in ("/v1/avatars", "/v1/avatars/public"):
            async for row in self.rows(path, Page[_Avatar]):
                if row.status in (None, "ACTIVE") and row.is_expired is not True:
                    yield CatalogueEntry(row.id, row.name or row.id, row.preview_url, row.default_voice)
