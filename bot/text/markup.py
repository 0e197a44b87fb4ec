"""Takes the markup of chat platforms off the words: mentions, custom emoji, code, lists, tables, emphasis.

The forms of Discord and Slack are told apart by their shape alone, so one set of rules serves every platform. Linear
time: each pattern is anchored at a delimiter, stops at the next delimiter of its kind, and repeats nothing ambiguous.
"""

import re
from collections.abc import Mapping

from bot.text.characters import around, is_word_char

SOMEONE = "someone"
EVERYONE = "everyone"
_GROUP = "a group"
_CHANNEL = "a channel"
_CODE = "some code"
_TIME = "a time"
LINK = "a link"

_MAX_INLINE_CODE_LENGTH = 60
"""Characters. Up to here inline code is mostly a name or a command that belongs to the sentence."""

_TOKEN = re.compile(r"<([^<>\n]+)>")
_MENTION = re.compile(r"@[!&]?\w+")
_CHANNEL_MENTION = re.compile(r"#\w+")
_CUSTOM_EMOJI = re.compile(r"a?:(\w+):\d+")
_TIMESTAMP = re.compile(r"t:-?\d+(?::\w)?")
_SLASH_COMMAND = re.compile(r"/([^:]+):\d+")
_GUILD_PAGE = re.compile(r"id:(?:browse|customize|guide|home|linked-roles)(?::\d+)?")
_WEB_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)
_DIRECT_ADDRESS = re.compile(r"(?:mailto|tel|sms|sip):(\S+)", re.IGNORECASE)

_SHORTCODE = re.compile(r"(?<!\w):([A-Za-z0-9_+'-]{2,64}):(?::skin-tone-[2-6]:)?(?!\w|//)")
_SHORTCODE_WORDS = {"+1": "thumbs up", "-1": "thumbs down"}

_INLINE_CODE = re.compile(r"(?<!\w)(`{1,2})([^`\n]+)\1")
_BACKTICKS = re.compile(r"`+")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_AT = re.compile(r"(?<![\w@])@++(?=\w)")
_EVERYONE = re.compile(r"(?<![\w@])@(?:everyone|here|channel)(?!\w)")
# Headings, subtext, quotes and bullets, nested or not. Slack quotes need no space after their sign.
_BLOCK_MARKS = re.compile(r"^[ \t]*+(?:(?:#{1,3}|-#|[-*•◦▪])[ \t]++|>{1,3}(?:[ \t]++|(?=[^\W\d])))++", re.MULTILINE)
_ROW = re.compile(r"\|(?!\|).*(?<!\|)\|")
_RULE = re.compile(r"^[ \t]*+([-=_*])\1\1++[ \t]*+$", re.MULTILINE)
_EMPHASIS = re.compile("[*_~|]+")


def put_names(text: str, names: Mapping[str, str]) -> str:
    """Replace the tokens in `names` by what they stand for. `names` must be speakable themselves."""

    def name(match: re.Match[str]) -> str:
        body = match[1].partition("|")[0]
        for token in (match[0], f"<{body}>", f"<{body.replace('!', '', 1)}>"):
            if token in names:
                return pad_with_spaces(match, names[token] or SOMEONE)
        return match[0]

    text = _TOKEN.sub(name, text)
    others = [token for token in names if token and not _TOKEN.fullmatch(token)]
    if others:
        longest_first = sorted(others, key=len, reverse=True)
        pattern = "|".join(map(re.escape, longest_first))
        text = re.sub(pattern, lambda match: pad_with_spaces(match, names[match[0]] or SOMEONE), text)
    return text


def pad_with_spaces(match: re.Match[str], words: str, seams: str = "<>") -> str:
    """Return `words` for a match, with a space where it would otherwise grow together with a word or another token."""
    before, after = around(match)
    left = " " if is_word_char(before) or (before and before in seams) else ""
    right = " " if is_word_char(after) or (after and after in seams) else ""
    return f"{left}{words}{right}"


def replace_code(text: str) -> str:
    """Fenced blocks become words for code, short inline code its own words; a fence nobody closed is no fence."""
    parts = text.split("```")
    if len(parts) % 2 == 0:  # the last fence is open
        parts[-2:] = [f"{parts[-2]} {parts[-1]}"]
    parts[1::2] = [f" {_CODE} " if part.strip() else " " for part in parts[1::2]]
    return _BACKTICKS.sub(_stray_backticks, _INLINE_CODE.sub(_inline_code, "".join(parts)))


