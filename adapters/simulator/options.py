"""What can be chosen about the simulated services. Values only; nothing here runs.

Defaults follow the recorded behaviour of the real services. Where nobody outside knows how the real service behaves,
the choice is a switch here and its documentation says so.
"""

import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from pydantic import SecretStr

V1 = "heygen-streaming"
V3 = "heygen-realtime"
LIVEAVATAR = "liveavatar"


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """How long the avatar speaks: `per_character` seconds each, after `lead` seconds of drawing breath per task."""

    per_character: float = 0.06
    lead: float = 0.3

    def duration(self, text: str) -> float:
        """Seconds that one task takes."""
        return self.lead + self.per_character * len(text)

    def at(self, speed: float) -> "SpeechModel":
        """The same voice, so many times as fast."""
        return replace(self, per_character=self.per_character / speed)


_TOLERANCE = 1e-6
"""Seconds; a stream so much older has not begun another step, because adding and subtracting floats is not exact."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per second of an open stream. It is charged by started steps of `step_seconds`, and for
    `minimum_seconds` at least."""

    per_second: Decimal
    minimum_seconds: int = 0
    step_seconds: int = 1

    def charged(self, seconds: float) -> int:
        """Seconds that are charged for a stream that is or was open for `seconds`."""
        first = max(self.minimum_seconds, self.step_seconds)
        return first + max(0, math.ceil((seconds - first - _TOLERANCE) / self.step_seconds)) * self.step_seconds


V3_PRICE = Price(Decimal("0.05"))
"""Self-serve price, by session duration (DOC3)."""

V1_PRICE = Price(Decimal("0.2") / 60, minimum_seconds=30)
"""0.2 credits per minute, 30 s at least, then by the second (DOC1). One credit is counted as one dollar: the API plans
of the time sold a hundred credits for about a hundred dollars. An order of magnitude, not an invoice."""

LIVEAVATAR_PRICE = Price(Decimal("0.2") / 60, step_seconds=60)
"""Two credits per started minute; a credit costs about ten cents (overage of the larger plans)."""
FREE = Price(Decimal(0))


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """A LiveKit server on which real rooms are made: its WebSocket address, and a key that may make tokens for it.

    The defaults are what `livekit-server --dev` listens on and accepts.
    """

    url: str = "ws://127.0.0.1:7880"
    api_key: str = "devkey"
    api_secret: SecretStr = field(default_factory=lambda: SecretStr("secret"))


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the simulated services behave. All durations are seconds of the simulator's clock.

    api_key: the one key that is accepted, on both APIs, the chat API and the control.
    latency: waited before every answer.
    balance: US dollars the account starts with; None never runs out. After that v3 answers 402, v1 `quota not enough`.
    public_url: where others reach this server, without a path, for the links it hands out; by default the address the
        request came to.
    speech: the speech model of both APIs.
    v1_concurrency: open sessions; the next one gets 10007. v3_concurrency: open streams; the next one gets 429.
    v1_session_limit: `session_duration_limit`, after which a session closes.
    v1_closing: how long a v1 session stays `closing`, holding its slot.
    auto_viewer: a viewer subscribes both tracks by itself, `viewer_delay` after the start; otherwise a v1 session is
        `connected` once somebody fetches its HLS playlist, which stands in for the LiveKit room.
    v1_sunset: every v1 path answers 410.
    v3_pending: from the create to `streaming`; the real service takes 2 to 15.
    v3_idle: without new text a text stream ends; the seed counts as text that arrived with the create.
    v3_idle_waits_for_speech: the idle time starts after the last word instead (undocumented which).
    v3_max: after which any stream ends.
    v3_cancelled_status: what a cancelled stream shows (undocumented).
    avatar_comes: whether an avatar comes into its room; else it stays away until it is sent there (`Simulator`).
    livekit: where rooms are made; None for the stand-in, a WebSocket of the simulator instead of a room.
    liveavatar_concurrency: active sessions; the next one gets 403 with 4032.
    liveavatar_max_duration: of a session, seconds; what the plan allows, and what a session gets that asks for nothing.
    liveavatar_sandbox_duration: after which a sandbox session ends.
    liveavatar_idle: after which a session ends that got neither a command nor a keep-alive.
    liveavatar_abandoned: after which a session ends in whose room no client is, keep-alives or not; None for never.
    liveavatar_slot_release: how long an ended session goes on holding its slot (undocumented).
    liveavatar_rate: requests per second, caller and endpoint; the next one gets 429.
    liveavatar_validation: the shape of a 422, FastAPI's `detail` or the `data` that the official demo reads.
    liveavatar_stop_key: the name of the reason in `session.stopped`; the documentation and the SDK differ.
    answer_delay: between two tokens of the chat API.
    kept_closed: how many ended streams stay known, the oldest forgotten first.
    """

    api_key: SecretStr = field(default_factory=lambda: SecretStr("simulator"))
    latency: float = 0.0
    balance: Decimal | None = None
    public_url: str | None = None
    speech: SpeechModel = field(default_factory=SpeechModel)
    v1_concurrency: int = 3
    v1_session_limit: int = 600
    v1_closing: float = 0.0
    v1_price: Price = V1_PRICE
    v1_sunset: bool = False
    auto_viewer: bool = False
    viewer_delay: float = 0.5
    v3_concurrency: int = 3
    v3_pending: float = 0.5
    v3_idle: float = 30.0
    v3_idle_waits_for_speech: bool = False
    v3_max: float = 3600.0
    v3_cancelled_status: Literal["completed", "error"] = "completed"
    v3_price: Price = V3_PRICE
    avatar_comes: bool = True
    livekit: LiveKitServer | None = None
    liveavatar_concurrency: int = 3
    liveavatar_max_duration: int = 1200
    liveavatar_sandbox_duration: int = 60
    liveavatar_idle: float = 300.0
    liveavatar_abandoned: float | None = 300.0
    liveavatar_slot_release: float = 0.0
    liveavatar_rate: int = 100
    liveavatar_validation: Literal["detail", "data"] = "detail"
    liveavatar_stop_key: Literal["end_reason", "stop_reason"] = "end_reason"
    liveavatar_price: Price = LIVEAVATAR_PRICE
    answer_delay: float = 0.03
    kept_closed: int = 5000

    def with_livekit(self, url: str, api_key: str, api_secret: SecretStr) -> "SimulatorOptions":
        """The same, with rooms on the LiveKit server at `url`."""
        return replace(self, livekit=LiveKitServer(url, api_key, api_secret))
