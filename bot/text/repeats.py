"""Shortens what is repeated: "nooooooo", "!!!!!!", "ha ha ha ha ha ha ha", ten times the same emoji.

Works on grapheme clusters (UAX #29), which the standard library does not know; wcwidth, here anyway because of
prompt_toolkit, does.
"""

import operator
import re
import unicodedata
from collections import deque
from collections.abc import Iterable
from itertools import groupby

from wcwidth import iter_graphemes

MAX_REPEATS = 3
"""Copies that are kept of one character: enough to hear that it was drawn out."""

MAX_DIGITS = 15
"""Copies that are kept of one digit: a number must stay what it is, and 15 zeros are a quadrillion."""

MAX_WORDS = 5
"""Copies that are kept of a word or a phrase."""

_MAX_PHRASE_WORDS = 4
"""Words of a phrase whose repetition is noticed."""

_SINGLE = frozenset("!?,;¡¿！？，；、؟،؛۔।॥。｡…‽")
_ASCII_RUN = re.compile(rf"([!?,;])\1++|([0-9])\2{{{MAX_DIGITS},}}+|([^\s0-9!?,;])\3{{{MAX_REPEATS},}}+")


def shorten_runs(text: str) -> str:
    """Return `text` with runs of one character (as a reader sees characters) shortened."""
    if text.isascii():
        return _ASCII_RUN.sub(lambda match: match[0][: _most(match[0][0])], text)
    clusters = list(iter_graphemes(text))
    if not any(map(operator.eq, clusters, clusters[1:])):
        return text
    shortened: list[str] = []
    for cluster, copies in groupby(clusters):
        count = sum(1 for _ in copies)
        shortened.append(cluster * (count if cluster.isspace() else min(count, _most(cluster))))
    return "".join(shortened)


def shorten_phrases(words: list[str]) -> list[str]:
    """Return `words` with repeated words and phrases bounded."""
    if len(words) - len(set(words)) < MAX_REPEATS:
        return words
    phrases = Phrases()
    return [*phrases.add(words), *phrases.finish()]


class Phrases:
    """Bounds repeated words and phrases in words that are still coming. A word is held back only while what comes next
    decides whether it, or the one behind it, is one too many: so the last word of all is never said too early."""

    def __init__(self) -> None:
        self._lengths = [_PhrasesOfLength(length) for length in range(1, _MAX_PHRASE_WORDS + 1)]

    def add(self, words: Iterable[str]) -> list[str]:
        """Put words behind those that came before; returns what can be said by now."""
        for each in self._lengths:
            words = each.add(words)
        return list(words)

    def finish(self) -> list[str]:
        """No more words come; returns what was held back."""
        words: list[str] = []
        for each in self._lengths:
            words = [*each.add(words), *each.finish()]
        return words


class _PhrasesOfLength:
    """The same for phrases of one length, in words."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._last: deque[str] = deque(maxlen=length)
        self._repeated = 0
        self._held: list[str] = []

    def add(self, words: Iterable[str]) -> list[str]:
        said: list[str] = []
        for word in words:
            self._put(word, said)
        return said

    def finish(self) -> list[str]:
        held, self._held = self._held, []
        return held

    def _put(self, word: str, said: list[str]) -> None:
        is_repeated = len(self._last) == self._length and self._last[0] == word
        self._last.append(word)
        if not is_repeated:
            self._repeated = 0
            said += [*self.finish(), word]
            return
        self._repeated += 1
        most = MAX_WORDS if self._length > 1 or any(map(str.isalnum, word)) else MAX_REPEATS
        if self._repeated < self._length * (most - 1):
            said.append(word)
            return
        self._held.append(word)
        if self._repeated >= self._length * most:
            del self._held[-self._length :]
            self._repeated -= self._length


def _most(cluster: str) -> int:
    if cluster in _SINGLE:
        return 1
    return MAX_DIGITS if unicodedata.category(cluster[0]) == "Nd" and len(cluster) == 1 else MAX_REPEATS
