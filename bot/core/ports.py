"""What the core asks of the outside, as protocols: a clock, an avatar provider, a chat model, a chat adapter, links.

Only protocols and the values they exchange live here; no implementation, no I/O.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from bot.core.models import Mode, Playback, Word


class Timer(Protocol):
    """A callback that has been put off."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it already ran."""


Echo = Callable[[str], None]
"""Prints one line for whoever runs the program."""


class Clock(Protocol):
    """Where every module gets its time from, so that tests own it."""

    def now(self) -> datetime:
        """The time of day, UTC, with its zone."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, from an arbitrary start."""

    def uptime(self) -> float:
        """The same, and they go on while the machine is suspended: for how long ago something was for others."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` in the event loop after `seconds`."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""


# --- avatar provider -------------------------------------------------------------------------------------------------


class InterruptMethod(StrEnum):
    """How a provider stops speech that has begun."""

    NATIVE = "native"
    """It has a request for it, and the stream lives on."""
    CLOSE_STREAM = "close_stream"
    """Only by closing the stream; the next words open another one."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do. The core reads this instead of asking which provider it has.

    chat: it answers by itself, without a chat model of the operator's.
    appends: one utterance may be sent in fragments (`speak(..., more=True)`).
    requires_initial_text: a stream cannot be created without text, which it speaks at once.
    reports_speech: `events` tells when speech starts and ends; without it the core follows the told duration.
    sends_ahead: the next utterance may be sent while one is spoken, and a cut surely drops both.
    lists_open: `list_open` works.
    keeps_alive: `keep_alive` works.
    many_viewers: any number of people can watch one stream.
    max_text: characters per `speak`.
    idle_limit: the smallest and the largest idle timeout it accepts, seconds; equal where it is fixed.
    max_duration: seconds after which it ends a stream by itself.
    price_per_minute: US dollars while a stream is open; None if nobody knows.
    billing_step: it charges by started steps of so many seconds.
    billing_minimum: the seconds it charges a stream for at least, however short that was; the steps follow.
    linger: how long a silent stream of it is worth keeping, seconds, where the operator has not decided.
    chat_setting: the variable that would let it answer by itself, where there is one.
    confirms_text: it answers that it took a text; without it only `events` tell that a text has arrived.
    qualities: the picture qualities it takes; empty where it has no choice.
    speeds: the slowest and the fastest speech a stream may be asked for, 1 is normal; None if it has no choice.
    speed: how fast a stream speaks that asks for nothing, as the operator has set it.
    takes_language: a stream may be asked to speak a language.
    """

    chat: bool
    appends: bool
    requires_initial_text: bool
    cut: InterruptMethod
    reports_speech: bool
    sends_ahead: bool
    lists_open: bool
    keeps_alive: bool
    many_viewers: bool
    max_text: int
    idle_limit: tuple[float, float]
    max_duration: float
    price_per_minute: Decimal | None
    billing_step: float
    billing_minimum: float = 0.0
    linger: float | None = None
    chat_setting: str | None = None
    confirms_text: bool = True
    qualities: tuple[str, ...] = ()
    speeds: tuple[float, float] | None = None
    speed: float = 1.0
    takes_language: bool = False


@dataclass(frozen=True, slots=True)
class InitialText:
    """The text a stream is created with: (part of) an utterance. `more` as in `AvatarProvider.speak`."""

    utterance_id: str
    text: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a new stream should be.

    avatar, voice: the provider's ids; an empty string is the provider's default, where it has one.
    quality: one of the provider's `qualities`; ignored where it has no choice.
    knowledge: what the avatar knows when it answers by itself; may be empty.
    idle_timeout, max_duration: seconds, already fitted into the provider's limits.
    initial_text: spoken at once; given exactly when `requires_initial_text`.
    speed: within the provider's `speeds`; language: a code such as `de`. None follows the operator's settings.
    """

    avatar: str
    voice: str
    quality: str
    knowledge: str
    idle_timeout: float
    max_duration: float
    initial_text: InitialText | None = None
    speed: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A stream the provider says is open; `created_at` where it tells."""

    upstream_id: str
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """What the provider says of one stream. `is_open` is True also while it is still starting."""

    is_open: bool
    playback: Playback | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class SpeakResult:
    """The provider took the text. `duration` is how long it speaks, seconds, None if only events tell."""

    duration: float | None = None


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The first word of an utterance is being said; it began `ago` seconds before, where words are told late."""

    utterance_id: str
    ago: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """Words as they are said."""

    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The last word of an utterance has been said (not sent: said)."""

    utterance_id: str


@dataclass(frozen=True, slots=True)
class AnswerHeard:
    """What the avatar said, whole, to an utterance it answered by itself. May come before or after `SpeechEnded`."""

    utterance_id: str
    text: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The provider closed the stream. `reason` is for the log and for admins."""

    reason: str


