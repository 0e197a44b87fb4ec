"""When a session is shown: at once, and under load no more often than people can follow. What it shows is in
`bot.sessions.session_view`, whether that is news in `bot.announcer`.
"""

import math
from collections.abc import Callable

from bot.announcer import Announcer
from bot.core.mailbox import Mailbox
from bot.core.ports import Clock
from bot.core.precedence import Precedence
from bot.core.views import SessionView

INTERVAL = 0.5
"""Seconds between two views of one session under load (`Precedence.is_crowded`). Our choice: each message changes the
view twice, and to draw both takes a twentieth of its processor time (profiled)."""


class ViewPublisher:
    """Publishes the views of one session."""

    def __init__(
        self,
        view: Callable[[], SessionView],
        announcer: Announcer,
        mailbox: Mailbox,
        clock: Clock,
        precedence: Precedence,
    ) -> None:
        """view: draws the session as it is now. mailbox: of the session, for a view that comes later."""
        self._view = view
        self._announcer = announcer
        self._mailbox = mailbox
        self._clock = clock
        self._precedence = precedence
        self._published_at = -math.inf
        self._comes_later = False

    def publish(self) -> None:
        """Publish the session as it is now."""
        self._published_at = self._clock.monotonic()
        self._announcer.show(self._view())

    def publish_soon(self) -> None:
        """Publish the session as it is now; under load, where it was published within `INTERVAL`, as it is at the end
        of that."""
        if not self._precedence.is_crowded:
            self.publish()
            return
        seconds = self._published_at + INTERVAL - self._clock.monotonic()
        if seconds <= 0:
            self.publish()
        elif not self._comes_later:
            self._comes_later = True
            self._mailbox.call_later("view", seconds, self._publish_later)

    async def _publish_later(self) -> None:
        self._comes_later = False
        self.publish()
