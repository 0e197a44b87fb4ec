"""The messages between the server and the watch page: their shapes, how they are made, the close codes.

What is not named here never reaches a viewer: no link nonce, no id of a person, channel or stream, no price. A room's
token is in a `door` message and nowhere else. `static/watch.js` is the other side; `said.py` reads what it sends.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Literal, Never, TypedDict

from adapters.web.seats import SeatStatus
from bot.core.models import RoomAccess, Word
from bot.core.views import SessionView
from bot.streams.page_bridge import OutgoingMessage, RoomMessage

_VISITOR = re.compile(r"[A-Za-z0-9_-]{16,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_TOPIC_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Hello:
    """Wants the snapshot again."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Names itself, with a key that only this page knows, and says whether it is in the room already."""

    visitor: str
    plays: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Would like to have the seat."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Was asked for the seat and keeps it."""


@dataclass(frozen=True, slots=True)
class Give:
    """Was asked for the seat and gives it."""


@dataclass(frozen=True, slots=True)
class WantsDoor:
    """Is out of the room, and would like to enter again."""


@dataclass(frozen=True, slots=True)
class Avatar:
    """Is in the room, and sees whether the avatar is there."""

    room: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Seated:
    """Plays both of the avatar's tracks."""

    room: str


@dataclass(frozen=True, slots=True)
class Left:
    """Is out of the room."""


@dataclass(frozen=True, slots=True)
class Published:
    """Has published what it was given."""

    id: str


@dataclass(frozen=True, slots=True)
class Heard:
    """Reports what was said in the room."""

    message: RoomMessage


ClientMessage = Hello | Visit | Ask | Keep | Give | WantsDoor | Avatar | Seated | Left | Published | Heard

_BARE: Mapping[str, ClientMessage] = {
    "hello": Hello(),
    "ask": Ask(),
    "keep": Keep(),
    "give": Give(),
    "door": WantsDoor(),
    "left": Left(),
}


def parse_message(text: str) -> ClientMessage | None:
    """The message in `text`, None if it is none that a page may send."""
    try:
        said: object = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    size = len(said) if isinstance(said, dict) else 0
    match said:
        case {"type": str(kind)} if size == 1:
            return _BARE.get(kind)
        case {"type": "visit", "visitor": str(visitor), "plays": bool(plays)} if size == 3:
            return Visit(visitor, plays) if _VISITOR.fullmatch(visitor) else None
        case {"type": "avatar", "room": str(room), "is_here": bool(is_here)} if size == 3 and _ID.fullmatch(room):
            return Avatar(room, is_here)
        case {"type": "seated", "room": str(room)} if size == 2 and _ID.fullmatch(room):
            return Seated(room)
        case {"type": "published", "id": str(name)} if size == 2 and _ID.fullmatch(name):
            return Published(name)
        case {"type": "heard", "topic": str(topic), "data": dict(data)} if size == 3:
            return Heard(RoomMessage(topic, data)) if len(topic) <= MAX_TOPIC_LENGTH else None
    return None


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


class Close(IntEnum):
    """Why the server closes the page's connection. The page turns each into a state of its own."""

    ENDED = 1000
    """The session is over; its last `session` message said so."""
    AWAY = 1001
    """The server stops; the page tries again."""
    MISBEHAVED = 1008
    """The page sent what it may not send, or too much of it."""
    TOO_LONG = 1009
    """The page sent a longer message than it may."""
    FAILED = 1011
    """A bug of ours; the page tries again."""
    LATER = 1013
    """The server cannot look the link up right now; the page tries again."""
    REVOKED = 4404
    """The link opens nothing (any more)."""
    EXPIRED = 4410
    """The link was good for a while and is no longer."""


class SessionMessage(TypedDict):
    """All there is to see of the session. Times are UTC epoch seconds; `now` is the server's, to compare clocks."""

    type: Literal["session"]
    now: float
    phase: str
    mode: str
    avatar: str
    picture: str | None
    started_by: str
    queue: int
    held: bool
    speaking: str | None
    ends_at: float
    hls_url: str | None
    has_room: bool
    ended: str | None


