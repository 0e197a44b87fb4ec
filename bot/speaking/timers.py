"""Timers by name: each name has one timer at most, and one word forgets them all."""

from collections.abc import Callable

from bot.ports import Clock, Timer


class Timers:
    """The timers of one owner, who stops them when it ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: dict[str, Timer] = {}

    def start(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` in `seconds`, instead of what `name` was to call until now."""
        self.forget(name)
        self._timers[name] = self._clock.call_later(max(0.0, seconds), then)

    def forget(self, name: str) -> None:
        """Call nothing for `name`; harmless where nothing was to be called."""
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def stop(self) -> None:
        """Call nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
