"""How long a session keeps a stream that has nothing to say, or that nobody watches. Letting go of it ends the stream
alone: the session stays, and its next words open another one (`bot.speaking.sender`).

Only the decision, as arithmetic, and one timer. The work is done by the session's own task, so a message of that very
moment is before it, and keeps the stream, or behind it, and opens the next.
"""

import math
from collections.abc import Callable

import structlog

from bot.core.audience import Audience
from bot.core.mailbox import Mailbox
from bot.core.ports import Capabilities
from bot.core.tasks import ROUNDING
from bot.services import Services
from bot.sessions.stream_listener import StreamListener
from bot.speaking.speaker import Speaker
from bot.streams.streams import SessionStream

log = structlog.get_logger(__name__)

CLOSE_MARGIN = 2.0
"""Seconds before the end of what is paid for at which a stream is let go. Closing it is a call over the network, which
is repeated after half a second at most where it fails; a step that has begun is paid for."""

ABSENCE = 15.0
"""Seconds that a stream is kept after the last viewer has left: a reload, a changed tab, a train in a tunnel."""

LOOK_AGAIN = 1.0
"""Seconds until the next look while the row of a message is being written: it may turn out not to be one."""


def let_go_age(capabilities: Capabilities, least: float) -> float:
    """How old a stream becomes that is kept until it is `least` old: what is paid for is used, and it is let go just
    before the next step begins. Ages in seconds since it was asked for."""
    step, first = capabilities.billing_step, max(capabilities.billing_step, capabilities.billing_minimum)
    end = first - CLOSE_MARGIN
    if least > end and step > CLOSE_MARGIN:
        end += math.ceil((least - end) / step) * step
    return max(least, end) if first > CLOSE_MARGIN else least


def let_go_at(capabilities: Capabilities, charged_since: float, keep_until: float, now: float) -> float:
    """When a stream is let go that is charged since `charged_since` and kept until `keep_until` at least; `now` and
    both are seconds on the clock. One that was missed, so that another step is paid for, is followed by the next."""
    due = charged_since + let_go_age(capabilities, keep_until - charged_since)
    if now <= due + CLOSE_MARGIN:
        return due
    return charged_since + let_go_age(capabilities, now - charged_since)


class StreamLinger:
    """Lets the silent, or unwatched, stream of one session go, as the operator wants it."""

    def __init__(
        self,
        services: Services,
        mailbox: Mailbox,
        stream: SessionStream,
        speaker: Speaker,
        listener: StreamListener,
        audience: Audience,
        is_accepting: Callable[[], bool],
    ) -> None:
        """`is_accepting`: whether the row of a message for the session is being written."""
        self._linger = services.policy.stream_linger
        self._capabilities = services.provider.capabilities
        self._clock = services.clock
        self._mailbox = mailbox
        self._stream = stream
        self._speaker = speaker
        self._listener = listener
        self._audience = audience
        self._is_accepting = is_accepting
        self._rings_at: float | None = None

    def watch(self) -> None:
        """Look when the stream is to be let go. For the session's task, whenever it has done something."""
        due = self._due()
        if due is None or (self._rings_at is not None and self._rings_at <= due):
            # It looks again when it rings: each message puts the end off, and a timer anew for each is costly.
            return
        self._rings_at = due
        self._mailbox.call_later("linger", due - self._clock.monotonic(), self._let_go)

    def _due(self) -> float | None:
        """When the stream is to be let go, seconds on the clock; None where it is not, as things are."""
        charged_since, ready_at = self._stream.charged_since, self._stream.ready_at
        if charged_since is None or ready_at is None:
            return None
        ends = [end for end in (self._end_of_silence(ready_at), self._end_of_absence(ready_at)) if end is not None]
        if not ends:
            return None
        now, keep_until = self._clock.monotonic(), min(ends)
        if self._is_accepting():
            keep_until = max(keep_until, now + LOOK_AGAIN)
        return let_go_at(self._capabilities, charged_since, keep_until, now)

    def _end_of_silence(self, ready_at: float) -> float | None:
        """Until when a stream is kept that has nothing to say."""
        silent_since = self._speaker.status.silent_since
        if self._linger is None or silent_since is None:
            return None
        return max(silent_since, ready_at) + self._linger

    def _end_of_absence(self, ready_at: float) -> float | None:
        """Until when a stream is kept that nobody watches, whatever waits."""
        unheard_since = self._speaker.status.unheard_since
        if not self._audience.is_missing or unheard_since is None:
            return None
        return max(self._audience.left_at + ABSENCE, ready_at + ABSENCE, unheard_since)

    async def _let_go(self) -> None:
        """The time is over; but something may have come just before, or the timer rang for what is over by now."""
        self._rings_at = None
        due = self._due()
        if due is None or due > self._clock.monotonic() + ROUNDING:
            return
        log.info("a stream is let go", stream=self._stream.upstream_id, is_watched=self._audience.is_there)
        await self._listener.stop()
        self._speaker.stream_let_go()
        self._stream.let_go("nobody watches" if self._audience.is_missing else "nothing to say")
