"""What a HeyGen account has for v3: looks, voices, the balance, and which of them to take where nobody chose.

Reads only, and remembers choices for an hour.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from adapters.avatars.heygen.errors import HeyGenErrors
from adapters.avatars.http import ProviderHttpClient, RetryPolicy
from adapters.wire import fields
from bot.core.errors import Invalid, Transient, Trouble
from bot.core.ports import CatalogueEntry, Clock

CHOICE_AGE = 3600.0
"""Seconds for which a chosen avatar and voice are remembered."""

MAX_CHOICES = 256

MAX_PAGES = 20
"""Pages of a list that are read: 1,000 looks, 2,000 voices of each kind."""

LOOKS_PER_PAGE = 50
VOICES_PER_PAGE = 100


class RealtimeCatalogue:
    """The lists of one account. Every method raises the provider's errors."""

    def __init__(self, connection: ProviderHttpClient, refusals: HeyGenErrors, clock: Clock) -> None:
        self._connection = connection
        self._refusals = refusals
        self._clock = clock
        self._choices: dict[tuple[str, str], tuple[str, str, float]] = {}
        self._choosing = asyncio.Lock()

    async def avatars(self) -> Sequence[CatalogueEntry]:
        """The looks that are ready to use; the id of a look is what v3 calls `avatar_id`."""
        entries = [_look(row) for row in await self._pages("/v3/avatars/looks", LOOKS_PER_PAGE)]
        return [entry for entry in entries if entry is not None]

    async def voices(self) -> Sequence[CatalogueEntry]:
        """The account's own voices, then the public ones."""
        rows = await self._pages("/v3/voices", VOICES_PER_PAGE, type="private")
        rows += await self._pages("/v3/voices", VOICES_PER_PAGE, type="public")
        entries = [_voice(row) for row in rows]
        return list({entry.id: entry for entry in entries if entry is not None}.values())

    async def balance(self) -> str | None:
        """What is left in the wallet, the subscription or the plan, whichever the account has."""
        answer = await self._connection.request("GET", "/v3/users/me", self._refusals.reading, RetryPolicy.IDEMPOTENT)
        account = fields.field(answer.json, "data")
        return _in_wallet(account) or _in_subscription(account) or _in_plan(account)

    async def choice(self, avatar: str, voice: str) -> tuple[str, str]:
        """(avatar, voice), both of which v3 insists on: an empty one is filled in with the first look that has a voice,
        and with the look's own voice. Raises `Invalid` if the account has nothing to choose from."""
        if avatar and voice:
            return avatar, voice
        async with self._choosing:
            known = self._choices.get((avatar, voice))
            if known is not None and self._clock.monotonic() < known[2]:
                return known[0], known[1]
            chosen, own_voice = await self._own_voice(avatar) if avatar else await self._first_look()
            spoken = voice or own_voice or await self._first_voice()
            if len(self._choices) >= MAX_CHOICES:
                self._choices.clear()
            self._choices[avatar, voice] = (chosen, spoken, self._clock.monotonic() + CHOICE_AGE)
            return chosen, spoken

    async def _first_look(self) -> tuple[str, str]:
        looks = await self.avatars()
        look = next((look for look in looks if look.default_voice), None) or next(iter(looks), None)
        if look is None:
            raise Invalid("this HeyGen account has no avatar that is ready; set AVATAR_ID", parameter="avatar")
        return look.id, look.default_voice or ""

    async def _own_voice(self, avatar: str) -> tuple[str, str]:
        answer = await self._connection.request(
            "GET", f"/v3/avatars/looks/{quote(avatar, safe='')}", self._refusals.reading, RetryPolicy.IDEMPOTENT
        )
        return avatar, fields.text(fields.field(answer.json, "data", "default_voice_id")) or ""

    async def _first_voice(self) -> str:
        voices = await self.voices()
        if not voices:
            raise Invalid("this HeyGen account lists no voice; set AVATAR_VOICE_ID", parameter="voice")
        return voices[0].id

    async def _pages(self, path: str, size: int, **query: str) -> list[object]:
        rows: list[object] = []
        token = ""
        for _ in range(MAX_PAGES):
            page: dict[str, str | int] = {"limit": size, **query, **({"token": token} if token else {})}
            answer = await self._connection.request(
                "GET", path, self._refusals.reading, RetryPolicy.IDEMPOTENT, query=page
            )
            listed = fields.field(answer.json, "data")
            if not isinstance(listed, list):
                raise Transient(
                    f"HeyGen answered {path} with something that is not a list",
                    may_have_taken_effect=False,
                    trouble=Trouble.MALFORMED,
                )
            rows += listed
            following = fields.text(fields.field(answer.json, "next_token"), fields.MAX_URL_LENGTH)
            if fields.field(answer.json, "has_more") is not True or following is None or following == token:
                break
            token = following
        return rows


def _look(row: object) -> CatalogueEntry | None:
    look_id = fields.text(fields.field(row, "id"))
    if look_id is None or fields.field(row, "status") not in (None, "completed"):
        return None
    return CatalogueEntry(
        look_id,
        fields.text(fields.field(row, "name")) or look_id,
        fields.url(fields.field(row, "preview_image_url"), "https", "http"),
        fields.text(fields.field(row, "default_voice_id")),
    )


def _voice(row: object) -> CatalogueEntry | None:
    voice_id = fields.text(fields.field(row, "voice_id"))
    if voice_id is None:
        return None
    return CatalogueEntry(voice_id, fields.text(fields.field(row, "name")) or voice_id)


def _in_wallet(account: object) -> str | None:
    wallet = fields.field(account, "wallet")
    left = fields.number(fields.field(wallet, "remaining_balance"))
    if left is None:
        return None
    return f"$ {left:.2f}" if fields.field(wallet, "currency") == "usd" else _credits(left)


def _in_subscription(account: object) -> str | None:
    pools = fields.field(account, "subscription", "credits")
    left = [fields.number(fields.field(pools, pool, "remaining")) for pool in ("premium_credits", "add_on_credits")]
    known = [amount for amount in left if amount is not None]
    return _credits(sum(known)) if known else None


def _in_plan(account: object) -> str | None:
    usage = fields.field(account, "usage_based")
    left = fields.number(fields.field(usage, "remaining_credits"))
    if left is not None:
        return _credits(left)
    spent, cap = (fields.number(fields.field(usage, name)) for name in ("spending_current_usd", "spending_cap_usd"))
    return None if spent is None or cap is None else f"$ {max(0.0, cap - spent):.2f}"


def _credits(amount: float) -> str:
    return f"{amount:.1f} credits".replace(".0 ", " ")