@dataclass(frozen=True, slots=True)
class AvatarSeen:
    """Whether the avatar is in its room, as whoever is in it sees it; None from when nobody is there to look."""

    is_here: bool | None


StreamEvent = SpeechStarted | WordsHeard | SpeechEnded | AnswerHeard | StreamEnded | AvatarSeen


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """An avatar or a voice a person can choose."""

    id: str
    name: str
    picture: str | None = None
    default_voice: str | None = None


class AvatarProvider(AbstractAsyncContextManager["AvatarProvider"], Protocol):
    """One avatar vendor. Entering and leaving it opens and closes its connection pool.

    Every method raises only `bot.core.errors.ProviderError`s, has its own explicit timeout, and survives the
    cancellation of its caller. Reads (`status`, `list_open`, `avatar_for`, `avatars`, `voices`, `balance`) and `close`
    repeat themselves a few times on trouble; `create`, `start`, `speak` and `interrupt` never repeat a request that may
    have taken effect (rule 5)."""

    name: str
    capabilities: Capabilities

    async def create(self, request: StreamRequest) -> str:
        """Open a stream and return its upstream id. From here on it costs money."""

    async def start(self, upstream_id: str) -> Playback:
        """Wait until the stream can be watched. Raises `StreamGone` if it ended instead."""

    async def speak(
        self, upstream_id: str, utterance_id: str, text: str, mode: Mode = Mode.REPEAT, *, more: bool = False
    ) -> SpeakResult:
        """Have `text` (at most `max_text` characters) said, or answered.

        `more` says that further text of the same utterance follows, so its end is not to be reported yet.
        """

    async def interrupt(self, upstream_id: str) -> None:
        """Cut what is being said. Only where `capabilities.cut` is `native`; no error while the avatar is silent."""

    async def keep_alive(self, upstream_id: str) -> None:
        """Reset the provider's idle timer. Only where `capabilities.keeps_alive`."""

    async def close(self, upstream_id: str) -> None:
        """End the stream; returns once the provider confirms. A stream that is gone or unknown counts as closed."""

    async def status(self, upstream_id: str) -> StreamStatus:
        """What the provider says of the stream; unknown streams are not open."""

    async def list_open(self) -> Sequence[OpenStream]:
        """Every open stream of the account. Only where `capabilities.lists_open`."""

    def events(self, upstream_id: str) -> AsyncIterator[StreamEvent]:
        """What happens on the stream, until it ended (the last event is `StreamEnded`), reconnecting by itself.

        Where `capabilities.reports_speech` is False it may tell nothing, or less than everything, and end at once.
        """

    async def avatar_for(self, wished: str) -> str:
        """The id of the avatar that a stream gets which asks for `wished`; empty is the provider's default."""

    async def avatars(self) -> Sequence[CatalogueEntry]:
        """The avatars this account may use."""

    async def voices(self) -> Sequence[CatalogueEntry]:
        """The voices this account may use."""

    async def balance(self) -> str | None:
        """What is left on the account, in words (`$ 12.50`, `93 credits`); None if it does not say."""


# --- chat model ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One step of a conversation with the avatar; `from_avatar` is False for what a person wrote."""

    text: str
    from_avatar: bool


class ChatModel(Protocol):
    """A language model that answers where the provider cannot."""

    def answer(self, knowledge: str, turns: Sequence[ChatTurn]) -> AsyncIterator[str]:
        """Stream the answer to the last turn, in fragments as they come. `turns` begin and end with a person's, and the
        speakers take turns. Raises `AnswerError`, also after fragments where the answer is not whole; ends in time."""


# --- chat platform ---------------------------------------------------------------------------------------------------


class WatchLinks(Protocol):
    """Makes the link people watch with."""

    def url(self, link_nonce: str) -> str | None:
        """The watch link, None if the page cannot be reached by others (no `WEB_PUBLIC_URL`)."""
