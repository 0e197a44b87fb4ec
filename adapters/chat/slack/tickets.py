"""Tickets: how one person comes to one session's page in Slack's side pane, where they bring neither a cookie nor a
login.

A ticket stands in an address, so it is worth little: ten minutes, one session, one page. The first page that calls with
it has it from then on; what else was loaded from that address, or is later, opens nothing. To load the page alone
exchanges nothing: clients may load a frame twice, or look at an address before they do. A ticket carries whom it was
made for, so that somebody who is blocked meanwhile does not get in.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

from cachetools import LRUCache
from itsdangerous import BadData, URLSafeSerializer
from pydantic import SecretStr

from bot.core import ids
from bot.core.bus import Bus
from bot.core.errors import LinkInvalid
from bot.core.ports import Clock

LIFETIME = timedelta(minutes=10)
"""From the click to the exchange: as long as Slack keeps the answer to a click (docs.slack.dev, Work Objects)."""

MAX_TICKET_LENGTH = 400
"""Characters of a ticket; a real one has about 130, a longer one is not read."""

MAX_REMEMBERED = 50_000
"""Exchanged tickets that are in memory at once: 13 a second for an hour. Of others the database is asked each time."""

CALLED = "slack.ticket_called"
"""What processes tell each other once the page of a ticket has called."""

_SALT = b"avatar-relay.slack-ticket.v1"
_ALPHABET = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says. viewer: id of the person whom it was made for. nonce: the ticket's own name."""

    session_id: str
    viewer: str
    nonce: str
    expires_at: datetime


class ExchangedTickets(Protocol):
    """Remembers which page has which ticket: `bot.store.tickets`, which all processes share."""

    async def holder(self, nonce: str) -> str | None:
        """The page that has a ticket; None while none has. Raises `StoreError`."""

    async def take(self, nonce: str, page: str) -> bool:
        """Give a ticket to a page, unless another has it. Of two at once one gets it. Raises `StoreError`."""


class IssuedTicket:
    """A ticket as it was made. text: what stands in the address. opened: set once the page has called, of which alone
    it is sure that the frame was let in."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.opened = asyncio.Event()


class Tickets:
    """Makes tickets and exchanges them."""

    def __init__(self, secret: SecretStr, clock: Clock, exchanged: ExchangedTickets, bus: Bus) -> None:
        """`secret`: `WEB_SECRET`; tickets are signed with a key of their own that is made of it. `bus`: a ticket that
        was made by one process may be exchanged at another."""
        self._clock = clock
        self._exchanged = exchanged
        self._bus = bus
        bus.handle(CALLED, self._on_called)
        # Once a page has a ticket, it has it for ever.
        self._holders: LRUCache[str, str] = LRUCache(MAX_REMEMBERED)
        self._issued: WeakValueDictionary[str, IssuedTicket] = WeakValueDictionary()
        kinds = {"key_derivation": "hmac", "digest_method": _sha256}
        self._serializer = URLSafeSerializer(secret.get_secret_value(), salt=_SALT, signer_kwargs=kinds)

    def issue(self, session_id: str, viewer: str) -> IssuedTicket:
        """Make a ticket for a person."""
        nonce = ids.new_nonce()
        text = self._serializer.dumps([session_id, viewer, nonce, int(self._clock.now().timestamp())])
        issued = self._issued[nonce] = IssuedTicket(str(text))
        return issued

    def read(self, text: str) -> Ticket:
        """What a ticket says, without exchanging it. Raises `LinkInvalid` with `forged` or `expired`."""
        if len(text) > MAX_TICKET_LENGTH or not _ALPHABET.fullmatch(text):
            raise LinkInvalid("forged")
        try:
            session_id, viewer, nonce, issued_at = self._serializer.loads(text)
            expires_at = datetime.fromtimestamp(issued_at, UTC) + LIFETIME
        except (BadData, ValueError, TypeError, OverflowError, OSError):
            raise LinkInvalid("forged") from None
        if self._clock.now() >= expires_at:
            raise LinkInvalid("expired")
        return Ticket(session_id, viewer, nonce, expires_at)

    async def page_for(self, ticket: Ticket) -> str:
        """A name for one more page that is loaded with a ticket.

        Raises `LinkInvalid` with `used` once a page has called with it, and `StoreError`.
        """
        if await self._exchanged.holder(ticket.nonce) is not None:
            raise LinkInvalid("used")
        return ids.new_nonce()

    async def call(self, nonce: str, page: str) -> None:
        """A page calls with its ticket. Raises `LinkInvalid` with `used` if another did before, and `StoreError`."""
        if (holder := self._holders.get(nonce)) is None:
            if not await self._exchanged.take(nonce, page):
                raise LinkInvalid("used")
            self._holders[nonce] = page
            await self._tell_issuer(nonce)
        elif holder != page:
            raise LinkInvalid("used")

    def close(self) -> None:
        """Hear of no exchange any more."""
        self._bus.unhandle(CALLED)

    async def _tell_issuer(self, nonce: str) -> None:
        if (issued := self._issued.get(nonce)) is not None:
            issued.opened.set()
        else:
            await self._bus.shout(CALLED, nonce)

    async def _on_called(self, _process: str, nonce: str) -> str:
        if (issued := self._issued.get(nonce)) is not None:
            issued.opened.set()
        return ""


def _sha256(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.sha256(data)
