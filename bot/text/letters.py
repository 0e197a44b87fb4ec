"""Letters and digits in fancy dress become ordinary ones: `𝓗𝓮𝓵𝓵𝓸`, `Ｈｅｌｌｏ` and `Ⓐⓑⓒ` are words to people, not to
voices.

Only what Unicode calls a compatibility form of Latin or Greek letters and of digits, and the black circles and squares
that it forgot. What other scripts write stays as it is, half-width kana, conjoining Hangul and Arabic presentation
forms included: voices of those languages know them. So do signs that mean more than their letters (`²`, `½`, `™`, `№`,
`℃`).
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

_BLOCKS = (
    (0x0100, 0x024F),  # digraphs, the long s
    (0x03D0, 0x03F5),  # Greek symbols
    (0x2102, 0x2188),  # letterlike symbols (the letters among them), Roman numerals
    (0x2460, 0x24FF),  # in circles, in brackets, with a full stop
    (0x2776, 0x2793),  # digits in black circles
    (0x3250, 0x32FE),  # numbers and Latin letters in circles
    (0x3371, 0x33FF),  # units in squares
    (0xFB00, 0xFB06),  # ligatures
    (0xFF10, 0xFF19),  # full width
    (0xFF21, 0xFF3A),
    (0xFF41, 0xFF5A),
    (0x1D400, 0x1D7FF),  # mathematical
    (0x1F100, 0x1F18F),  # in squares, in brackets, in black circles
)
_SUPERSCRIPTS = ((0x02B0, 0x02E3), (0x1D2C, 0x1D6A), (0x1D9B, 0x1DBF), (0x2071, 0x207F))
_BLACK = (0x1F150, 0x1F170, 0x1F1E6)
"""Where the letters in black circles, in black squares, and of flags begin, each from A to Z."""

_MEANS_MORE = frozenset(["<super>", "<sub>", "<fraction>"])
_ORDINARY = re.compile("[A-Za-z\u00c0-\u024f\u0391-\u03c90-9²³]+[.,]?|[ap]\\.m\\.")


def _ordinary(form: str) -> str:
    """What `form` stands for; the empty string where that is nothing ordinary."""
    if form <= "\u214f" and not form.isalpha():
        return ""  # №, ℡
    tag, _, points = unicodedata.decomposition(form).partition(" ")
    if not tag.startswith("<") or tag in _MEANS_MORE:
        number = unicodedata.numeric(form, -1)  # digits in black or double circles have no decomposition
        return str(int(number)) if 0x2460 <= ord(form) <= 0x2793 and number >= 0 else ""
    letters = "".join(_ordinary(letter) or letter for letter in (chr(int(point, 16)) for point in points.split()))
    letters = letters.removeprefix("(").removesuffix(")").removeprefix("〔").removesuffix("〕")
    return letters if _ORDINARY.fullmatch(letters) else ""


def _forms(*blocks: tuple[int, int]) -> Iterator[str]:
    return (chr(point) for first, last in blocks for point in range(first, last + 1))


@cache
def _letters() -> dict[int, str]:
    letters = {ord(form): ordinary for form in _forms(*_BLOCKS) if (ordinary := _ordinary(form))}
    return letters | {first + place: chr(ord("A") + place) for first in _BLACK for place in range(26)}


_IN_BLOCKS = re.compile(
    f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in (*_BLOCKS, *_SUPERSCRIPTS))}\U0001f1e6-\U0001f1ff]"
)
"""A few ranges: what most messages of any script are found to have none of, at once."""

_RAISED = {
    ord(form): chr(int(point, 16))
    for form in _forms(*_SUPERSCRIPTS)
    for tag, _, point in (unicodedata.decomposition(form).partition(" "),)
    if tag == "<super>" and re.fullmatch("[A-Za-z]", chr(int(point, 16)))
}
_RAISED_RUN = re.compile(f"[{''.join(map(chr, _RAISED))}]{{2,}}")


def with_ordinary_letters(text: str) -> str:
    """Return `text` with ordinary letters and digits in place of their compatibility forms.

    Raised letters count from two on: `ᵗʰ` is the end of a word or small writing, one alone is an exponent or a sound.
    """
    if not _IN_BLOCKS.search(text):
        return text
    return _RAISED_RUN.sub(lambda match: match[0].translate(_RAISED), text.translate(_letters()))
