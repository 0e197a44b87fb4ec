"""Cuts speakable text into pieces a provider takes: at the ends of sentences, else at clauses, else between words.

Inside a word only where the word alone is too long, and then between grapheme clusters (UAX #29). Text written without
spaces is one long word to these rules, with sentence and clause marks inside.
"""

import re
from dataclasses import dataclass
from enum import IntEnum

from wcwidth import iter_graphemes


class _Border(IntEnum):
    """How good a place to cut is."""

    CLUSTER = 0
    SPACE = 1
    CLAUSE = 2
    SENTENCE = 3


@dataclass(frozen=True, slots=True)
class _Unit:
    """Text that is cut last of all: a word, or one cluster of a word that is too long. `glue` stands before it."""

    text: str
    glue: str
    border: _Border
    """How good it is to cut behind this unit."""


# Unicode's Sentence_Terminal characters of the scripts people chat in (UAX #29); those of scripts that write no space
# behind them end a sentence within a run of text as well.
_SENTENCE_MARKS = ".!?…‽؟۔।॥։።፧။។៕෴"
_UNSPACED_SENTENCE_MARKS = "。！？．｡"
_CLAUSE_MARKS = ",;:،؛፣"
_UNSPACED_CLAUSE_MARKS = "，、；：､"
_DASHES = frozenset({"-", "–", "—", "--", "―"})
_CLOSERS = "\"'”’»›)]}」』】）］〉》"

# What ends in a dot without ending a sentence, in lower case. Single letters and dotted forms (e.g., U.S., z.B., т.е.)
# are told by their shape.
_BEFORE_A_WORD = """
    mr mrs ms mx dr prof rev hon gen col capt lt sgt st mt approx dept vs cf incl resp
    bzw ggf evtl str hr fr bspw vgl mme mlle sra srta dra ud uds ул др см проф
"""
_BEFORE_A_NUMBER = "no nos vol pp fig eq ch sec nr abs núm pág рис стр"
_WITHIN_A_SENTENCE = "etc inc ltd co corp jr sr usw тыс млн млрд руб a.m p.m"
_ALWAYS_SHORT = frozenset(_BEFORE_A_WORD.split())
_SHORT_BEFORE_NUMBERS = frozenset(_BEFORE_A_NUMBER.split())
_SHORT_BEFORE_LOWER_CASE = frozenset(_WITHIN_A_SENTENCE.split())
_DOTTED = re.compile(r"(?:\w\.)+")
_ORDINAL = re.compile(r"[0-9]{1,2}\.")


def split(text: str, limit: int) -> list[str]:
    """Return `text` in pieces of at most `limit` characters, spaces folded; the empty list where there is no word.

    Each piece is as long as the best border in reach allows. `" ".join` of the pieces is the folded text again unless a
    word alone was longer than the limit. Raises `ValueError` for a limit below 1.
    """
    if limit < 1:
        raise ValueError("a piece holds at least one character")
    whole = " ".join(text.split())
    if len(whole) <= limit:
        return [whole] if whole else []
    units = _units(whole.split(), limit)
    pieces: list[str] = []
    start = 0
    while start < len(units):
        end = _cut(units, start, limit)
        first, *others = units[start:end]
        pieces.append(first.text + "".join(unit.glue + unit.text for unit in others))
        start = end
    return pieces


def _cut(units: list[_Unit], start: int, limit: int) -> int:
    """Return the index behind the last unit of the piece that begins at `start`.

    Looks at each unit at most once for each of the four kinds of border, so all cuts together take linear time.
    """
    length = len(units[start].text)
    best = start
    end = start + 1
    while end < len(units):
        length += len(units[end].glue) + len(units[end].text)
        if length > limit:
            return best + 1
        if units[end].border >= units[best].border:
            best = end
        end += 1
    return end


def _units(words: list[str], limit: int) -> list[_Unit]:
    units: list[_Unit] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        border = _border_behind(word, following)
        if len(word) <= limit:
            units.append(_Unit(word, " ", border))
        else:
            units += _units_of_word(word, limit, border)
    return units


def _units_of_word(word: str, limit: int, border: _Border) -> list[_Unit]:
    clusters = [cluster[at : at + limit] for cluster in iter_graphemes(word) for at in range(0, len(cluster), limit)]
    units: list[_Unit] = []
    for cluster, following in zip(clusters, [*clusters[1:], ""], strict=True):
        inner = border if not following else _border_inside(cluster, following)
        if inner is _Border.CLUSTER and units and cluster in _CLOSERS:
            # 「…。」 is cut behind its bracket, not before it.
            inner = units[-1].border
            units[-1] = _Unit(units[-1].text, units[-1].glue, _Border.CLUSTER)
        units.append(_Unit(cluster, "" if units else " ", inner))
    return units


def _border_inside(cluster: str, following: str) -> _Border:
    if cluster in _UNSPACED_SENTENCE_MARKS and following not in _UNSPACED_SENTENCE_MARKS:
        return _Border.SENTENCE
    if cluster in _UNSPACED_CLAUSE_MARKS:
        return _Border.CLAUSE
    return _Border.CLUSTER


def _border_behind(word: str, following: str) -> _Border:
    bare = word.rstrip(_CLOSERS)
    last = bare[-1:]
    if not last:
        return _Border.CLAUSE
    if last in _SENTENCE_MARKS or last in _UNSPACED_SENTENCE_MARKS:
        return _Border.SPACE if last == "." and _is_short(bare, following) else _Border.SENTENCE
    if last in _CLAUSE_MARKS or last in _UNSPACED_CLAUSE_MARKS or word in _DASHES or len(bare) < len(word):
        return _Border.CLAUSE
    return _Border.SPACE


def _is_short(word: str, following: str) -> bool:
    """Whether the dot of `word` is part of it, and no end of a sentence, with `following` behind it."""
    word = word.lstrip("\"'“‘«([{")
    bare = word[:-1].lower()
    if bare in _SHORT_BEFORE_NUMBERS:
        return following[:1].isdigit()
    if bare in _SHORT_BEFORE_LOWER_CASE:
        return not following[:1].isupper()
    return bare in _ALWAYS_SHORT or _DOTTED.fullmatch(word) is not None or _ORDINAL.fullmatch(word) is not None
