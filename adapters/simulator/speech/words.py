"""Words with their times, and the frames in which the word stream sends them.

Pure computation over text; no clock, no I/O.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FRAME_WORDS = 10
FRAME_SECONDS = 1.0
"""A frame covers at most so much (SPEC3, streamAvatarRealtimeWords)."""

_CHUNK = re.compile(r"\S+")
_UNSPACED = re.compile(
    r"[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]|[^\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]+"
)
"""Scripts that are written without spaces are told character by character."""


@dataclass(slots=True)
class SpokenWord:
    """A word, or a punctuation mark, with its times on the stream's timeline in seconds."""

    text: str
    start: float
    end: float

    def as_json(self) -> dict[str, str | float]:
        """Its form on the wire."""
        return {"word": self.text, "start": round(self.start, 3), "end": round(self.end, 3)}


def _is_mark(character: str) -> bool:
    return not character.isalnum() and unicodedata.category(character)[0] in "PS"


def words_of(text: str) -> Iterator[tuple[str, int]]:
    """Every word and every punctuation mark around one, with its position in `text`."""
    for chunk in _CHUNK.finditer(text):
        body, left = chunk.group(), chunk.start()
        first, last = 0, len(body)
        while first < last and _is_mark(body[first]):
            yield body[first], left + first
            first += 1
        while last > first and _is_mark(body[last - 1]):
            last -= 1
        if body.isascii():
            if last > first:
                yield body[first:last], left + first
        else:
            for piece in _UNSPACED.finditer(body, first, last):
                yield piece.group(), left + piece.start()
        for index in range(last, len(body)):
            yield body[index], left + index


class WordTrack:
    """The words of one stream in order. Fragments of a word that arrive apart become one while it is being said."""

    __slots__ = ("_open_ended", "words")

    def __init__(self) -> None:
        self.words: list[SpokenWord] = []
        self._open_ended = False

    def add(self, text: str, start: float, per_character: float, *, goes_on: bool) -> None:
        """Lay `text` out from `start`. `goes_on` says that it follows the text before it without a pause."""
        for index, (word, position) in enumerate(words_of(text)):
            begin = start + position * per_character
            end = begin + len(word) * per_character
            joins = index == 0 and position == 0 and goes_on and self._open_ended and not _is_mark(word[0])
            if joins:
                self.words[-1].text += word
                self.words[-1].end = end
            else:
                self.words.append(SpokenWord(word, begin, end))
        if text:
            self._open_ended = not text[-1].isspace() and not _is_mark(text[-1])

    def frame(self, first: int) -> Sequence[SpokenWord]:
        """The frame that begins with word number `first`; empty when there is no such word yet."""
        if first >= len(self.words):
            return ()
        begin = self.words[first].start
        last = first + 1
        while last < len(self.words) and last - first < FRAME_WORDS and self.words[last].end - begin <= FRAME_SECONDS:
            last += 1
        return self.words[first:last]
