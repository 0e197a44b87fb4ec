"""The ways that are compared: what the bot decides about its streams, as a `SessionPolicy` and, for one of them, what
the service is like.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from adapters.avatars.heygen_realtime.provider import CAPABILITIES as REALTIME
from adapters.avatars.heygen_streaming.provider import CAPABILITIES as STREAMING
from adapters.avatars.liveavatar.provider import CAPABILITIES as LIVEAVATAR
from adapters.simulator import SimulatorOptions, SpeechModel
from bot.core.policy import SessionPolicy

CAPABILITIES = {"heygen-realtime": REALTIME, "heygen-streaming": STREAMING, "liveavatar": LIVEAVATAR}
PROVIDERS = tuple(CAPABILITIES)

OPENING = 3.0
"""Seconds to open a stream. v3 was seen to take 2 to 15, LiveAvatar's rooms 2 to 5."""

CHARACTERS_PER_SECOND = 15

NEVER = 86_399.0
"""Seconds, longer than any session."""


def naive(policy: SessionPolicy, provider: str) -> SessionPolicy:
    """Opens a stream when the session starts and keeps it open through all silence, until the session is idle for its
    idle time (300 s); then it closes both.

    With keep-alives the program did just that as it was, on `heygen-streaming` and `liveavatar`: there it is measured
    once. A stream of `heygen-realtime` ends 30 s after the last text and has no keep-alive, so that the naive bot needs
    an account whose limit HeyGen has raised on request (`service_for`); the bot itself is the program as it was.
    """
    return as_it_was(policy, provider)


def as_it_was(policy: SessionPolicy, provider: str) -> SessionPolicy:
    """The program without `STREAM_LINGER`: a stream stays as long as its session, or until the service ends it."""
    del provider
    return replace(policy, stream_linger=None)


def as_it_is(policy: SessionPolicy, provider: str) -> SessionPolicy:
    """The program with nothing set, whose watch page is its own: nothing is said to nobody, and a silent stream is kept
    as long as is best for the provider."""
    return replace(policy, needs_viewer=True, stream_linger=CAPABILITIES[provider].linger)


Way = Callable[[SessionPolicy, str], SessionPolicy]

WAYS: dict[str, Way] = {"naive": naive, "as it was": as_it_was, "as it is": as_it_is}


@dataclass(frozen=True)
class Lingering:
    """As it is, with another `STREAM_LINGER`: seconds, None for as long as the session."""

    linger: float | None

    def __call__(self, policy: SessionPolicy, provider: str) -> SessionPolicy:
        return replace(as_it_is(policy, provider), stream_linger=self.linger)


def is_measured_once(way: str, provider: str) -> bool:
    """Whether the naive bot is the program as it was, for this provider."""
    return way == "naive" and provider != "heygen-realtime"


def service_for(way: Way) -> SimulatorOptions:
    """The simulated services. Rooms for one viewer are open to the bot, as the stand-in of a room is."""
    options = SimulatorOptions(
        speech=SpeechModel(per_character=1 / CHARACTERS_PER_SECOND, lead=0.0),
        v3_pending=OPENING,
        kept_closed=1_000_000,
    )
    return replace(options, v3_idle=NEVER) if way is naive else options
