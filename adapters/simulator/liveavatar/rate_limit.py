"""The rate limit of LiveAvatar: a fixed window of one second for each caller and endpoint, told in headers.

Counts; the answer of a refused request is the business of the API.
"""

import math
from dataclasses import dataclass

from bot.core.ports import Clock


@dataclass(frozen=True, slots=True)
class Window:
    """One request's place in its window. `reset` is the whole seconds until the next window."""

    limit: int
    remaining: int
    reset: int
    is_over: bool

    def headers(self) -> dict[str, str]:
        """What every answer carries."""
        shown = {"Limit": self.limit, "Remaining": self.remaining, "Reset": self.reset}
        headers = {f"X-RateLimit-{name}": f"{value}" for name, value in shown.items()}
        return {**headers, "Retry-After": f"{self.reset}"} if self.is_over else headers


class RateLimit:
    """The counters of the current second."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._second = -1
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, caller: str, endpoint: str) -> Window:
        """One more request of this caller at this endpoint."""
        second = math.floor(self._clock.monotonic())
        if second != self._second:
            self._second = second
            self._counts.clear()
        count = self._counts[caller, endpoint] = self._counts.get((caller, endpoint), 0) + 1
        return Window(self._limit, max(0, self._limit - count), 1, count > self._limit)
