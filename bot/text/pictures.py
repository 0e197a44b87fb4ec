"""Pictures are shown, not said: an emoji goes, and the words around it stay as far apart as they were.

Which characters are pictures is what the `emoji` package knows; the package itself would take 3 MB, so what is used of
it stands here, and a test holds it against the package. What that counts among the pictures although people write it as
a sign or a letter stays: `©`, `®`, `™`, `‼`, `⁉` always, and `Ⓜ`, `🅰`, `㊗` and their like where nothing asks for the
picture of them (U+FE0F). A digit, `#` and `*` are pictures only as keycaps. Linear time: a picture is a class followed
by bounded parts, and what joins two of them stands between them.
"""

import re

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

_KNOWN = (
    "\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa\u25aa\u25ab\u25b6"
    "\u25c0\u25fb-\u25fe\u2600-\u2604\u260e\u2611\u2614\u2615\u2618\u261d\u2620\u2622\u2623\u2626\u262a"
    "\u262e\u262f\u2638-\u263a\u2640\u2642\u2648-\u2653\u265f\u2660\u2663\u2665\u2666\u2668\u267b\u267e\u267f"
    "\u2692-\u2697\u2699\u269b\u269c\u26a0\u26a1\u26a7\u26aa\u26ab\u26b0\u26b1\u26bd\u26be\u26c4\u26c5\u26c8"
    "\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd\u2702\u2705\u2708-\u270d"
    "\u270f\u2712\u2714\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757"
    "\u2763\u2764\u2795-\u2797\u27a1\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d"
    "\U0001f18e\U0001f191-\U0001f19a\U0001f201\U0001f202\U0001f21a\U0001f22f\U0001f232-\U0001f23a"
    "\U0001f250\U0001f251"
)
"""The characters besides that begin a picture of the `emoji` package."""

_FLAGS = """
    AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CP CQ CR CU CV CW CX CY CZ DE DG DJ DK DM DO DZ EA EC EE EG EH ER ES ET
    EU FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU IC ID IE IL IM
    IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF
    MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK
    PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC
    TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM UN US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
"""Whose letters the package has as a flag."""

_COUNTRIES = frozenset(_FLAGS.split())

_BASE = f"(?:[{_NEWER}{_KNOWN}][\ufe0e\ufe0f]?|[{_LETTERS_TOO}]\ufe0f)"
_ONE = f"{_BASE}[{_TONES}]?[{_TAGS}]{{0,30}}(?:\u200d{_BASE}[{_TONES}]?)*+"
_PICTURE = f"(?:{_ONE}|[{_KEYCAP_BASES}]\ufe0f?\u20e3|[{_FLAG_LETTERS}]{{2}})"
_BLOCKS = "\u2139-\u2bff\u3030-\u303d\u3297\u3299\U0001f000-\U0001faff"
# Most messages, of any script, are found to have no picture at once, and most characters to begin none.
_IS_POSSIBLE = re.compile(f"[\u20e3{_BLOCKS}]")
_PICTURES = re.compile(f"(?=[{_KEYCAP_BASES}{_BLOCKS}])(?:{_PICTURE}[ \t]*+)++")
_DROP_SPACE = "\0"
_FLAG_OFFSET = ord("\U0001f1e6") - ord("A")
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
    if rest := "".join(pair for pair in _FLAG.findall(match[0]) if _country(pair) not in _COUNTRIES):
        return rest + " " * is_trailed
    if is_led:
        return _DROP_SPACE if not is_trailed and _CLOSING.match(match.string, match.end()) else ""
    if is_trailed:
        return "" if _is_opening(match.string[max(0, match.start() - _MAX_OPENING) : match.start()]) else " "
    return " " if is_word_char(before) and is_word_char(after) else ""


def _country(flag: str) -> str:
    return "".join(chr(ord(letter) - _FLAG_OFFSET) for letter in flag)


def _is_opening(before: str) -> bool:
    """Whether what stands before belongs to what follows: nothing does, or marks behind a blank."""
    head = before.rstrip(_OPENING + "\"'")
    return not before or (before[-1] in _OPENING and (not head or head[-1].isspace()))
