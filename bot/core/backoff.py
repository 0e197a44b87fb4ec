"""Pauses that grow: how long to wait before something is tried again, and from where to begin once it worked."""

from collections.abc import Sequence


class Backoff:
    """Hands out one pause after the other; the last one again and again."""

    def __init__(self, pauses: Sequence[float]) -> None:
        """`pauses` are in seconds; at least one."""
        self._pauses = pauses
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait now."""
        pause = self._pauses[min(self._failures, len(self._pauses) - 1)]
        self._failures += 1
        return pause

    def reset(self) -> None:
        """It has worked: the next pause is the first one."""
        self._failures = 0