class SpokenWord(TypedDict):
    """One word and when it is said at the source, UTC epoch seconds."""

    text: str
    at: float
    until: float


class WordsMessage(TypedDict):
    """Captions to come, or just said."""

    type: Literal["words"]
    words: list[SpokenWord]


class CutMessage(TypedDict):
    """Speech was cut: captions after `at` (UTC epoch seconds) will not be said."""

    type: Literal["cut"]
    at: float


class TimeMessage(TypedDict):
    """A sign of life that the page can see, unlike a WebSocket ping."""

    type: Literal["time"]
    now: float


class SeatMessage(TypedDict):
    """Where this page stands in a room that one page plays at a time; see `seats.Standing`."""

    type: Literal["seat"]
    place: str
    watching: int
    ahead: int
    seconds: float | None
    may_ask: bool


class DoorMessage(TypedDict):
    """How this page enters the room, now. `room` is the same for one room, and tells nobody which."""

    type: Literal["door"]
    room: str
    url: str
    token: str
    is_seat: bool


class PublishMessage(TypedDict):
    """What the page with the seat is to say in the room, reliably."""

    type: Literal["publish"]
    id: str
    topic: str
    data: Mapping[str, object]


Message = SessionMessage | WordsMessage | CutMessage | TimeMessage | SeatMessage | DoorMessage | PublishMessage


def session_message(view: SessionView, now: datetime) -> SessionMessage:
    """What a viewer may see of `view`."""
    return {
        "type": "session",
        "now": now.timestamp(),
        "phase": view.phase.value,
        "mode": view.mode.value,
        "avatar": view.avatar,
        "picture": _web_address(view.avatar_picture),
        "started_by": view.started_by_name,
        "queue": view.queue_length,
        "held": view.held,
        "speaking": view.speaking,
        "ends_at": view.ends_at.timestamp(),
        "hls_url": _web_address(view.hls_url),
        "has_room": enters_room(view),
        # The page is not a chat: a command stands there without the marks of code.
        "ended": view.ended.replace("`", "") if view.ended else None,
    }


def words_message(words: Iterable[Word]) -> WordsMessage:
    """Captions, in the order given."""
    return {"type": "words", "words": [{"text": word.text, "at": word.at, "until": word.until} for word in words]}


def enters_room(view: SessionView) -> bool:
    """Whether pages play the session in its LiveKit room: everybody can play an HLS stream, so that goes first."""
    return view.has_room and _web_address(view.hls_url) is None


def seat_message(standing: SeatStatus) -> SeatMessage:
    """Where a page stands."""
    return {
        "type": "seat",
        "place": standing.place.value,
        "watching": standing.watching,
        "ahead": standing.ahead,
        "seconds": standing.seconds,
        "may_ask": standing.may_ask,
    }


def door_message(door: RoomAccess) -> DoorMessage:
    """For a page that may enter now, and for no other."""
    return {
        "type": "door",
        "room": room_of(door),
        "url": door.url,
        "token": door.token,
        "is_seat": door.is_seat,
    }


def room_of(door: RoomAccess) -> str:
    """A name of the room from which nobody learns the provider's."""
    return hashlib.sha256(f"{door.url} {door.upstream_id}".encode()).hexdigest()[:16]


def publish_message(publication: OutgoingMessage) -> PublishMessage:
    """For the page with the seat."""
    message = publication.message
    return {"type": "publish", "id": publication.id, "topic": message.topic, "data": message.data}


def encode(message: Message) -> str:
    """As JSON in plain ASCII, so that not even half a character from outside can break it."""
    return json.dumps(message, separators=(",", ":"))


def _web_address(url: str | None) -> str | None:
    return url if url is not None and url.startswith(("https://", "http://")) else None
