"""What people are shown of a session and told about it, in no platform's words: replies, notices, views and events.

Adapters and watch pages render these. Nothing here does I/O, knows a platform or a vendor, or changes once it is made.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.core.models import Channel, Mode


class Phase(StrEnum):
    """What a person sees of a session, on the panel and on the watch page."""

    STARTING = "starting"
    LIVE = "live"
    WAITING_FOR_TEXT = "waiting_for_text"
    WAITING_FOR_VIEWER = "waiting_for_viewer"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class SessionView:
    """What may be shown of a session: the panel and the watch page are drawn from this alone.

    `watch_url` is the link for people, None if there is none. `hls_url` is set while a stream can be played, and is the
    provider's. `picture` is set while the bot serves that stream itself (`bot.core.pictures`): a name of its own for
    each stream, which tells nothing of it.
    `has_room`: the stream is a LiveKit room, which the page gets a door to (`RoomAccess`).
    `ended` is a sentence. `price_per_minute` is US dollars while a stream is open.
    `is_waking`: it is starting again after it was live. `wakes_in`: seconds that usually takes, while it is asleep
    (`WAITING_FOR_TEXT`) or waking; None where nobody knows yet. `needs_viewer`: nobody watches, and nothing is said
    before somebody does. `is_refused`: it is asleep because the provider opens no stream for what waits.
    `language`: the code of what it speaks, where that was chosen for the session. `heard_in`: the name of a place where
    it is heard besides the page. `watched_by`: the names of those who watch inside the chat, where the platform says
    for certain who they are; for the panel, which stands in the same chat, and never for the page.
    """

    session_id: str
    channel: Channel
    phase: Phase
    mode: Mode
    avatar: str
    avatar_picture: str | None
    started_by_name: str
    queue_length: int
    speaking: str | None
    held: bool
    ends_at: datetime
    watch_url: str | None = None
    hls_url: str | None = None
    picture: str | None = None
    has_room: bool = False
    ended: str | None = None
    price_per_minute: Decimal | None = None
    is_waking: bool = False
    wakes_in: int | None = None
    needs_viewer: bool = False
    is_refused: bool = False
    language: str | None = None
    heard_in: str | None = None
    watched_by: tuple[str, ...] = ()

    @property
    def is_last(self) -> bool:
        """Whether nothing more is to be shown of the session: it has ended, and why is told."""
        return self.phase is Phase.ENDED and self.ended is not None


class Visibility(StrEnum):
    """Who reads a reply."""

    PRIVATE = "private"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press: it gives the command `/avatar VERB` for the session it was shown for."""

    verb: str
    label: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in no platform's words: plain text, facts as pairs, the watch link where there is one, and what can be
    pressed on platforms that have buttons."""

    text: str
    visibility: Visibility = Visibility.CHANNEL
    fields: tuple[tuple[str, str], ...] = ()
    link: str | None = None
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class UnsaidWords:
    """What one person is told of their words that were not said. `person` is an actor's key, `platform:id`; `reply` is
    for them alone."""

    person: str
    name: str
    reply: Reply
