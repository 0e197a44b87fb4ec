"""What the streams of a session have used so far, and what of it is counted for operators.

Keeps numbers on the clock: opens and closes nothing, asks nobody.
"""

from collections.abc import Iterable
from datetime import datetime

from bot.core.billing import StreamSeconds, billed_seconds, sum_of
from bot.core.models import Stream, StreamUsage
from bot.core.ports import Capabilities, Clock
from bot.streams.spoken_time import SpokenTime
from bot.telemetry import metrics


class StreamAccount:
    """The sum of all streams a session has had, those that an earlier process opened included.

    spoken: the speech of the open one.
    """

    def __init__(self, clock: Clock, capabilities: Capabilities) -> None:
        self._clock = clock
        self._capabilities = capabilities
        self._past = StreamSeconds()
        self._charged_since: dict[str, float] = {}
        self.spoken = SpokenTime(clock, capabilities)

    @property
    def used(self) -> StreamSeconds:
        """What has been used up to now. A stream whose close the provider has not confirmed goes on costing."""
        seconds = self._past + StreamSeconds(spoken=self.spoken.seconds)
        for since in self._charged_since.values():
            seconds += self._since(since)
        return seconds

    def restore(self, uses: Iterable[StreamUsage], now: datetime) -> None:
        """Add what the rows say of streams that an earlier process had. One that it was just closing counts until
        `now`."""
        self._past += sum_of(uses, self._capabilities, now)

    def begin(self, stream_id: str, since: float) -> None:
        """A stream is charged since a moment, seconds on the clock."""
        self._charged_since[stream_id] = since

    def release(self) -> float:
        """The session has let its stream go. Returns how many seconds of it were speech."""
        spoken = self.spoken.take()
        self._past += StreamSeconds(spoken=spoken)
        return spoken

    def end(self, stream_id: str) -> None:
        """A stream is closed at the provider: it costs no more."""
        self._past += self._since(self._charged_since.pop(stream_id))

    def _since(self, moment: float) -> StreamSeconds:
        seconds = self._clock.monotonic() - moment
        return StreamSeconds(seconds, billed_seconds(self._capabilities, seconds))


def show_counters(provider: str) -> None:
    """Have the counters of a provider begin at 0: Prometheus sees no increase in a series that begins with a value."""
    for counter in (metrics.billed_seconds, metrics.spoken_seconds):
        counter.labels(provider=provider)


def count_ended(stream: Stream, capabilities: Capabilities, over_at: datetime) -> None:
    """Count a stream that is closed at the provider since `over_at`.

    Both counters move once for each stream, when it has ended, so that billed / spoken over any window is of the very
    same streams: never of seconds that were paid for and whose speech is counted in the next window. A window has at
    most the length of one stream too much at its beginning and too little at its end (an hour at the longest), which
    for the ratio of a day is nothing. A stream that the next process goes on with is counted by that one, whole.
    """
    if stream.upstream_id is None:
        return
    seconds = max(0.0, (over_at - stream.created_at).total_seconds())
    metrics.billed_seconds.labels(provider=stream.provider).inc(billed_seconds(capabilities, seconds))
    metrics.spoken_seconds.labels(provider=stream.provider).inc(stream.spoken_seconds or 0.0)
