"""What the core speaks of, as frozen values: channel, actor, session, stream, utterance.

Nothing here does I/O, knows a platform or a vendor, or changes after it was made. Times are UTC `datetime`s that carry
their zone, durations are seconds as `float`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Mode(StrEnum):
    """What becomes of a message: spoken as it stands, or answered by the avatar."""

    REPEAT = "repeat"
    CHAT = "chat"


class SessionState(StrEnum):
    """`opening -> live -> closing -> closed`; never backwards."""

    OPENING = "opening"
    LIVE = "live"
    CLOSING = "closing"
    CLOSED = "closed"

    @property
    def is_open(self) -> bool:
        """Whether the session still occupies its channel (rule 1)."""
        return self is not SessionState.CLOSED


class EndReason(StrEnum):
    """Why a session ended."""

    STOPPED = "stopped"
    IDLE = "idle"
    MAX_DURATION = "max_duration"
    PROVIDER_ENDED = "provider_ended"
    FAILED = "failed"
    ADMIN = "admin"
    SHUTDOWN = "shutdown"


class StreamState(StrEnum):
    """`creating` is written before the provider is called (rule 2); `lost` is a create whose reply never came."""

    CREATING = "creating"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    LOST = "lost"

    @property
    def may_cost(self) -> bool:
        """Whether the provider may still hold this stream open and charge for it."""
        return self in (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING)


class UtteranceState(StrEnum):
    """`queued -> sending -> speaking -> spoken`, or one of the other ends.

    `sending` means the provider may have it; after a crash it becomes `unknown` and is not spoken again (rule 7).
    """

    QUEUED = "queued"
    SENDING = "sending"
    SPEAKING = "speaking"
    SPOKEN = "spoken"
    INTERRUPTED = "interrupted"
    DROPPED = "dropped"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the utterance."""
        return self not in (UtteranceState.QUEUED, UtteranceState.SENDING, UtteranceState.SPEAKING)


class Role(IntEnum):
    """What an actor may do; each role includes the ones below it."""

    BLOCKED = 0
    VIEWER = 1
    SPEAKER = 2
    HOST = 3
    ADMIN = 4


class Channel(NamedTuple):
    """Where people talk. A thread is a channel of its own.

    id: the platform's. It names the channel whichever workspace it is heard through, where several share it.
    A tuple, since it is the key of nearly everything: each message looks a channel up some forty times.
    """

    platform: str
    workspace: str
    id: str

    def __str__(self) -> str:
        return f"{self.platform}:{self.workspace}:{self.id}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asked. `role` is what the platform says; `bot.access.permissions` has the last word.

    groups: the platform's ids of the roles (Discord) or user groups (Slack) the person has.
    is_operator: runs the bot, and so is an admin in every workspace; other admins are so in their own.
    is_external: belongs to another company, which only shares the channel; what that allows is in
    `bot.access.permissions`.
    """

    platform: str
    id: str
    name: str
    role: Role = Role.HOST
    is_bot: bool = False
    groups: frozenset[str] = frozenset()
    is_operator: bool = False
    is_external: bool = False

    @property
    def key(self) -> str:
        """The form of `ADMIN_USERS`: `platform:id`."""
        return f"{self.platform}:{self.id}"


@dataclass(frozen=True, slots=True)
class Session:
    """One avatar in one channel, from start to stop, as its row says.

    `link_nonce` names the session in the watch link; a new nonce revokes every link handed out before.
    `stop_requested_by` is how another process (the shell) asks the owner of the session to close it.
    `speed` (1 is normal) and `language` (a code) are what was asked for at the start; None follows the operator.
    """

    id: str
    channel: Channel
    provider: str
    state: SessionState
    mode: Mode
    avatar: str
    voice: str
    quality: str
    link_nonce: str
    started_by: str
    started_by_name: str
    created_at: datetime
    live_at: datetime | None = None
    closed_at: datetime | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    stop_requested_by: str | None = None
    speed: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """One connection at the provider. `upstream_id` is None until the reply to the create is in (rule 2).

    spoken_seconds: how much of it was speech, as far as events or the estimate told; None while nobody has noted that.
    """

    id: str
    session_id: str
    provider: str
    state: StreamState
    created_at: datetime
    upstream_id: str | None = None
    hls_url: str | None = None
    closed_at: datetime | None = None
    end_detail: str | None = None
    spoken_seconds: float | None = None


class Utterance(NamedTuple):
    """One chat message on its way to the avatar. `text` is what is speakable, whole and cleaned.

    `id` sorts in the order of acceptance. `message_id` is the platform's id of the message, None for a command.
    A tuple, since each message makes four of them: as it is accepted, and for each state.
    """

    id: str
    session_id: str
    mode: Mode
    text: str
    author: str
    author_name: str
    state: UtteranceState
    accepted_at: datetime
    message_id: str | None = None
    ended_at: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What a channel has chosen for its next sessions; None follows the operator's setting.

    idle_timeout: seconds.
    """

    mode: Mode | None = None
    idle_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when; `session_id` where there was one."""

    at: datetime
    actor: str
    action: str
    channel: str | None = None
    session_id: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A person (`platform:user`) who may do nothing in a workspace (`platform:workspace`), in none at all where that is
    empty, and who decided that."""

    person: str
    workspace: str
    blocked_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StreamUsage:
    """For how long a stream was open for a channel; `closed_at` is None while it still is. `spoken_seconds` as in
    `Stream`."""

    channel: Channel
    session_id: str
    stream_id: str
    created_at: datetime
    closed_at: datetime | None
    spoken_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word. `at` and `until` are UTC epoch seconds at the source, before any player's delay."""

    text: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Playback:
    """How a browser reaches a stream: an HLS address, or a LiveKit room with a token that must not leave the core
    except to the page that holds a valid link (rule 9). The token is kept out of `repr`.

    is_broadcast: the provider shows it in a room of the operator's own (`bot.streams.page_bridge.SupportsBroadcast`).
    """

    hls_url: str | None = None
    livekit_url: str | None = None
    livekit_token: str | None = field(default=None, repr=False)
    is_broadcast: bool = False

    @property
    def has_room(self) -> bool:
        """Whether pages can watch it in a LiveKit room, whoever's that is."""
        return self.livekit_url is not None or self.is_broadcast


@dataclass(frozen=True, slots=True)
class RoomAccess:
    """How one page enters the LiveKit room of a stream. The token must not leave but to a page that holds a valid link
    (rule 9), so it is kept out of `repr`.

    is_seat: there is one place for all pages together (the provider's own room); else the door is this page's alone.
    """

    upstream_id: str
    url: str
    token: str = field(repr=False)
    is_seat: bool = True


@dataclass(frozen=True, slots=True)
class PanelMessage:
    """Where a session's panel stands: `reference` is the platform's own name of the message."""

    session_id: str
    reference: str
