"""How long a session stays: warns and ends it when idle or unwatched, ends it at its longest stay, keeps a deserving
stream alive.

Only timers and the decision. Its timers ring outside the session's task, which may be waiting for a provider.
"""

from functools import partial

from bot.announcer import Announcer
from bot.core.audience import Audience
from bot.core.models import EndReason
from bot.core.policy import SessionPolicy, keep_alive_every
from bot.core.tasks import ROUNDING, NamedTimers
from bot.sentences import NOBODY_WATCHED
from bot.services import Services
from bot.sessions.stop import StopScope
from bot.sessions.stream_listener import StreamListener
from bot.speaking.speaker import Speaker
from bot.streams.streams import SessionStream

VIEWER_POLL_INTERVAL = 5.0
"""Seconds between looks at whether somebody watches."""


class SessionTimeouts:
    """The timers of one session."""

    def __init__(
        self,
        policy: SessionPolicy,
        services: Services,
        announcer: Announcer,
        stop: StopScope,
        stream: SessionStream,
        speaker: Speaker,
        listener: StreamListener,
        audience: Audience,
    ) -> None:
        self._policy = policy
        self._capabilities = services.provider.capabilities
        self._clock = services.clock
        self._announcer = announcer
        self._stop = stop
        self._stream = stream
        self._speaker = speaker
        self._listener = listener
        self._audience = audience
        self._timers = NamedTimers(services.clock)
        self._first_idle_timeout = policy.provider_idle_timeout(self._capabilities)
        self._warned_of: float | None = None
        self._last_watched = services.clock.monotonic()

    def start_max_duration(self, seconds: float) -> None:
        """End the session `seconds` from now, whatever happens in it."""
        self._timers.start("limit", seconds, partial(self._stop.request, EndReason.MAX_DURATION))

    def start_idle(self) -> None:
        """The session is live: watch whether it is used."""
        self._last_watched = self._clock.monotonic()
        self.set_policy(self._policy)

    def set_policy(self, policy: SessionPolicy) -> None:
        """Go by another policy from now on."""
        self._policy = policy
        self._watch()
        self._keep_alive_later()

    def stop(self) -> None:
        """Forget every timer."""
        self._timers.stop()

    def _watch(self) -> None:
        """Look once, and again when the answer may be another one: activity itself touches no timer."""
        now, is_watched = self._clock.monotonic(), self._audience.is_there
        if is_watched:
            self._last_watched = now
        if self._speaker.status.is_busy:
            self._check_in(self._policy.idle_timeout - self._policy.idle_warning)
            return
        leaves_at, warning, is_unwatched = self._next_end(is_watched=is_watched)
        left = leaves_at - now
        if left <= ROUNDING:
            self._stop.request(EndReason.IDLE, NOBODY_WATCHED if is_unwatched else None)
            return
        if left - warning > ROUNDING:
            self._check_in(left - warning)
            return
        if self._warned_of != leaves_at:
            self._warned_of = leaves_at
            self._announcer.warn_of_idle_end(left, is_unwatched)
        self._check_in(left)

    def _next_end(self, *, is_watched: bool) -> tuple[float, float, bool]:
        """The moment the session ends where nothing more happens, how many seconds before it is warned, and whether one
        viewer would put it off."""
        policy, last = self._policy, self._speaker.status.last_activity
        idle_at = last + policy.idle_timeout
        if policy.unwatched_timeout is None or is_watched:
            return idle_at, policy.idle_warning, False
        unwatched_at = max(self._last_watched, last) + policy.unwatched_timeout
        if unwatched_at >= idle_at:
            return idle_at, policy.idle_warning, False
        return unwatched_at, min(policy.idle_warning, policy.unwatched_timeout / 2), True

    def _check_in(self, seconds: float) -> None:
        if self._policy.unwatched_timeout is not None:
            seconds = min(seconds, VIEWER_POLL_INTERVAL)
        self._timers.start("idle", seconds, self._watch)

    def _send_keep_alive(self) -> None:
        self._listener.keep_alive()
        self._keep_alive_later()

    def _keep_alive_later(self) -> None:
        idle_timeout = self._stream.idle_timeout or self._first_idle_timeout
        if (every := keep_alive_every(self._capabilities, idle_timeout)) is not None:
            self._timers.start("keep alive", every, self._send_keep_alive)
