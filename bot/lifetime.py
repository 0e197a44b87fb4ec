"""How long a session stays: warns and ends it when idle, ends it at its longest stay, keeps a deserving stream alive.

Only timers and the decision; ending is done by whoever is told.
"""

from collections.abc import Callable

from bot.model import EndReason
from bot.policy import SessionPolicy
from bot.ports import Capabilities, Clock, Timer
from bot.speaking import SpeakingLoop

ROUNDING = 0.001
"""Seconds a timer may ring early: adding and subtracting floats is not exact, and a look must not follow itself at
once."""


LOOK_FOR_VIEWERS = 5.0
"""Seconds between looks at whether somebody watches."""


class Lifetime:
    """The timers of one session."""

    def __init__(
        self,
        policy: SessionPolicy,
        capabilities: Capabilities,
        clock: Clock,
        speech: SpeakingLoop,
        *,
        end: Callable[[EndReason], None],
        warn: Callable[[float], None],
        keep_alive: Callable[[], None],
        is_watched: Callable[[], bool],
        asked_idle: Callable[[], float],
    ) -> None:
        """`warn` gets the seconds that are left. `keep_alive` is called while the session deserves its stream.
        `is_watched` tells whether anybody has the watch page open, `asked_idle` after how many seconds of silence the
        provider ends the stream by itself."""
        self._policy = policy
        self._capabilities = capabilities
        self._is_watched = is_watched
        self._asked_idle = asked_idle
        self._clock = clock
        self._speech = speech
        self._end = end
        self._warn = warn
        self._keep_alive = keep_alive
        self._timers: dict[str, Timer] = {}
        self._warned_of: float | None = None
        self._last_watched = clock.monotonic()

    def limit(self, seconds: float) -> None:
        """End the session `seconds` from now, whatever happens in it."""
        self._in("limit", seconds, lambda: self._end(EndReason.MAX_DURATION))

    def begin(self) -> None:
        """The session is live: watch whether it is used."""
        self._last_watched = self._clock.monotonic()
        self.follow(self._policy)

    def follow(self, policy: SessionPolicy) -> None:
        """Go by another policy from now on."""
        self._policy = policy
        self._watch()
        if (every := policy.keep_alive_every(self._capabilities, self._asked_idle())) is not None:
            self._in("keep alive", every, self._send_keep_alive)
        if policy.unwatched_timeout is not None:
            self._look_for_viewers(policy.unwatched_timeout)

    def stop(self) -> None:
        """Forget every timer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _watch(self) -> None:
        """Look once, and again when the answer may be another one: activity itself touches no timer."""
        if self._speech.current is not None:
            self._in("idle", self._policy.idle_timeout - self._policy.idle_warning, self._watch)
            return
        last = self._speech.last_activity
        left = self._policy.idle_timeout - (self._clock.monotonic() - last)
        if left <= ROUNDING:
            self._end(EndReason.IDLE)
            return
        until_warning = left - self._policy.idle_warning
        if until_warning > ROUNDING:
            self._in("idle", until_warning, self._watch)
            return
        if self._warned_of != last:
            self._warned_of = last
            self._warn(left)
        self._in("idle", left, self._watch)

    def _look_for_viewers(self, timeout: float) -> None:
        now = self._clock.monotonic()
        if self._is_watched():
            self._last_watched = now
        left = timeout - (now - max(self._last_watched, self._speech.last_activity))
        if left <= ROUNDING and self._speech.current is None:
            self._end(EndReason.IDLE)
            return
        self._in("viewers", min(max(left, 1.0), LOOK_FOR_VIEWERS), lambda: self._look_for_viewers(timeout))

    def _send_keep_alive(self) -> None:
        self._keep_alive()
        if (every := self._policy.keep_alive_every(self._capabilities, self._asked_idle())) is not None:
            self._in("keep alive", every, self._send_keep_alive)

    def _in(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        if (earlier := self._timers.pop(name, None)) is not None:
            earlier.cancel()
        self._timers[name] = self._clock.call_later(max(0.0, seconds), then)
