"""What two processes say to each other of a page that is open at the one and shown a session of the other.

Bodies are JSON lists. `number` counts the messages of a page in each direction from 1: one that is missing ends the
connection, and the page, which connects again, is told everything anew.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

OPEN, SAID, LEFT = "page.open", "page.said", "page.left"
"""To the owner of the session: a page has come (asked), has sent a message, has gone."""

TOLD, CLOSED = "page.told", "page.closed"
"""To the process where the page is: a message for it, and with which code its connection ends (None: without one)."""

PULSE = "page.pulse"
"""To the owner, asked: the pages that are open. The answer: those that it does not show (any more)."""

ROOMS = "page.rooms"
"""To the owner, asked: where the page of a link may join a room; None where the link opens nothing."""

TAKEN, NOT_MINE = "taken", "not mine"
"""Answers to `OPEN`."""

PULSE_INTERVAL = 3.0
"""Seconds between two pulses."""

PULSE_TIMEOUT = 10.0
"""Seconds without a pulse after which a page has gone with its process."""

MAX_WAITING = 512
"""Messages of one page that wait in one direction. Whoever is further behind connects again and gets a snapshot."""


@dataclass(frozen=True, slots=True)
class PipedPage:
    """A page as its owner needs to know it. id: among all pages of its process. media_prefix: what stands before the
    addresses of its picture (`adapters.web.access.Access.media`). viewer: see `bot.core.embeds.SessionGrant`."""

    id: str
    nonce: str
    media_prefix: str
    is_framed: bool
    shows_picture: bool
    opens_links: bool
    viewer: str | None


def dump_page(page: PipedPage) -> str:
    """The body of `OPEN`."""
    return json.dumps(asdict(page))


def load_page(body: str) -> PipedPage:
    """The page in a body of `OPEN`."""
    return PipedPage(**json.loads(body))


def dump(*values: object) -> str:
    """A body."""
    return json.dumps(values, separators=(",", ":"))


def load(body: str) -> Sequence[Any]:
    """The values of a body."""
    values: Sequence[Any] = json.loads(body)
    return values
