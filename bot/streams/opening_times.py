"""How long the provider usually takes to open a stream, learned from the last few of this process.

Pure arithmetic: whoever opens a stream measures it.
"""

from collections import deque
from statistics import median

REMEMBERED = 5
"""Openings that count: enough that one slow one changes nothing, few enough to follow a bad hour of the service."""


class OpeningTimes:
    """The last openings of every session."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """A stream could be watched so many seconds after it was asked for."""
        self._last.append(seconds)

    @property
    def usual(self) -> float | None:
        """Their median, seconds; None while nothing is known."""
        return median(self._last) if self._last else None
