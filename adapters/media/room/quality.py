"""Which size of picture the machine can encode: less as soon as it is too much, more only after it was easy for long.
Pure computation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quality:
    """What is encoded. width, height: pixels. bit_rate: the most, bits per second of picture."""

    width: int
    height: int
    bit_rate: int


QUALITIES = (Quality(640, 360, 800_000), Quality(854, 480, 1_400_000), Quality(1280, 720, 2_800_000))
"""From the smallest to the largest."""

TOO_MUCH = 0.6
"""Seconds of work for a second of picture from which on it is too much: sound, playlists and peaks need the rest."""

EASY = 0.35
"""The same of the next larger picture, by its pixels, up to which it would be easy."""

SECONDS_TOO_MUCH = 2
SECONDS_EASY = 15
"""Seconds in a row before it becomes smaller, or larger."""

MAX_SECONDS_EASY = 240
"""After a larger picture turned out to be too much, twice as long as before has to pass, and so on up to this."""


class QualityLadder:
    """Decides after each second of picture."""

    def __init__(self, qualities: tuple[Quality, ...] = QUALITIES) -> None:
        self._qualities = qualities
        self._useful = 0
        self._affordable = len(qualities) - 1
        self._too_much = 0
        self._easy = 0
        self._patience = SECONDS_EASY
        self._rose = False

    @property
    def quality(self) -> Quality:
        """What to encode now."""
        return self._qualities[min(self._useful, self._affordable)]

    def fit(self, height: int) -> None:
        """The source's pictures are so many pixels high: none is encoded much larger than it is."""
        higher = [step for step, quality in enumerate(self._qualities) if quality.height >= height]
        self._useful = min(higher, default=len(self._qualities) - 1)

    def observe(self, work: float) -> None:
        """Another second of picture took `work` seconds."""
        step = min(self._useful, self._affordable)
        if work > TOO_MUCH:
            self._too_much, self._easy = self._too_much + 1, 0
            if self._too_much >= SECONDS_TOO_MUCH and step > 0:
                if self._rose:
                    self._patience = min(MAX_SECONDS_EASY, 2 * self._patience)
                self._afford(step - 1, rose=False)
            return
        self._too_much = 0
        if step < self._affordable or self._affordable == len(self._qualities) - 1:
            return
        larger, now = self._qualities[step + 1], self._qualities[step]
        is_easy = work * (larger.width * larger.height) / (now.width * now.height) < EASY
        self._easy = self._easy + 1 if is_easy else 0
        if self._easy >= self._patience:
            self._afford(step + 1, rose=True)

    def _afford(self, step: int, *, rose: bool) -> None:
        self._affordable, self._rose = step, rose
        self._too_much = self._easy = 0
