"""When something was seen or heard, told from a source's own timestamps and from the moments it arrived at.

A source's timestamps are even and run by a clock of its own; arrivals are by our clock, and late now and then. What
arrives fastest tells how both clocks are related, so drift is followed and lateness is not. Pure computation.
"""

from collections import deque
from dataclasses import dataclass

WINDOW = 3.0
"""Seconds over which the fastest arrival counts. Two clocks drift by less than a millisecond in it (200 ppm)."""

GAP = 0.3
"""Seconds without anything, or by which a timestamp leaps, after which a source counts as begun anew."""


@dataclass(slots=True)
class Epoch:
    """A stretch in which a source ran without a break. `offset`: seconds to add to its timestamps for our time."""

    offset: float


class SourceClock:
    """Relates the timestamps of one source to our time."""

    def __init__(self) -> None:
        self._epoch = Epoch(0.0)
        # Those that may become the fastest of the window: each later one is slower. (arrival, its lateness)
        self._fastest: deque[tuple[float, float]] = deque()
        self._last: tuple[float, float] | None = None

    def note(self, at: float, timestamp: float) -> Epoch:
        """Something with this timestamp arrived at `at`, both in seconds. Its time is `timestamp` plus the offset of
        the epoch that this returns, which later arrivals still correct."""
        lateness = at - timestamp
        if self._last is not None:
            passed, told = at - self._last[0], timestamp - self._last[1]
            if passed > GAP or not -GAP < told - passed < GAP:
                self._last = None
        if self._last is None:
            self._epoch = Epoch(lateness)
            self._fastest.clear()
        self._last = (at, timestamp)
        while self._fastest and self._fastest[-1][1] >= lateness:
            self._fastest.pop()
        self._fastest.append((at, lateness))
        while self._fastest[0][0] < at - WINDOW:
            self._fastest.popleft()
        self._epoch.offset = self._fastest[0][1]
        return self._epoch
