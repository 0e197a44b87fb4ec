"""The operator's decisions about sessions as one value, fitted to what the provider accepts.

Pure arithmetic: no I/O, no settings, no vendor.
"""

from dataclasses import dataclass, replace

from bot.core.models import Mode
from bot.core.ports import Capabilities, InitialText, StreamRequest

MARGIN = 60.0
"""Seconds that the provider's own limits lie above ours: it is the safety net for a dead bot, not the one who ends."""

BRIDGED = 90.0
"""Seconds of silence after which a stream ends whose bot is dead, if keep-alives can hold it open while the bot lives:
what an orphan costs. No shorter, because a keep-alive may be lost and the next one may be late."""

LATE_AFTER = 120.0
"""Seconds after which a message that was written while nobody could take it comes too late: to hear words from long ago
is worse than to send them again."""

KEEP_ALIVES = 3
"""Keep-alives in one idle time of the provider, so that one that is lost ends nothing."""


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Durations in seconds. `avatar` and `voice` may be empty: the provider's default.

    idle_ceiling: the longest idle time a channel may choose. unwatched_timeout: how long a session stays that nobody
    watches, None if that makes no difference. needs_viewer: whether nothing is said, and no stream is opened, while
    nobody watches. stream_linger: how long a silent stream is kept after the last word, at least; None for as long as
    its session stays, or the provider keeps it. queue_max_age: how long a message waits that cannot be said, before it
    is dropped. exclusive_key: nobody else uses the provider's account.
    """

    avatar: str = ""
    voice: str = ""
    quality: str = "medium"
    knowledge: str = ""
    greeting: str = "Hello, I am here."
    mode: Mode = Mode.REPEAT
    idle_timeout: float = 300.0
    idle_warning: float = 60.0
    idle_ceiling: float = 3600.0
    unwatched_timeout: float | None = None
    needs_viewer: bool = False
    stream_linger: float | None = None
    max_duration: float = 3600.0
    queue_limit: int = 20
    queue_max_age: float = 600.0
    exclusive_key: bool = False

    @property
    def late_after(self) -> float:
        """Seconds after which what was written while nobody could take it is not said any more."""
        return min(LATE_AFTER, self.queue_max_age)

    def with_idle_timeout(self, seconds: float | None) -> "SessionPolicy":
        """The policy for a channel that has chosen its own idle time, within the ceiling; None keeps the operator's."""
        if seconds is None:
            return self
        timeout = min(seconds, self.idle_ceiling)
        return replace(self, idle_timeout=timeout, idle_warning=min(self.idle_warning, timeout / 2))

    def stream_request(
        self,
        capabilities: Capabilities,
        *,
        avatar: str,
        voice: str,
        quality: str,
        remaining: float,
        initial_text: InitialText | None,
        speed: float | None = None,
        language: str | None = None,
    ) -> StreamRequest:
        """What to ask of the provider for a stream of a session that may run `remaining` seconds more (rule 3)."""
        return StreamRequest(
            avatar=avatar,
            voice=voice,
            quality=quality,
            knowledge=self.knowledge,
            idle_timeout=self.provider_idle_timeout(capabilities),
            max_duration=min(capabilities.max_duration, remaining + MARGIN),
            initial_text=initial_text,
            speed=speed,
            language=language,
        )

    def provider_idle_timeout(self, capabilities: Capabilities) -> float:
        """Seconds of silence after which the provider is asked to end a stream by itself (rule 3)."""
        shortest, longest = capabilities.idle_limit
        wanted = self.idle_timeout + MARGIN
        if capabilities.keeps_alive:
            wanted = min(wanted, BRIDGED)
        return min(longest, max(shortest, wanted))

    def unattended_limit(self, capabilities: Capabilities) -> float:
        """Seconds after the last activity of a session by which its stream has ended at the provider, if nobody looked
        after it any more at some moment within its idle time."""
        kept = self.idle_timeout if capabilities.keeps_alive else 0.0
        return kept + self.provider_idle_timeout(capabilities)


def keep_alive_every(capabilities: Capabilities, asked: float) -> float | None:
    """Seconds between keep-alives of a stream that was opened with the idle timeout `asked`; None if the provider
    has none. They go out also while the avatar speaks, which resets no provider's timer for certain."""
    return asked / KEEP_ALIVES if capabilities.keeps_alive else None
