"""What the author of a chat platform or of an avatar provider imports: the contracts, and every name they speak of.

`Bot` is what a chat adapter is given, `ChatAdapter` what it is; `AvatarProvider` is what a provider is.
docs/extending.md walks through both. Nothing of the project's own adapters needs more than this and `bot.sentences`.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from bot.commands.parser import ADMIN, AVATAR, Command, CommandContext, parse
from bot.commands.router import CommandRouter
from bot.core.bus import Cluster
from bot.core.embeds import ChannelGrant, EmbedHost, Frame, FrameRequest, Grant, SessionGrant
from bot.core.errors import (
    AuthenticationFailed,
    AvatarAway,
    AvatarRelayError,
    ConcurrencyReached,
    EmbedUnavailable,
    Invalid,
    LinkInvalid,
    NotOurs,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    SettingsError,
    StreamGone,
    Sunset,
    Transient,
    Trouble,
)
from bot.core.events import (
    Delivery,
    LeftUnsaid,
    Notice,
    NoticeKind,
    SessionChanged,
    SessionEvent,
    UtteranceChanged,
    WordsSpoken,
)
from bot.core.models import Actor, Channel, Mode, Playback, Role, Utterance, UtteranceState, Word
from bot.core.ports import (
    AnswerHeard,
    AvatarProvider,
    AvatarSeen,
    Capabilities,
    CatalogueEntry,
    Clock,
    InitialText,
    InterruptMethod,
    OpenStream,
    SpeakResult,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    StreamEvent,
    StreamRequest,
    StreamStatus,
    WordsHeard,
)
from bot.core.views import Button, Reply, SessionView, Visibility
from bot.relay import Message, Receipt, Relay
from bot.sessions.panel import Panel, panel_of
from bot.sessions.registry import SessionRegistry
from bot.settings import Settings

__all__ = [
    "ADMIN",
    "AVATAR",
    "Actor",
    "AnswerHeard",
    "AuthenticationFailed",
    "AvatarAway",
    "AvatarProvider",
    "AvatarRelayError",
    "AvatarSeen",
    "Bot",
    "Button",
    "Capabilities",
    "CatalogueEntry",
    "Channel",
    "ChannelGrant",
    "ChatAdapter",
    "Clock",
    "Cluster",
    "Command",
    "CommandContext",
    "ConcurrencyReached",
    "Delivery",
    "EmbedHost",
    "EmbedUnavailable",
    "Frame",
    "FrameRequest",
    "Grant",
    "InitialText",
    "InterruptMethod",
    "Invalid",
    "LeftUnsaid",
    "LinkInvalid",
    "Message",
    "Mode",
    "NotOurs",
    "NotReady",
    "Notice",
    "NoticeKind",
    "OpenStream",
    "Panel",
    "Playback",
    "ProviderError",
    "QuotaExhausted",
    "RateLimited",
    "Receipt",
    "Refused",
    "Reply",
    "Role",
    "SessionChanged",
    "SessionEvent",
    "SessionGrant",
    "SessionView",
    "Settings",
    "SettingsError",
    "SpeakResult",
    "SpeechEnded",
    "SpeechStarted",
    "StreamEnded",
    "StreamEvent",
    "StreamGone",
    "StreamRequest",
    "StreamStatus",
    "Sunset",
    "Transient",
    "Trouble",
    "Utterance",
    "UtteranceChanged",
    "UtteranceState",
    "Visibility",
    "WebRoute",
    "Word",
    "WordsHeard",
    "WordsSpoken",
    "panel_of",
    "parse",
]


@dataclass(frozen=True, slots=True)
class WebRoute:
    """A request the project's web server passes on: `handle` takes and returns aiohttp's request and response, which
    the core does not look into."""

    method: str
    path: str
    handle: Callable[[Any], Awaitable[Any]]


class ChatAdapter(AbstractAsyncContextManager["ChatAdapter"], Protocol):
    """One chat platform.

    Life: entered, then `run`, which is cancelled at the shutdown; `show` is called from the entering to the leaving, so
    also while the sessions close. Leaving delivers what is still to be shown, within 2 seconds, and disconnects.

    `run` is called again after a pause when it failed with an unexpected error (`bot.platforms`): it reconnects,
    and what is still to be shown stays.
    """

    name: str

    @property
    def routes(self) -> Sequence[WebRoute]:
        """What it takes in through the project's web server."""

    @property
    def embed(self) -> EmbedHost | None:
        """How its client frames the watch page; None where it cannot."""

    @classmethod
    def missing_settings(cls, settings: Settings) -> str | None:
        """What has to be set before this platform can be used, as a sentence; None if nothing is missing."""

    @property
    def unhealthy_reason(self) -> str | None:
        """Why messages or commands cannot come in right now, or not all of them, for `/readyz`; None while they can."""

    async def run(self) -> None:
        """Connect and serve until cancelled, or until there is nothing left to read.

        Raises `SettingsError` with one line where only the operator can help (a wrong token, a missing intent): the
        platform is left out then, and the program ends where there is no other. Everything that may pass is waited out
        here, never in a hot loop.
        """

    async def show(self, event: SessionEvent) -> None:
        """Show something that happened in one of this platform's channels. Must not raise; must not take long.

        What is shown only after this has returned, of an event with a `delivery`, holds that meanwhile
        (`bot.core.events.Delivery`).
        """


@dataclass(frozen=True, slots=True)
class Bot:
    """`commands` answers commands, `relay` takes messages in, `sessions` knows which avatars are where.

    stop: asks the whole program to shut down. shows_in_frames: whether people can watch in a frame of a chat client
    (`bot.core.embeds`): the bot has the picture of every session itself, and an address that the client can reach.
    """

    commands: CommandRouter
    relay: Relay
    sessions: SessionRegistry
    clock: Clock
    settings: Settings
    stop: Callable[[], None]
    shows_in_frames: bool = False

    @property
    def cluster(self) -> Cluster:
        """The other processes on the same database (`bot.core.bus`)."""
        return self.sessions.services.cluster
