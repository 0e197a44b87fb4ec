"""Which characters of a message exist for speech: no controls, no invisible junk, one Unicode form.

Joiners stay where they shape Persian and Indic words. Every pattern here is a character class or a class followed by a
bounded part, so the work grows with the length of the text.
"""

import re
import unicodedata

# Controls, bidi marks and overrides, zero-width and filler characters, variation selectors that change no emoji,
# private use, surrogates, noncharacters. What pictures are made of besides (VS15, VS16, tags) follows, and joiners are
# judged by their neighbours.
_JUNK = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\uffa0\ufff0-\uffff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U0010ffff]+"
)
_NEW_LINE = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_REMAINS = re.compile("[\ufe0e\ufe0f\U000e0020-\U000e007f]+")
_JOINERS = re.compile("[\u200c\u200d]+")
# Arabic, Syriac, the Indic blocks to Sinhala, Myanmar, Khmer: where a joiner or non-joiner is spelling, not junk.
_JOINING = re.compile(
    "[\u0600-\u07bf\u0840-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc]"
)
_MAX_MARKS = 30
"""Marks on one character: the limit of the Stream-Safe Text Format (UAX #15, section 13). No language comes near it,
and normalisation takes quadratic time over longer runs."""


def tidy(text: str) -> str:
    """Return `text` in NFC without what cannot be heard; line ends become `\\n`, nothing else about spaces changes."""
    if text.isascii() and text.isprintable():
        return text
    text = _NEW_LINE.sub("\n", _JUNK.sub("", text))
    if text.isascii():
        return text
    text = _JOINERS.sub(_joiner, _REMAINS.sub("", text.replace("\u2800", " ")))
    return unicodedata.normalize("NFC", _with_bounded_marks(text))


def is_word_char(character: str) -> bool:
    """Whether the character can be part of a word: a letter, a digit, or a mark on one. False for the empty string."""
    return character.isalnum() or (character > "\x7f" and unicodedata.category(character)[0] == "M")


def is_speakable(text: str) -> bool:
    """Whether anything in `text` can be said: a letter or a digit."""
    return any(map(str.isalnum, text))


def around(match: re.Match[str]) -> tuple[str, str]:
    """Return the characters before and after a match, empty strings at the ends of the text."""
    start, end = match.span()
    return match.string[start - 1 : start] if start else "", match.string[end : end + 1]


def _joiner(match: re.Match[str]) -> str:
    before, after = around(match)
    if len(match[0]) > 1:
        return ""
    return match[0] if _JOINING.match(before) and _JOINING.match(after) else ""


def _with_bounded_marks(text: str) -> str:
    kept: list[str] = []
    marks = _MAX_MARKS  # a mark at the start has no character to stand on
    for character in text:
        if character > "\x7f" and unicodedata.category(character)[0] == "M":
            marks += 1
            if marks > _MAX_MARKS:
                continue
        else:
            marks = _MAX_MARKS if character.isspace() else 0
        kept.append(character)
    return "".join(kept)
