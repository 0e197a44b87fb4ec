"""Turns a chat message into what can be said aloud.

Cleaning a cleaned text changes nothing. That is so by construction: the rules run until they change nothing, and a
text made to need more rounds than a person's does has its signs taken away instead. Each round is linear in the length
of the text and their number is bounded, so hostile text costs no more than its length.
"""

import re
from collections.abc import Mapping

from bot.text.characters import is_speakable, tidy
from bot.text.letters import with_ordinary_letters
from bot.text.links import replace_addresses, unwrap_masked_links
from bot.text.markup import (
    put_names,
    replace_at_signs,
    replace_code,
    replace_shortcodes,
    replace_tokens,
    unescape,
    unwrap_blocks,
    unwrap_emphasis,
    unwrap_tables,
)
from bot.text.pictures import without_pictures
from bot.text.repeats import shorten_phrases, shorten_runs
from bot.text.spoilers import hide_spoilers

_ROUNDS = 5
"""One does the work and one sees that it is done; nested markup takes one or two more."""

_SIGNS = re.compile(r"[\"-&(-+/:-@\[-`{-~-]")


def make_speakable(text: str, names: Mapping[str, str] = {}) -> str:
    """Return what of `text` can be said, on one line, or the empty string where nothing can.

    Mentions, custom emoji, links, code and times become words, what is hidden becomes `spoiler`, letters in fancy dress
    become ordinary ones; markup, pictures and invisible characters go, runs are shortened.

    text: the message as the platform gives it; where the platform escapes `&`, `<` and `>`, already decoded.
    names: display names by raw token, such as `{"<@123>": "Ana", "<#55>": "general"}`.
    """
    if names:
        text = put_names(text, {token: make_speakable(name) for token, name in names.items()})
    for _ in range(_ROUNDS):
        before, text = text, _clean(text)
        if text == before:
            return text
    return _clean(_clean(_SIGNS.sub(" ", text)))


def _clean(text: str) -> str:
    if "|" in text:
        text = hide_spoilers(text)
    if not text.isascii():
        text = with_ordinary_letters(without_pictures(text))
    text = tidy(text)
    if "`" in text:
        text = replace_code(text)
    if "](" in text:
        text = unwrap_masked_links(text)
    if "<" in text:
        text = replace_tokens(text)
    text = replace_addresses(shorten_runs(text))
    if ":" in text:
        text = replace_shortcodes(text)
    if "@" in text:
        text = replace_at_signs(text)
    if "\\" in text:
        text = unescape(text)
    if "|" in text:
        text = unwrap_tables(text)
    text = unwrap_emphasis(unwrap_blocks(text))
    text = " ".join(shorten_phrases(text.split()))
    return text if is_speakable(text) else ""
