"""Who may ask: the API key, the one-time tokens of the v1 API, and what is left on the account.

It answers questions about credentials; the envelope of a refusal is the business of the API that asks.
"""

import hmac
import secrets
from dataclasses import dataclass
from decimal import Decimal

from aiohttp import web

from adapters.simulator.meter import read_meter
from adapters.simulator.options import SimulatorOptions
from adapters.simulator.streams import Streams

_UNUSED_TOKENS = 10_000
"""Tokens nobody used are forgotten beyond this, the oldest first."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the holder of the API key, or of a v1 session token (`token`)."""

    token: str | None = None


class Account:
    """The one account of the simulator."""

    def __init__(self, options: SimulatorOptions, streams: Streams) -> None:
        self._key = options.api_key.get_secret_value().encode()
        self._balance = options.balance
        self._streams = streams
        self._unused: dict[str, None] = {}
        self._session_of: dict[str, str] = {}

    def holds_key(self, request: web.BaseRequest, *, bearer: bool = False) -> bool:
        """Whether the request carries the API key in `X-Api-Key`, or as a bearer where that is allowed."""
        given = request.headers.get("X-Api-Key")
        if given is None and bearer:
            given = bearer_of(request)
        return given is not None and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key)

    def v1_caller(self, request: web.BaseRequest) -> Caller | None:
        """Who asks the v1 API: the key or a token that was handed out; None for anybody else."""
        if self.holds_key(request):
            return Caller()
        token = bearer_of(request)
        if token is not None and (token in self._unused or token in self._session_of):
            return Caller(token)
        return None

    def new_token(self) -> str:
        """A v1 session token, good for one `streaming.new`."""
        token = secrets.token_urlsafe(32)
        self._unused[token] = None
        if len(self._unused) > _UNUSED_TOKENS:
            del self._unused[next(iter(self._unused))]
        return token

    def is_unused(self, token: str) -> bool:
        """Whether a token has not opened its session yet."""
        return token in self._unused

    def use_token(self, token: str, session_id: str) -> None:
        """The token has opened this session and may drive it from now on."""
        del self._unused[token]
        self._session_of[token] = session_id
        if len(self._session_of) > _UNUSED_TOKENS:
            del self._session_of[next(iter(self._session_of))]

    def session_of(self, token: str) -> str | None:
        """The session a token has opened."""
        return self._session_of.get(token)

    @property
    def spent(self) -> Decimal:
        """US dollars that all streams came to so far."""
        return read_meter(self._streams).total.dollars

    @property
    def remaining(self) -> Decimal | None:
        """US dollars left, at least 0; None when the account never runs out."""
        return None if self._balance is None else max(Decimal(0), self._balance - self.spent)

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing left to open another stream with."""
        return self.remaining == 0


def bearer_of(request: web.BaseRequest) -> str | None:
    """The bearer token of the request."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
