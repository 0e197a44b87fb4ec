"""What a LiveAvatar account has: its avatars, voices and credits. Knows nothing of sessions."""

from collections.abc import AsyncIterator, Mapping, Sequence

from adapters.avatars.http import ErrorMapper, ProviderHttpClient, RetryPolicy
from adapters.wire import fields
from bot.core.errors import Transient, Trouble
from bot.core.ports import CatalogueEntry

PAGE_SIZE = 100
"""The most that LiveAvatar allows."""

MAX_PAGES = 10
"""Pages of a list that are read: 1,000 rows, more than anybody chooses from."""

SANDBOX_AVATAR = "dd73ea75-1218-4ef3-92ce-606d5f7fbc0a"
"""Wayne, the one avatar of the sandbox."""


class LiveAvatarCatalogue:
    """Avatars, voices and the balance, fetched at each call."""

    def __init__(self, connection: ProviderHttpClient, judge: ErrorMapper, *, sandbox: bool) -> None:
        self._connection = connection
        self._judge = judge
        self._sandbox = sandbox

    async def rows(self, path: str, most_pages: int = MAX_PAGES, **query: str) -> AsyncIterator[object]:
        """The rows of a paged list, page after page."""
        for page in range(1, most_pages + 1):
            answer = await self._connection.request(
                "GET", path, self._judge, RetryPolicy.IDEMPOTENT, query={**query, "page": page, "page_size": PAGE_SIZE}
            )
            data = fields.field(answer.json, "data")
            if not isinstance(fields.field(data, "results"), list):
                raise Transient(
                    "LiveAvatar answered a list in a form nobody knows",
                    may_have_taken_effect=False,
                    trouble=Trouble.MALFORMED,
                )
            for row in fields.rows(fields.field(data, "results")):
                yield row
            if fields.field(data, "next") is None:
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
        found = []
        for kind in ("private", "public"):
            async for row in self.rows("/v1/voices", voice_type=kind):
                voice_id = fields.text(fields.field(row, "id"))
                if voice_id is not None:
                    found.append(CatalogueEntry(voice_id, fields.text(fields.field(row, "name")) or voice_id))
        return found

    async def balance(self) -> str | None:
        """The credits left, which come as a decimal in a string."""
        answer = await self._connection.request("GET", "/v1/users/credits", self._judge, RetryPolicy.IDEMPOTENT)
        credits_left = fields.number(fields.field(answer.json, "data", "credits_left"))
        return None if credits_left is None else f"{round(credits_left, 1):g} credits"

    async def _avatars(self) -> AsyncIterator[CatalogueEntry]:
        for path in ("/v1/avatars", "/v1/avatars/public"):
            async for row in self.rows(path):
                avatar_id = fields.text(fields.field(row, "id"))
                if avatar_id is not None and _is_usable(row):
                    yield CatalogueEntry(
                        avatar_id,
                        fields.text(fields.field(row, "name")) or avatar_id,
                        fields.url(fields.field(row, "preview_url"), "https", "http"),
                        fields.text(fields.field(row, "default_voice", "id")),
                    )


def _is_usable(row: object) -> bool:
    status: Mapping[str, object] = row if isinstance(row, dict) else {}
    return status.get("status") in (None, "ACTIVE") and status.get("is_expired") is not True
