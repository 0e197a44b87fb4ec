"""What a page may say, read from hostile text. Nothing passes that is not exactly one of the messages below.

{"type": "hello"}                                  tell me everything again
{"type": "visit", "visitor": KEY}                  I am this visitor; the same key after a reload
{"type": "ask"} {"type": "keep"} {"type": "give"}  about the seat
{"type": "door"}                                   I am out of the room and would like to enter it again
{"type": "avatar", "room": ROOM, "is_here": BOOL}  I am in this room, and the avatar is there, or is not
{"type": "seated", "room": ROOM}                   I play both tracks of this room
{"type": "left"}                                   I am out of the room
{"type": "published", "id": ID}                    what I was to publish is published
{"type": "heard", "topic": TOPIC, "data": {...}}   the avatar's participant said this in the room
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Never

from bot.rooms import RoomMessage

_VISITOR = re.compile(r"[A-Za-z0-9_-]{16,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_TOPIC = 128


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


Said = Hello | Visit | Ask | Keep | Give | WantsDoor | Avatar | Seated | Left | Published | Heard

_BARE: Mapping[str, Said] = {
    "hello": Hello(),
    "ask": Ask(),
    "keep": Keep(),
    "give": Give(),
    "door": WantsDoor(),
    "left": Left(),
}


def understand(text: str) -> Said | None:
    """The message in `text`, None where it is none that a page may send."""
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
            return Heard(RoomMessage(topic, data)) if len(topic) <= LONGEST_TOPIC else None
    return None


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is no JSON")
