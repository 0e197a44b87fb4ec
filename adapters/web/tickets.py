"""Tickets: what a frame in a chat client carries in place of a watch link. Signed, and worth nothing after a while.

A ticket says which platform made it and what that platform said of the frame (`bot.core.embeds.Frame.claim`). Whether
that still opens anything is the platform's to say; whoever has the ticket can read it, and cannot change it.
"""

import json
import re
from dataclasses import dataclass

from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from pydantic import SecretStr

from adapters.web.links import sha256
from bot.core.errors import LinkInvalid
from bot.core.ports import Clock

MAX_TICKET_LENGTH = 800
"""Characters of a ticket; a longer one is not read."""

_SALT = b"avatar-relay.embed-ticket.v1"
_ALPHABET = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says. expires_at: UTC epoch seconds."""

    host: str
    claim: str
    expires_at: int


class SignedTickets:
    """Makes tickets and reads them back."""

    def __init__(self, secret: SecretStr, clock: Clock) -> None:
        self._clock = clock
        self._signer = Signer(secret.get_secret_value(), salt=_SALT, key_derivation="hmac", digest_method=sha256)

    def make(self, host: str, claim: str, lifetime: float) -> str:
        """A ticket of a platform's frame; `lifetime` is in seconds."""
        content = json.dumps([host, claim, int(self._clock.now().timestamp() + lifetime)], separators=(",", ":"))
        return self._signer.sign(base64_encode(content)).decode("ascii")

    def read(self, text: str) -> Ticket:
        """What a ticket says. Raises `LinkInvalid` with `forged` or `expired`."""
        # base64 decoders skip foreign characters, so variations of a ticket would be valid as well.
        if len(text) > MAX_TICKET_LENGTH or not _ALPHABET.fullmatch(text):
            raise LinkInvalid("forged")
        try:
            host, claim, expires_at = json.loads(base64_decode(self._signer.unsign(text)))
        except (BadData, ValueError):
            raise LinkInvalid("forged") from None
        if self._clock.now().timestamp() >= expires_at:
            raise LinkInvalid("expired")
        return Ticket(host, claim, expires_at)
