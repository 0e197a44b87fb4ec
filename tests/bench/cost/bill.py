"""What days came to: the simulator's meter, what its avatars said and when, and who watched meanwhile.

Reads and adds up; runs nothing.
"""

import statistics
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

from adapters.simulator import Simulator

Span = tuple[float, float]
"""From when to when, UTC epoch seconds."""


@dataclass(frozen=True)
class Bill:
    """Sums over days.

    posted: messages that were written. said: of them, those that were begun to be said. spoken, billed: seconds of
    their speech, and seconds that are charged. dollars: as the simulator's meter has it. opened: streams. watched:
    seconds of the speech in which somebody watched. begun_unwatched: seconds of what was begun while nobody did.
    waited: seconds from each message to its first word.
    """

    posted: int = 0
    said: int = 0
    spoken: float = 0.0
    billed: int = 0
    dollars: Decimal = Decimal(0)
    opened: int = 0
    watched: float = 0.0
    begun_unwatched: float = 0.0
    waited: tuple[float, ...] = ()

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def billed_per_spoken(self) -> float:
        return self.billed / self.spoken

    @property
    def dollars_per_spoken_minute(self) -> float:
        return float(self.dollars) / self.spoken * 60

    @property
    def watched_share(self) -> float:
        """Of the speech, how much somebody watched."""
        return self.watched / self.spoken

    def waited_at_most(self, percent: int) -> float:
        """Seconds within which so many of a hundred messages had their first word."""
        return statistics.quantiles(self.waited, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True)
class _Speech:
    text: str
    begin: float
    end: float


def read_bill(
    simulator: Simulator, accepted: Sequence[tuple[float, str]], posted: int, watched: Sequence[Span], greeting: str
) -> Bill:
    """The bill of one simulator, whose streams are all over.

    accepted: when each message was taken, UTC epoch seconds, and its text, in order. posted: how many were written.
    watched: when somebody watched, in order. Raises RuntimeError where something is open, or was said that nobody had
    written, or twice.
    """
    reading = simulator.meter().total
    if reading.open:
        raise RuntimeError(f"{reading.open} streams are still open")
    speeches = _speeches(simulator, greeting)
    waited = tuple(_waits(accepted, speeches))
    presence = _Presence(watched)
    return Bill(
        posted=posted,
        said=len(waited),
        spoken=sum(speech.end - speech.begin for speech in speeches),
        billed=reading.billed_seconds,
        dollars=reading.dollars,
        opened=reading.opened,
        watched=sum(presence.seconds_within(speech.begin, speech.end) for speech in speeches),
        begun_unwatched=sum(speech.end - speech.begin for speech in speeches if not presence.at(speech.begin)),
        waited=waited,
    )


def _speeches(simulator: Simulator, greeting: str) -> list[_Speech]:
    """What was said, at least in part, in the order of the clock, without greetings."""
    said = [
        _Speech(speech.asked.strip(), speech.starts_at, speech.ends_at)
        for view in simulator.streams()
        for speech in view.spoken
        if speech.starts_at is not None and speech.ends_at is not None and speech.state != "dropped"
    ]
    return sorted((speech for speech in said if speech.text not in ("", greeting)), key=lambda speech: speech.begin)


def _waits(accepted: Sequence[tuple[float, str]], speeches: Sequence[_Speech]) -> Iterator[float]:
    """Seconds from each message that was said to its first word. A message may be said in pieces."""
    messages, rest = iter(accepted), ""
    for speech in speeches:
        if rest.startswith(speech.text):
            rest = rest[len(speech.text) :].lstrip()
            continue
        for written, text in messages:
            if text.startswith(speech.text):
                rest = text[len(speech.text) :].lstrip()
                yield speech.begin - written
                break
        else:
            raise RuntimeError(f"nobody wrote this, or it is said again: {speech.text!r}")


class _Presence:
    """When somebody watched."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._ends = [end for _, end in spans]

    def at(self, moment: float) -> bool:
        """Whether somebody watched then."""
        place = bisect_right(self._ends, moment)
        return place < len(self._spans) and self._spans[place][0] <= moment

    def seconds_within(self, begin: float, end: float) -> float:
        """For how long of a time somebody watched."""
        seconds = 0.0
        for place in range(bisect_right(self._ends, begin), len(self._spans)):
            since, until = self._spans[place]
            if since >= end:
                break
            seconds += min(until, end) - max(since, begin)
        return seconds
