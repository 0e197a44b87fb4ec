"""Lines of the log that somebody outside can cause: each kind at most once a minute, with how often it happened."""

from typing import Any

import structlog

from bot.core.ports import Clock

log = structlog.get_logger(__name__)

MIN_INTERVAL = 60.0
"""Seconds between two lines of the same kind."""


class RateLimitedLog:
    """Writes warnings. A kind is its text, so texts must be few and our own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, text: str, **details: Any) -> None:
        """Write a line, unless one with the same text was written within the minute; the next one counts it."""
        now = self._clock.monotonic()
        if now - self._written_at.get(text, float("-inf")) < MIN_INTERVAL:
            self._left_out[text] = self._left_out.get(text, 0) + 1
            return
        self._written_at[text] = now
        log.warning(text, **details, left_out_before=self._left_out.pop(text, 0))
