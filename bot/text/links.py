"""Addresses become "a link": nobody wants to hear one spelled.

Only what is surely an address is taken; `Node.js`, `e.g.` and e-mail addresses stay words. Linear time: every pattern
starts at a marker (`](`, `://`, `www.`, the start of a dotted name) and runs over a class that can be split in one way
only.
"""

import re
import unicodedata

from bot.text.characters import around, is_word_char
from bot.text.markup import LINK, pad_with_spaces

# Scripts written without spaces, their punctuation and the full-width forms: the sentence may go on right after an
# address, so an address ends where they begin. Thai to Myanmar, Khmer, CJK, kana, Hangul.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
    "\U00020000-\U0003ffff"
)
_IN_ADDRESS = rf"[^\s<>\"`|{_UNSPACED}]"

_MASKED = re.compile(
    r"!?\[([^\[\]]*+)\]\(\s{0,3}<?(?:[a-z][a-z0-9+.-]{1,30}:|www\.|\.{0,2}/|\#)(?:[^()\s]|\([^()\s]*+\))*+"
    r"(?:(?:\s{1,3}(?:\"[^\"()]*+\"|'[^'()]*+'))?\s{0,3}\)|(?!\S))",
    re.IGNORECASE,
)
_WITH_SCHEME = re.compile(rf"([a-z][a-z0-9]{{1,15}})://({_IN_ADDRESS}++)", re.IGNORECASE)
_WEB_SCHEME = re.compile(r"(?:https?|ftp)$", re.IGNORECASE)
_WITH_WWW = re.compile(rf"(?<![\w@.])www\.({_IN_ADDRESS}++)", re.IGNORECASE)
_DOTTED = re.compile(rf"(?<![A-Za-z0-9_@./\\-])([a-z0-9-]++(?:\.[a-z0-9-]++)++)((?:[:/?#]{_IN_ADDRESS}*+)?)")

# A name that ends like this is an address by itself, in lower case: people write the company as "Booking.com".
_SURE_ENDINGS = frozenset({"com", "edu", "gov", "org"})
# These are words, terms or file names too (asp.net, socket.io, main.rs), so they need a path behind them.
_COUNTRIES_AND_FASHIONS = """
    ai app at au be biz br ca cc ch cn co cz de dev dk es eu fi fr gg gl hu ie in info int io ir is it jp kr live ly me
    mx net nl no nz online pl pt ro ru se sh site sk st store tech to tr tv tw ua uk us xyz za
"""
_ENDINGS_WITH_PATH = _SURE_ENDINGS | frozenset(_COUNTRIES_AND_FASHIONS.split())


def unwrap_masked_links(text: str) -> str:
    """`[the plan](https://example.com)` becomes `the plan`, also where its address breaks off."""
    return _MASKED.sub(lambda match: match[1] if match[1].strip() else pad_with_spaces(match, LINK), text)


def replace_addresses(text: str) -> str:
    """Return `text` with `a link` in place of each address."""
    if "://" in text:
        text = _WITH_SCHEME.sub(_with_scheme, text)
    if "www." in text.lower():
        text = _WITH_WWW.sub(lambda match: _address(match, match[1]), text)
    if "." in text:
        text = _DOTTED.sub(_dotted, text)
    return text


def _with_scheme(match: re.Match[str]) -> str:
    # In "seehttps://..." the word grew together with the address: it is not part of the scheme.
    web = _WEB_SCHEME.search(match[1])
    word = match[1][: web.start()] + " " if web and web.start() else ""
    return word + _address(match, match[2])


def _address(match: re.Match[str], address: str) -> str:
    end = _without_last_marks(address)
    return _link(match, address[end:]) if end else match[0]


def _link(match: re.Match[str], marks: str) -> str:
    """`a link` for a match that ends in `marks` of the sentence around it."""
    words = pad_with_spaces(match, LINK)
    return words.rstrip(" ") + marks if marks else words


def _dotted(match: re.Match[str]) -> str:
    host, rest = match[1], match[2]
    before, after = around(match)
    ending = host.rpartition(".")[2]
    sure = ending in _ENDINGS_WITH_PATH and len(rest) > 1 and rest[0] in "/:" and is_word_char(rest[1])
    if is_word_char(before) or after == "@" or not (sure or ending in _SURE_ENDINGS):
        return match[0]
    if not rest and (is_word_char(after) or after in ("_", "-")) and not re.match(f"[{_UNSPACED}]", after):
        return match[0]
    return _link(match, rest[_without_last_marks(rest) :])


def _without_last_marks(address: str) -> int:
    """Return where the address ends and the punctuation of the sentence begins."""
    end = len(address)
    spare = address.count(")") - address.count("(")  # Foo_(bar) keeps its bracket, (see Foo) does not
    while end:
        last = address[end - 1]
        if last == ")":
            if spare <= 0:
                break
            spare -= 1
        elif not (last in "*_~'" or (unicodedata.category(last)[0] == "P" and last not in "/-&#%@")):
            break
        end -= 1
    return end
