"""The messages between the server and the watch page: their shapes, how they are made, the close codes.

What is not named here never reaches a viewer: no link nonce, no id of a person, channel or stream, no price.
`static/watch.js` is the other side.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from typing import Literal, TypedDict

from bot.model import SessionView, Word


class Close(IntEnum):
    """Why the server closes the page's connection. The page turns each into a state of its own."""

    ENDED = 1000
    """The session is over; its last `session` message said so."""
    AWAY = 1001
    """The server stops; the page tries again."""
    MISBEHAVED = 1008
    """The page sent what it may not send, or too much of it."""
    FAILED = 1011
    """A mistake of ours; the page tries again."""
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


Message = SessionMessage | WordsMessage | CutMessage | TimeMessage


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
        # The page is no chat: a command stands there without the marks of code.
        "ended": view.ended.replace("`", "") if view.ended else None,
    }


def words_message(words: Iterable[Word]) -> WordsMessage:
    """Captions, in the order given."""
    return {"type": "words", "words": [{"text": word.text, "at": word.at, "until": word.until} for word in words]}


def encode(message: Message) -> str:
    """As JSON in plain ASCII, so that not even half a character from outside can break it."""
    return json.dumps(message, separators=(",", ":"))


def understands(text: str) -> bool:
    """Whether `text` is a message that a page may send: `{"type": "hello"}`, "tell me everything again"."""
    try:
        said: object = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return said == {"type": "hello"}


def _web_address(url: str | None) -> str | None:
    return url if url is not None and url.startswith(("https://", "http://")) else None
