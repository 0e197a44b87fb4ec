"""What a room hears about the avatar's speech while time goes by: it begins, it goes on with these words, it ends.

Pure bookkeeping over the times of a `Timeline`, in seconds from the start of the audio. No clock, no wire format.
"""

import math
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from adapters.simulator.options import SpeechModel
from adapters.simulator.speech.timeline import Speech

_WORD = re.compile(r"\s*\S{1,24}|\s+\Z")
"""A word with the space before it, or a piece of a script without spaces; joined, they are the text."""
_TOGETHER = 4
"""Words of a fragment."""


class Step(Enum):
    """What happens to a speech."""

    BEGINS = auto()
    GOES_ON = auto()
    ENDS = auto()


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to tell, `at` this second. `words` are the fragment that is said from then on."""

    at: float
    step: Step
    speech: Speech
    words: str = ""


class Narration:
    """Everything that is still to be told of one stream, in order. Speeches follow each other, so their steps do."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model
        self._coming: deque[Told] = deque()
        self._speaking: Speech | None = None

    def add(self, speech: Speech) -> None:
        """Tell of this speech when its time comes."""
        self._coming.append(Told(speech.start, Step.BEGINS, speech))
        begin = speech.start + self._model.lead
        for position, words in fragments(speech.text):
            self._coming.append(Told(begin + self._model.per_character * position, Step.GOES_ON, speech, words))
        self._coming.append(Told(speech.end, Step.ENDS, speech))

    @property
    def next_at(self) -> float:
        """When there is something to tell next; infinity for never."""
        return self._coming[0].at if self._coming else math.inf

    def due(self, position: float) -> Iterator[Told]:
        """What has to be told by `position`, each once."""
        while self._coming and self._coming[0].at <= position:
            told = self._coming.popleft()
            self._speaking = None if told.step is Step.ENDS else told.speech
            yield told

    def cut(self) -> Speech | None:
        """Nothing more is said: forget what was to come. Returns the speech that was being said."""
        self._coming.clear()
        cut, self._speaking = self._speaking, None
        return cut


def fragments(text: str) -> Iterator[tuple[int, str]]:
    """A text in pieces of a few words, each with its position; joined, they are the text."""
    words = [word.group() for word in _WORD.finditer(text)]
    position = 0
    for first in range(0, len(words), _TOGETHER):
        fragment = "".join(words[first : first + _TOGETHER])
        yield position, fragment
        position += len(fragment)
