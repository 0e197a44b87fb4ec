"""When the avatar says what: one timeline per stream, in seconds from the start of its audio.

Everything is computed when somebody asks; a timeline has no timers, does not know the clock and never waits. What lies
in the past never changes, which is what lets video segments and word times be worked out as late as possible.
"""

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What became of something the avatar was to say."""

    SAID = "said"
    INTERRUPTED = "interrupted"
    DROPPED = "dropped"


@dataclass(slots=True, eq=False)
class Speech:
    """One task or fragment of text. `asked` is what was posted, `text` what is said (an answer, for chat).

    `fate` is what becomes of it at `end`; a dropped one has no length.
    """

    id: str
    kind: str
    asked: str
    text: str
    start: float
    end: float
    fate: Fate = Fate.SAID


class Timeline:
    """Everything said on one stream, one after another, in the order of posting."""

    __slots__ = ("_ends", "speeches")

    def __init__(self) -> None:
        self.speeches: list[Speech] = []
        self._ends: list[float] = []

    @property
    def end(self) -> float:
        """When the last word is out; 0 when nothing was ever said."""
        return self._ends[-1] if self._ends else 0.0

    def say(self, id: str, kind: str, text: str, now: float, duration: float, asked: str | None = None) -> Speech:  # noqa: A002 - the field's word
        """Put `text` behind everything that is being said; it takes `duration` seconds. Returns it with its times."""
        start = max(now, self.end, 0.0)
        speech = Speech(id, kind, text if asked is None else asked, text, start, start + duration)
        self.speeches.append(speech)
        self._ends.append(speech.end)
        return speech

    def cut(self, now: float) -> int:
        """Stop at `now`: what is being said ends there, what waits is never said. Returns how many that concerned."""
        first = bisect_right(self._ends, now)
        for index in range(first, len(self.speeches)):
            speech = self.speeches[index]
            begun = speech.start < now
            speech.fate = Fate.INTERRUPTED if begun else Fate.DROPPED
            speech.start = min(speech.start, now)
            speech.end = self._ends[index] = now
            if not begun:
                speech.start = now
        return len(self.speeches) - first

    def talk_within(self, begin: float, until: float) -> float:
        """How many seconds of the interval the avatar talks."""
        total = 0.0
        for index in range(bisect_right(self._ends, begin), len(self.speeches)):
            speech = self.speeches[index]
            if speech.start >= until:
                break
            total += max(0.0, min(until, speech.end) - max(begin, speech.start))
        return total
