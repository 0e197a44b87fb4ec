"""Watch links: short, signed, expiring. Only the core knows, by its nonce, whether one was revoked."""

import hashlib
import re
from datetime import datetime
from functools import lru_cache

from cachetools import LRUCache
from itsdangerous import BadData, TimestampSigner
from pydantic import SecretStr

from bot.core.errors import LinkInvalid
from bot.core.ports import Clock

MAX_LINK_LENGTH = 200
"""Characters of a signed id; a real one has about 75, a longer one is not read."""

STAMPS_PER_LIFETIME = 10
"""A link is stamped with the start of the current tenth of its lifetime, so that it rarely changes."""

MAX_REMEMBERED_LINKS = 4096
"""Links that need not be signed again: each change of a session shows its link."""

_SALT = b"avatar-relay.watch-link.v1"

_ALPHABET = re.compile(r"[A-Za-z0-9_.-]+")
"""The characters of a signed id."""


class _Signer(TimestampSigner):
    """The signer of itsdangerous with the injected clock instead of the machine's."""

    def __init__(self, secret: str, clock: Clock, step: int) -> None:
        super().__init__(secret, salt=_SALT, key_derivation="hmac", digest_method=sha256)
        self._clock = clock
        self._step = step

    def get_timestamp(self) -> int:
        now = int(self._clock.now().timestamp())
        return now - now % self._step


def sha256(data: bytes = b"") -> "hashlib._Hash":
    """What signs, by HMAC: the default of itsdangerous is SHA-1."""
    return hashlib.sha256(data)


class SignedWatchLinks:
    """`bot.core.ports.WatchLinks`: makes watch links and reads them back.

    `public_url` is the address of the server for other people, without a last slash; None while there is none. It
    may be set later, once a port is known.
    """

    def __init__(self, secret: SecretStr, public_url: str | None, lifetime: float, clock: Clock) -> None:
        """`lifetime` is in seconds; a link lives for that long, or up to a tenth less."""
        self.public_url = public_url
        self._lifetime = lifetime
        self._clock = clock
        self._signer = _Signer(secret.get_secret_value(), clock, max(1, int(lifetime / STAMPS_PER_LIFETIME)))
        self._signed = lru_cache(MAX_REMEMBERED_LINKS)(self._sign)
        self._verified: LRUCache[str, tuple[str, datetime]] = LRUCache(MAX_REMEMBERED_LINKS)

    def url(self, link_nonce: str) -> str | None:
        """The link people open, None if the page cannot be reached by others. The same for a tenth of a lifetime."""
        if self.public_url is None:
            return None
        return f"{self.public_url}/w/{self._signed(link_nonce, self._signer.get_timestamp())}"

    def _sign(self, link_nonce: str, stamp: int) -> str:
        del stamp  # The signer asks for it by itself; a link is remembered for as long as it is the same.
        return self._signer.sign(link_nonce).decode("ascii")

    def nonce_of(self, signed: str) -> str:
        """The nonce inside a signed id. Raises `LinkInvalid` with `forged` or `expired`."""
        # base64 decoders skip foreign characters, so variations of a link would be valid as well.
        if len(signed) > MAX_LINK_LENGTH or not _ALPHABET.fullmatch(signed):
            raise LinkInvalid("forged")
        nonce, signed_at = self._verified.get(signed) or self._verify(signed)
        if (self._clock.now() - signed_at).total_seconds() >= self._lifetime:
            raise LinkInvalid("expired")
        return nonce

    def _verify(self, signed: str) -> tuple[str, datetime]:
        """The nonce and when it was signed (UTC); remembered, since each file of a picture is asked for by its link."""
        try:
            nonce, signed_at = self._signer.unsign(signed, return_timestamp=True)
            verified = nonce.decode("ascii"), signed_at
        except (BadData, UnicodeDecodeError):
            raise LinkInvalid("forged") from None
        self._verified[signed] = verified
        return verified
