"""Slack's text, decoded once on the way in and escaped once on the way out (docs.slack.dev, formatting message text).

Pure text work: who a name belongs to is looked up by the caller. What is escaped here pings nobody."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from adapters.chat.slack.strings import SOMEBODY
from bot.commands.parser import ADMIN, AVATAR, Usage

ADMIN_WORD = "admin"
"""`@Avatar admin sessions` is `/avatar-admin sessions`."""


def command_line(words: str, usages: Mapping[tuple[str, str], Usage]) -> tuple[str, str] | None:
    """The command group and its line, where `words` are a command as `usages` has it; None for a chat message.

    `stop` is a command and `stop it` is talk: what has no argument is a command only when nothing or an option follows.
    A mention with nothing behind it asks for help.
    """
    verb, _, rest = words.strip().partition(" ")
    if verb.lower() == ADMIN_WORD:
        group, verb, rest, line = ADMIN, *_split(rest), rest.strip()
    else:
        group, line = AVATAR, words.strip()
    if not line:
        return (group, line) if group == AVATAR else None
    usage = usages.get((group, verb.lower()))
    if usage is None:
        return None
    names_option = any(rest.strip().startswith(f"{option}=") for option in (*usage.options, *usage.not_offered))
    if rest.strip() and not usage.argument and not names_option:
        return None
    return group, line


def is_to_be_said(command: tuple[str, str]) -> bool:
    """Whether the command, as `command_line` found it, has words for the avatar."""
    group, line = command
    return group == AVATAR and line.partition(" ")[0].lower() in ("say", "ask")


def _split(words: str) -> tuple[str, str]:
    verb, _, rest = words.strip().partition(" ")
    return verb, rest


_SPECIAL = re.compile(r"<([^<>]*)>")
"""Slack escapes every `<` and `>` that a person typed, so what is left of them is its own."""

_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_ENTITY = re.compile("|".join(_ENTITIES))
_BROADCASTS = ("here", "channel", "everyone")
_UNTOLD = "private channel"

_PICTURE_NAME = re.compile(r"(?<!\w)(?P<name>:[a-z0-9_+'-]+:)(?::skin-tone-[2-6]:)?(?!\w)")


@cache
def _pictures() -> dict[str, str]:
    """Slack delivers the pictures that every platform has by their names, which are mostly these. A workspace's own
    have a name and no character."""
    from emoji import EMOJI_DATA  # 3 MB, for whoever writes with pictures

    return {name: picture for picture, known in EMOJI_DATA.items() for name in (known["en"], *known.get("alias", ()))}


MAX_LOOKED_UP = 20
"""Names that are looked up for one message. Each may cost a call, of which Slack allows about a hundred a minute, and
what is written after it in the channel waits."""

NameOf = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Plain text in which mentions stand as bare tokens such as `<@U1>`, and what people call each of them."""

    text: str
    names: dict[str, str]


async def decode(raw: str, *, person: NameOf, group: NameOf) -> Decoded:
    """Read what Slack delivered. `person` and `group` give the name behind an id; what Slack names itself is not
    looked up, and whoever else is named after `MAX_LOOKED_UP` others is somebody."""
    names: dict[str, str] = {}
    looked_up = 0
    for kind, token, told in _mentions(raw):
        if token in names:
            continue
        if not told and looked_up < MAX_LOOKED_UP:
            looked_up += 1
            told = await (person if kind == "@" else group)(token[2:-1].rpartition("^")[2])
        names[token] = told or SOMEBODY
    return Decoded(_plain(raw), names)


def mentions(raw: str, user_id: str) -> bool:
    """Whether the text mentions this person or bot."""
    return any(token == f"<@{user_id}>" for _kind, token, _told in _mentions(raw))


def without_mention(raw: str, user_id: str) -> str:
    """The text without the first mention of the bot, which only says whom it is for; still as Slack wrote it."""
    return re.sub(rf"<@{re.escape(user_id)}(?:\|[^<>]*)?>[:,]?\s*", "", raw, count=1).strip()


def escape(text: str) -> str:
    """Write `text` so that Slack shows it as it stands: nothing in it is a link, a mention or an entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Undo `escape`, exactly once: `&amp;lt;` is `&lt;`."""
    return _ENTITY.sub(lambda found: _ENTITIES[found[0]], text)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, cut with an ellipsis; never within an entity."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    start = cut.rfind("&", max(0, len(cut) - 4))
    if start >= 0 and ";" not in cut[start:]:
        cut = cut[:start]
    return f"{cut}…"


def _plain(raw: str) -> str:
    """Tokens become bare ones, links what a person reads, and everything between them loses its entities and gets its
    pictures."""
    parts, last = [], 0
    for found in _SPECIAL.finditer(raw):
        parts += [_typed(raw[last : found.start()]), _shown(found[1])]
        last = found.end()
    return "".join([*parts, _typed(raw[last:])])


def _typed(text: str) -> str:
    """What a person typed, with the pictures in it as characters, as other platforms deliver them."""
    return _PICTURE_NAME.sub(_picture, unescape(text))


def _picture(match: re.Match[str]) -> str:
    name = match["name"]
    country = re.fullmatch(":flag-([a-z]{2}):", name)
    if country is not None:
        return "".join(chr(0x1F1E6 + ord(letter) - ord("a")) for letter in country[1])
    return _pictures().get(name) or _pictures().get(name.replace("-", "_")) or match[0]


def _shown(body: str) -> str:
    """What stands in the text for `<body>`."""
    reference, _, label = body.partition("|")
    if token := _token(reference):
        return token
    return unescape(label or reference.removeprefix("!").removeprefix("mailto:"))


def _mentions(raw: str) -> Iterator[tuple[str, str, str]]:
    """Each mention in the text: its kind (`@`, `#`, `!`), its token and the name that Slack gives, if any."""
    for found in _SPECIAL.finditer(raw):
        reference, _, label = found[1].partition("|")
        if not (token := _token(reference)):
            continue
        told = unescape(label).lstrip("@#")
        if reference[0] == "#":
            told = told or _UNTOLD
        elif reference[1:] in _BROADCASTS:
            told = reference[1:]
        yield reference[0], token, told


def _token(reference: str) -> str | None:
    """The bare token of a mention; None for links, dates and whatever else carries its own words."""
    is_mention = re.fullmatch(r"[@#][A-Z0-9]+|!subteam\^[A-Z0-9]+", reference)
    if is_mention or (reference[:1] == "!" and reference[1:] in _BROADCASTS):
        return f"<{reference}>"
    return None
