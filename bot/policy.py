"""The operator's decisions about sessions as one value, fitted to what the provider accepts.

Pure arithmetic: no I/O, no settings, no vendor.
"""

from dataclasses import dataclass, replace

from bot.model import Mode
from bot.ports import Capabilities, FirstWords, StreamRequest

MARGIN = 60.0
"""Seconds that the provider's own limits lie above ours: it is the safety net for a dead bot, not the one who ends."""


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """Durations in seconds. `avatar` and `voice` may be empty: the provider's default.

    idle_ceiling: the longest idle time a channel may choose. unwatched_timeout: how long a session stays that nobody
    watches, None where that makes no difference. key_is_ours: nobody else uses the provider's account.
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
    max_duration: float = 3600.0
    queue_limit: int = 20
    key_is_ours: bool = False

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
        first_words: FirstWords | None,
    ) -> StreamRequest:
        """What to ask of the provider for a stream of a session that may run `remaining` seconds more (rule 3)."""
        return StreamRequest(
            avatar=avatar,
            voice=voice,
            quality=quality,
            knowledge=self.knowledge,
            idle_timeout=self.asked_idle_timeout(capabilities),
            max_duration=min(capabilities.max_duration, remaining + MARGIN),
            first_words=first_words,
        )

    def asked_idle_timeout(self, capabilities: Capabilities) -> float:
        """Seconds of silence after which the provider is asked to end a stream by itself (rule 3)."""
        shortest, longest = capabilities.idle_limit
        return min(longest, max(shortest, self.idle_timeout + MARGIN))

    def keep_alive_every(self, capabilities: Capabilities, asked: float) -> float | None:
        """Seconds between keep-alives, None where the idle timeout asked of the provider outlasts ours anyway.

        asked: what it was when the stream was opened; the channel may have changed its own since.
        """
        if not capabilities.keeps_alive or asked >= self.idle_timeout + MARGIN:
            return None
        return asked / 3
