"""What a HeyGen account has for v3: looks, voices, the balance, and which of them to take where nobody chose.

Reads only, and remembers choices for an hour.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import AliasPath, Field, OnErrorOmit

from adapters.avatars.heygen.errors import HeyGenErrors
from adapters.avatars.http import ProviderHttpClient, RetryPolicy
from adapters.wire.lenient import DataModel, HttpUrl, LenientModel, LongText, Number, Text
from bot.core.errors import Invalid
from bot.core.ports import CatalogueEntry, Clock

CHOICE_AGE = 3600.0
"""Seconds for which a chosen avatar and voice are remembered."""

MAX_CHOICES = 256

MAX_PAGES = 20
"""Pages of a list that are read: 1,000 looks, 2,000 voices of each kind."""

LOOKS_PER_PAGE = 50
VOICES_PER_PAGE = 100


class _Look(LenientModel):
    id: Text
    name: Text | None = None
    preview_image_url: HttpUrl | None = None
    default_voice_id: Text | None = None
    status: object = None


class _LookDetail(DataModel):
    default_voice_id: Text = ""


class _Voice(LenientModel):
    voice_id: Text
    name: Text | None = None


_Row = TypeVar("_Row", _Look, _Voice)


class _Page(LenientModel, Generic[_Row]):
    data: tuple[OnErrorOmit[_Row], ...]
    has_more: bool = Field(default=False, strict=True)
    next_token: LongText | None = None


def _at(*path: str) -> Any:
    return Field(default=None, validation_alias=AliasPath("data", *path))


class _Account(LenientModel):
    """It has a wallet, a subscription, or a plan by use."""

    balance: Number | None = _at("wallet", "remaining_balance")
    currency: Text | None = _at("wallet", "currency")
    premium_credits: Number | None = _at("subscription", "credits", "premium_credits", "remaining")
    add_on_credits: Number | None = _at("subscription", "credits", "add_on_credits", "remaining")
    remaining_credits: Number | None = _at("usage_based", "remaining_credits")
    spent: Number | None = _at("usage_based", "spending_current_usd")
    spending_cap: Number | None = _at("usage_based", "spending_cap_usd")

    def left(self) -> str | None:
        """What is left, in dollars or credits."""
        pools = [amount for amount in (self.premium_credits, self.add_on_credits) if amount is not None]
        if self.balance is not None:
            return f"$ {self.balance:.2f}" if self.currency == "usd" else _credits(self.balance)
        if pools:
            return _credits(sum(pools))
        if self.remaining_credits is not None:
            return _credits(self.remaining_credits)
        if self.spent is None or self.spending_cap is None:
            return None
        return f"$ {max(0.0, self.spending_cap - self.spent):.2f}"


def _credits(amount: float) -> str:
    return f"{amount:.1f} credits".replace(".0 ", " ")


class RealtimeCatalogue:
    """The lists of one account. Every method raises the provider's errors."""

    def __init__(self, connection: ProviderHttpClient, errors: HeyGenErrors, clock: Clock) -> None:
        self._connection = connection
        self._errors = errors
        self._clock = clock
        self._choices: dict[tuple[str, str], tuple[str, str, float]] = {}
        self._choosing = asyncio.Lock()

    async def avatars(self) -> Sequence[CatalogueEntry]:
        """The looks that are ready to use; the id of a look is what v3 calls `avatar_id`."""
        rows = await self._pages("/v3/avatars/looks", _Page[_Look], LOOKS_PER_PAGE)
        return [
            CatalogueEntry(row.id, row.name or row.id, row.preview_image_url, row.default_voice_id)
            for row in rows
            if row.status in (None, "completed")
        ]

    async def voices(self) -> Sequence[CatalogueEntry]:
        """The account's own voices, then the public ones."""
        rows = await self._pages("/v3/voices", _Page[_Voice], VOICES_PER_PAGE, type="private")
        rows += await self._pages("/v3/voices", _Page[_Voice], VOICES_PER_PAGE, type="public")
        return list({row.voice_id: CatalogueEntry(row.voice_id, row.name or row.voice_id) for row in rows}.values())

    async def balance(self) -> str | None:
        """What is left in the wallet, the subscription or the plan, whichever the account has."""
        answer = await self._connection.request("GET", "/v3/users/me", self._errors.reading, RetryPolicy.IDEMPOTENT)
        return _Account.model_validate(answer.json).left()

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
            "GET", f"/v3/avatars/looks/{quote(avatar, safe='')}", self._errors.reading, RetryPolicy.IDEMPOTENT
        )
        return avatar, _LookDetail.model_validate(answer.json).default_voice_id

    async def _first_voice(self) -> str:
        voices = await self.voices()
        if not voices:
            raise Invalid("this HeyGen account lists no voice; set AVATAR_VOICE_ID", parameter="voice")
        return voices[0].id

    async def _pages(self, path: str, model: type[_Page[_Row]], size: int, **query: str) -> list[_Row]:
        rows: list[_Row] = []
        token = ""
        for _ in range(MAX_PAGES):
            asked: dict[str, str | int] = {"limit": size, **query, **({"token": token} if token else {})}
            answer = await self._connection.request(
                "GET", path, self._errors.reading, RetryPolicy.IDEMPOTENT, query=asked
            )
            complaint = f"HeyGen answered {path} with something that is not a list"
            page = answer.read(model, complaint, may_have_taken_effect=False)
            rows += page.data
            if not page.has_more or page.next_token in (None, token):
                break
            token = page.next_token
        return rows
