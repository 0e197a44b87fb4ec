"""Pictures are shown, not said: an emoji goes, and the words around it stay as far apart as they were.

Which characters are pictures is what the `emoji` package knows. What it counts among them although people write it as
a sign or a letter stays: `©`, `®`, `™`, `‼`, `⁉` always, and `Ⓜ`, `🅰`, `㊗` and their like where nothing asks for the
picture of them (U+FE0F). A digit, `#` and `*` are pictures only as keycaps. Linear time: a picture is a class followed
by bounded parts, and what joins two of them stands between them.
"""

import re

from emoji import EMOJI_DATA

from bot.text.characters import around, is_word_char

_SIGNS = "©®™‼⁉"
_LETTERS_TOO = "Ⓜ🅰🅱🅾🅿㊗㊙"
_KEYCAP_BASES = "0123456789#*"
_FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"
_TONES = "\U0001f3fb-\U0001f3ff"
_TAGS = "\U000e0020-\U000e007f"
# Blocks that hold nothing but pictures, for those which are newer than the package: mahjong, dominoes and cards; and
# from the pictographs to their second extension.
_NEWER = "\U0001f000-\U0001f0ff\U0001f300-\U0001faff"

_KNOWN = "".join(
    sorted(
        {
            picture[0]
            for picture in EMOJI_DATA
            if not re.match(f"[{_SIGNS}{_LETTERS_TOO}{_KEYCAP_BASES}{_FLAG_LETTERS}{_NEWER}]", picture)
        }
    )
)
_BASE = f"(?:[{_NEWER}{_KNOWN}][\ufe0e\ufe0f]?|[{_LETTERS_TOO}]\ufe0f)"
_ONE = f"{_BASE}[{_TONES}]?[{_TAGS}]{{0,30}}(?:\u200d{_BASE}[{_TONES}]?)*+"
_PICTURE = f"(?:{_ONE}|[{_KEYCAP_BASES}]\ufe0f?\u20e3|[{_FLAG_LETTERS}]{{2}})"
_BLOCKS = "\u2139-\u2bff\u3030-\u303d\u3297\u3299\U0001f000-\U0001faff"
# Most messages, of any script, are found to have no picture at once, and most characters to begin none.
_IS_POSSIBLE = re.compile(f"[\u20e3{_BLOCKS}]")
_PICTURES = re.compile(f"(?=[{_KEYCAP_BASES}{_BLOCKS}])(?:{_PICTURE}[ \t]*+)++")
_DROP_SPACE = "\0"
_FLAG = re.compile(f"[{_FLAG_LETTERS}]{{2}}")
_CLOSING = re.compile("[.,!?;:…)\\]}'\"。，！？；：、’”»]|[*_~|`]{1,3}+(?!\\w)|\\Z")
_OPENING = "([{¿¡‘“«*_~|`"
_MAX_OPENING = 8
"""Marks before a picture that are looked at."""


def without_pictures(text: str) -> str:
    """Return `text` without its emoji. Letters of flags that are no country's stay."""
    if not _IS_POSSIBLE.search(text):
        return text
    text = _PICTURES.sub(_nothing, text)
    return text.replace(f" {_DROP_SPACE}", "").replace(_DROP_SPACE, "")


def _nothing(match: re.Match[str]) -> str:
    before, after = around(match)
    is_led, is_trailed = before in (" ", "\t"), match[0][-1] in " \t"
    if rest := "".join(pair for pair in _FLAG.findall(match[0]) if pair not in EMOJI_DATA):
        return rest + " " * is_trailed
    if is_led:
        return _DROP_SPACE if not is_trailed and _CLOSING.match(match.string, match.end()) else ""
    if is_trailed:
        return "" if _is_opening(match.string[max(0, match.start() - _MAX_OPENING) : match.start()]) else " "
    return " " if is_word_char(before) and is_word_char(after) else ""


def _is_opening(before: str) -> bool:
    """Whether what stands before belongs to what follows: nothing does, or marks behind a blank."""
    head = before.rstrip(_OPENING + "\"'")
    return not before or (before[-1] in _OPENING and (not head or head[-1].isspace()))
