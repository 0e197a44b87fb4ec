"""What somebody hid stays hidden: `||the butler||` is said as `spoiler`, and captions, panels and logs say no more.

The rule is Discord's, on every platform: a pair of bars hides everything between them, over lines and other markup, and
a bar without a partner hides nothing. Code and escaped bars are shown, so they hide nothing either; in doubt it is
hidden. No bar is left where one of those stood, since none is ever said and two could make a pair.
"""

import re

from bot.text.markup import pad_with_spaces

SPOILER = "spoiler"
_FENCE = "```"
_OPENER = re.compile(r"\|\||```")
_OPEN_LINK = re.compile(r"!?\[([^\[\]]*+)(?:\]\([^()\s]*+)?$")

_SHOWN_OR_HIDDEN = re.compile(
    r"\\[\\|`]"
    r"|```[\s\S]+?```"
    r"|(?<!\w)(`{1,2})[^`\n]+\1"
    r"|\|\|(?P<hidden>[\s\S]+?)\|\|"
)


def hide_spoilers(text: str) -> str:
    """Return `text` with `spoiler` in place of each thing that is hidden."""
    return _SHOWN_OR_HIDDEN.sub(_hide, text)


def mask_spoilers(text: str) -> str:
    """The same for what is shown where nothing can be hidden; code stays as it is."""
    return _SHOWN_OR_HIDDEN.sub(lambda match: match[0] if match["hidden"] is None else _hide(match), text)


def close_open_markup(text: str) -> str:
    """Return `text`, which broke off, with what it breaks off in closed: what was to be hidden is hidden, code is code,
    and a link has only its label."""
    opened = _find_open(text)
    if opened is None:
        return _OPEN_LINK.sub(r"\1", text)
    if opened[0] == _FENCE:
        return f"{text}\n{_FENCE}"
    before, hidden = text[: opened.start()], text[opened.end() :].strip("|\\ \t\n")
    return f"{before}||{hidden}||" if hidden else before.rstrip()


def _find_open(text: str) -> re.Match[str] | None:
    """The first bars or fence that nothing closes: everything behind it may be inside."""
    at = 0
    for match in _SHOWN_OR_HIDDEN.finditer(text):
        if opened := _OPENER.search(text, at, match.start()):
            return opened
        at = match.end()
    return _OPENER.search(text, at)


def _hide(match: re.Match[str]) -> str:
    if match["hidden"] is None:
        return match[0] if match[0] == r"\\" else match[0].replace(r"\|", " ").replace("|", " ")
    return pad_with_spaces(match, SPOILER, "|") if match["hidden"].strip(" \t\n|") else " "
