"""Shortens what is repeated: "nooooooo", "!!!!!!", "ha ha ha ha ha ha ha", ten times the same emoji.

Works on grapheme clusters (UAX #29), which the standard library does not know; wcwidth, here anyway because of
prompt_toolkit, does.
"""

import operator
import re
import unicodedata
from itertools import groupby

from wcwidth import iter_graphemes

MOST_REPEATS = 3
"""Copies that are kept of one character: enough to hear that it was drawn out."""

MOST_DIGITS = 15
"""Copies that are kept of one digit: a number must stay what it is, and 15 zeros are a quadrillion."""

MOST_WORDS = 5
"""Copies that are kept of a word or a phrase."""

_LONGEST_PHRASE = 4
"""Words of a phrase whose repetition is noticed."""

_SINGLE = frozenset("!?,;¡¿！？，；、؟،؛۔।॥。｡…‽")
_ASCII_RUN = re.compile(rf"([!?,;])\1++|([0-9])\2{{{MOST_DIGITS},}}+|([^\s0-9!?,;])\3{{{MOST_REPEATS},}}+")


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
    for length in range(1, _LONGEST_PHRASE + 1):
        if len(words) > length * MOST_REPEATS:
            words = _bound_phrase(words, length)
    return words


def _most(cluster: str) -> int:
    if cluster in _SINGLE:
        return 1
    return MOST_DIGITS if unicodedata.category(cluster[0]) == "Nd" and len(cluster) == 1 else MOST_REPEATS


def _bound_phrase(words: list[str], length: int) -> list[str]:
    kept: list[str] = []
    repeated = 0
    for word in words:
        repeated = repeated + 1 if len(kept) >= length and word == kept[-length] else 0
        kept.append(word)
        most = MOST_WORDS if length > 1 or any(map(str.isalnum, word)) else MOST_REPEATS
        if repeated >= length * most:
            del kept[-length:]
            repeated -= length
    return kept
