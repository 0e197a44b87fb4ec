"""The messages between the server and the watch page, as pydantic models, and the close codes.

What is not named here never reaches a viewer: no link nonce, no id of a person, channel or stream, no price. A room's
token is in an `AccessMessage` and nowhere else. `static/watch.js` is the other side. The values of `type` stay as they
are: a page that was loaded before an update goes on talking to the server after it, and leaves out what it does not
know.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Literal, Never

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticSerializationError

from adapters.web.access import Access
from adapters.web.seats import SeatStatus
from bot.core.models import Mode, RoomAccess, Word
from bot.core.views import Phase, SessionView

MAX_TOPIC_LENGTH = 128
"""Characters of the topic of a room's data message."""

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

# --- from the page ---------------------------------------------------------------------------------------------------


class _ClientMessage(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Hello(_ClientMessage):
    """Wants the snapshot again."""

    type: Literal["hello"]


class Identify(_ClientMessage):
    """Names itself, with a key that only this page knows, and says whether it plays the room already."""

    type: Literal["visit"]
    visitor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
    plays: bool


class Attention(_ClientMessage):
    """Says whether anybody can see or hear it: a page that is hidden, and silent, is shown to nobody."""

    type: Literal["attention"]
    is_there: bool


class SeatAction(_ClientMessage):
    """Requests the seat; or, when somebody else has requested it, keeps it or gives it up."""

    type: Literal["ask", "keep", "give"]


class RequestAccess(_ClientMessage):
    """Is out of the room, and wants to join again."""

    type: Literal["door"]


class AvatarPresence(_ClientMessage):
    """Is in the room, and sees whether the avatar is there."""

    type: Literal["avatar"]
    room: _Id
    is_here: bool


class Playing(_ClientMessage):
    """Plays both of the avatar's tracks."""

    type: Literal["seated"]
    room: _Id


class Left(_ClientMessage):
    """Is out of the room."""

    type: Literal["left"]


class StartAvatar(_ClientMessage):
    """Wants an avatar in the channel of the frame, where none is."""

    type: Literal["start"]


class Published(_ClientMessage):
    """Has published a `PublishMessage`."""

    type: Literal["published"]
    id: _Id


class DataReceived(_ClientMessage):
    """Reports a data message of the avatar."""

    type: Literal["heard"]
    topic: Annotated[str, Field(max_length=MAX_TOPIC_LENGTH)]
    data: dict[str, object]


ClientMessage = (
    Hello
    | Identify
    | Attention
    | SeatAction
    | RequestAccess
    | AvatarPresence
    | Playing
    | Left
    | StartAvatar
    | Published
    | DataReceived
)
_client_message = TypeAdapter[ClientMessage](Annotated[ClientMessage, Field(discriminator="type")])


def parse_message(text: str) -> ClientMessage | None:
    """The message in `text`, None if it is none that a page may send."""
    try:
        # Not pydantic's own JSON parser: it refuses half a surrogate pair, which an avatar may well have sent.
        return _client_message.validate_python(json.loads(text, parse_constant=_reject_constant))
    except (ValueError, RecursionError):
        return None


def _reject_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


class Close(IntEnum):
    """Why the server closes the page's connection. The page turns each into a state of its own."""

    ENDED = 1000
    """The session is over; its last `SessionMessage` said so."""
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


# --- to the page -----------------------------------------------------------------------------------------------------


class _ServerMessage(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class SessionMessage(_ServerMessage):
    """All there is to see of the session. Times are UTC epoch seconds; `now` is the server's, to compare clocks."""

    type: Literal["session"] = "session"
    now: float
    phase: Phase
    mode: Mode
    avatar: str
    language: str | None
    picture: str | None
    started_by: str
    queue: int
    held: bool
    speaking: str | None
    ends_at: float
    hls_url: str | None
    has_room: bool
    waking: bool
    wakes_in: int | None
    refused: bool
    heard_in: str | None
    ended: str | None


class FramedSessionMessage(SessionMessage):
    """The same for a page in a frame, which plays only what comes from here. link: the page of its own, None if there
    is none, or it could not be opened. elsewhere: the picture is to be seen on that page alone."""

    link: str | None
    elsewhere: bool


class NobodyMessage(_ServerMessage):
    """No avatar is in the channel of the frame; the next one that comes is shown. may_start: whether the person in
    front of it may bring one. told: what came of their wish to."""

    type: Literal["nobody"] = "nobody"
    may_start: bool
    told: str | None = None


class NextMessage(_ServerMessage):
    """What follows is about another session than what came before."""

    type: Literal["next"] = "next"


class WordsMessage(_ServerMessage):
    """Captions to come, or just said."""

    type: Literal["words"] = "words"
    words: tuple[Word, ...]


class CutMessage(_ServerMessage):
    """Speech was interrupted: captions after `at` (UTC epoch seconds) will not be said."""

    type: Literal["cut"] = "cut"
    at: float


class TranscriptEntry(_ServerMessage):
    """One utterance that was said, or is being said. `n` counts them, `at` is when it began (UTC epoch seconds).

    `text` is what somebody wrote; in chat mode that is the question, and `answer` what the avatar said, once it is
    over. `is_cut`: it was not said to its end.
    """

    n: int
    at: float
    who: str
    mode: Mode
    text: str
    answer: str | None
    is_over: bool
    is_cut: bool


class TranscriptMessage(_ServerMessage):
    """Entries that are new, or take the place of the one with their `n` and `at`."""

    type: Literal["transcript"] = "transcript"
    entries: tuple[TranscriptEntry, ...]


class ViewersMessage(_ServerMessage):
    """How many pages somebody looks at or listens to, this one included."""

    type: Literal["viewers"] = "viewers"
    count: int


class TimeMessage(_ServerMessage):
    """A heartbeat that the page can see, unlike a WebSocket ping."""

    type: Literal["time"] = "time"
    now: float


class AccessMessage(_ServerMessage):
    """How this page joins the room, now. `room` is the same for one room, and tells nobody which."""

    type: Literal["door"] = "door"
    room: str
    url: str
    token: str = Field(repr=False)
    is_seat: bool


class PublishMessage(_ServerMessage):
    """What the page with the seat is to publish in the room, reliably."""

    type: Literal["publish"] = "publish"
    id: str
    topic: str
    data: Mapping[str, object]


ServerMessage = (
    SessionMessage
    | NobodyMessage
    | NextMessage
    | WordsMessage
    | CutMessage
    | TranscriptMessage
    | ViewersMessage
    | TimeMessage
    | SeatStatus
    | AccessMessage
    | PublishMessage
)


def session_message(view: SessionView, now: datetime, access: Access) -> SessionMessage:
    """What a viewer may see of `view`; `access` is what the page was opened with."""
    message = SessionMessage(
        now=now.timestamp(),
        phase=view.phase,
        mode=view.mode,
        avatar=view.avatar,
        language=view.language,
        picture=_web_url(view.avatar_picture),
        started_by=view.started_by_name,
        queue=view.queue_length,
        held=view.held,
        speaking=view.speaking,
        ends_at=view.ends_at.timestamp(),
        hls_url=_web_url(view.hls_url) if view.picture is None else access.media(view.picture),
        has_room=joins_room(view),
        waking=view.is_waking,
        wakes_in=view.wakes_in,
        refused=view.is_refused,
        heard_in=view.heard_in,
        # The page is not a chat: a command stands there without the marks of code.
        ended=view.ended.replace("`", "") if view.ended else None,
    )
    return _framed(message, view, access) if access.is_framed else message


def _framed(message: SessionMessage, view: SessionView, access: Access) -> FramedSessionMessage:
    """A client lets its frames reach nothing but this server, and WebRTC nowhere."""
    served = {"picture": None, "has_room": False, "hls_url": message.hls_url if view.picture else None}
    link = _web_url(view.watch_url) if access.opens_links else None
    return FramedSessionMessage(**message.model_dump() | served, link=link, elsewhere=not access.shows_picture)


def joins_room(view: SessionView) -> bool:
    """Whether pages play the session in its LiveKit room: everybody can play HLS, so that goes first."""
    return view.has_room and view.picture is None and _web_url(view.hls_url) is None


def access_message(access: RoomAccess) -> AccessMessage:
    """For a page that may join now, and for no other."""
    return AccessMessage(room=room_of(access), url=access.url, token=access.token, is_seat=access.is_seat)


def room_of(access: RoomAccess) -> str:
    """A name of the room from which nobody learns the provider's."""
    return hashlib.sha256(f"{access.url} {access.upstream_id}".encode()).hexdigest()[:16]


def encode(message: ServerMessage) -> str:
    """As JSON; also what no UTF-8 can hold, half a surrogate pair that came from outside."""
    try:
        return message.model_dump_json()
    except PydanticSerializationError:
        return json.dumps(message.model_dump())


def _web_url(url: str | None) -> str | None:
    return url if url is not None and url.startswith(("https://", "http://")) else None