def replace_tokens(text: str) -> str:
    """What stands in angle brackets becomes words: mentions nobody named, custom emoji, times, commands, links."""
    return _TOKEN.sub(_token, text)


def replace_shortcodes(text: str) -> str:
    """`:thumbs_up:` becomes `thumbs up`."""
    return _SHORTCODE.sub(_shortcode, text)


def replace_at_signs(text: str) -> str:
    """`@everyone` and `@here` become a word, `@ana` becomes `ana`; addresses and prices keep theirs."""
    return _AT.sub("", _EVERYONE.sub(EVERYONE, text))


def unescape(text: str) -> str:
    """Markdown's `\\*` becomes `*`."""
    return _ESCAPE.sub(r"\1", text)


def unwrap_blocks(text: str) -> str:
    """Take the marks of headings, quotes and lists from the starts of lines, and lines that only draw a rule."""
    return _BLOCK_MARKS.sub("", _RULE.sub("", text))


def unwrap_tables(text: str) -> str:
    """`| Berlin | 3.7 |` becomes `Berlin, 3.7.`, and the line that parts a table from its head goes."""
    return "\n".join(_row(line) if "|" in line else line for line in text.split("\n"))


def unwrap_emphasis(text: str) -> str:
    """Drop marks of emphasis where they touch a word, paired or not.

    They stay where they stand for something: `2 * 3`, `2*3`, `snake_case`, `~5 minutes`.
    """
    return _EMPHASIS.sub(_emphasis, text)


def _token(match: re.Match[str]) -> str:
    body, _, label = match[1].partition("|")
    label = label.strip()
    words = _mention_words(body, label) or _other_words(body, label)
    return match[0] if words is None else pad_with_spaces(match, words)


def _mention_words(body: str, label: str) -> str | None:
    if _MENTION.fullmatch(body):
        return label.lstrip("@") or (_GROUP if body.startswith("@&") else SOMEONE)
    if _CHANNEL_MENTION.fullmatch(body):
        return label.lstrip("#") or _CHANNEL
    if body in ("!here", "!channel", "!everyone"):
        return EVERYONE
    if body.startswith("!subteam^"):
        return label.lstrip("@") or _GROUP
    if body.startswith("!date^"):
        return label or _TIME
    return None


def _other_words(body: str, label: str) -> str | None:
    if emoji := _CUSTOM_EMOJI.fullmatch(body):
        return _emoji_words(emoji[1])
    if _TIMESTAMP.fullmatch(body):
        return _TIME
    if command := _SLASH_COMMAND.fullmatch(body):
        return command[1]
    if _GUILD_PAGE.fullmatch(body):
        return _CHANNEL
    if direct := _DIRECT_ADDRESS.fullmatch(body):
        return label or direct[1]
    if _WEB_ADDRESS.fullmatch(body):
        return label or LINK
    return None


def _emoji_words(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").split()) or "an emoji"


def _shortcode(match: re.Match[str]) -> str:
    name = match[1]
    if name in _SHORTCODE_WORDS:
        return pad_with_spaces(match, _SHORTCODE_WORDS[name], ":")
    if not any(map(str.isalpha, name)):
        return match[0]
    return pad_with_spaces(match, _emoji_words(name), ":")


def _inline_code(match: re.Match[str]) -> str:
    return match[2] if len(match[2]) <= _MAX_INLINE_CODE_LENGTH else _CODE


def _row(line: str) -> str:
    bare = line.strip()
    if not bare.strip(" \t|:-"):
        return ""
    if not _ROW.fullmatch(bare):
        return line
    row = ", ".join(filter(None, map(str.strip, bare.split("|"))))
    return f"{row}." if is_word_char(row[-1]) else row


def _stray_backticks(match: re.Match[str]) -> str:
    before, after = around(match)
    return "'" if before.isalpha() and after.isalpha() else ""  # many keyboards type don`t


def _emphasis(match: re.Match[str]) -> str:
    run = match[0]
    before, after = around(match)
    if is_word_char(before) and is_word_char(after):
        if run == "_" or (run.strip("*") == "" and before.isdigit() and after.isdigit()):
            return run
        if run == "~" and after.isdigit():
            return run
        return " " if "|" in run or "_" in run else ""
    if run == "*" and before.isspace() and after.isspace():
        return run
    if run == "~" and after.isdigit():
        return run
    return ""
