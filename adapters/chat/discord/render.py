"""How the core's words look on Discord: escaped, split to the 2,000 characters of a message, a panel as an embed.

Pure: no request is made here. Mentions in text cannot ping, since the client allows none; escaping keeps names and
quoted words from turning into formatting.
"""

import re
from collections.abc import Sequence

import discord

from bot import sentences
from bot.core.views import Reply
from bot.sessions.panel import Panel
from bot.text import mask_spoilers

MAX_MESSAGE_LENGTH = 2000
MAX_LINK_LENGTH = 512
"""Characters of a link button's address (Discord's component reference)."""
_MAX_TITLE_LENGTH, _MAX_NAME_LENGTH, _MAX_VALUE_LENGTH, _MAX_DESCRIPTION_LENGTH = 256, 256, 1024, 4096
_MAX_REPLY_LENGTH = 5600
"""Characters of a reply, three messages: a longer list is cut, since it would bury the channel."""

_CODE = re.compile(r"(`[^`\n]+`)")
_FENCE = "```"
_MAX_FENCE_LINE_LENGTH = 30
_COLOUR_OPEN, _COLOUR_OVER = 0x5865F2, 0x747F8D


def escape(text: str) -> str:
    """Text as it stands: nothing in it is formatting or a mention, but commands in backquotes stay code."""
    parts = _CODE.split(text)
    # Every other part is a code span, in which nothing has a meaning.
    return "".join(part if place % 2 else _escape(part) for place, part in enumerate(parts))


def _escape(text: str) -> str:
    return discord.utils.escape_mentions(discord.utils.escape_markdown(text, ignore_links=False))


def answer_of(markdown: str) -> str:
    """What a chat model wrote, which Discord understands as it stands, but for mentions: they are only text."""
    return discord.utils.escape_mentions(markdown)


def pieces_of_answer(text: str) -> list[str]:
    """What `answer_of` made, and words around it, as the contents of one or more messages. Where one is not enough,
    what is hidden is left out: half of it would be shown."""
    return split(text if len(text) <= MAX_MESSAGE_LENGTH else mask_spoilers(text))


def pieces_of(reply: Reply) -> list[str]:
    """A reply as the contents of one or more messages. The link is among them only where no button can carry it."""
    # In Markdown a line break is kept as it is; facts are lines of their own.
    lines = escape(reply.text).splitlines()
    lines += [f"**{escape(name)}**: {escape(value)}" for name, value in reply.fields]
    if reply.link and not fits_button(reply.link):
        lines.append(reply.link)
    return split("\n".join(_cut(lines)))


def fits_button(link: str) -> bool:
    """Whether a button can carry the link."""
    return len(link) <= MAX_LINK_LENGTH and link.startswith(("https://", "http://"))


def _cut(lines: Sequence[str]) -> list[str]:
    kept: list[str] = []
    room = _MAX_REPLY_LENGTH
    for place, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0 and kept:
            return [*kept, sentences.and_more(len(lines) - place)]
        kept.append(line)
    return kept


def split(text: str, limit: int = MAX_MESSAGE_LENGTH) -> list[str]:
    """Cut a text into messages of at most `limit` characters, between lines, sentences or words where that is possible.

    A code block that does not end within a piece is closed there and opened again in the next one.
    """
    pieces: list[str] = []
    fence = ""
    while text.strip():
        head = f"{fence}\n" if fence else ""
        if len(head) + len(text) <= limit:
            return [*pieces, head + text]
        cut = _border(text, limit - len(head) - len(_FENCE) - 1)
        piece, text = head + text[:cut].rstrip("\n "), text[cut:]
        fence = _open_fence(piece)
        pieces.append(f"{piece}\n{_FENCE}" if fence else piece)
    return pieces


def _border(text: str, room: int) -> int:
    for mark in ("\n", ". ", " "):
        at = text.rfind(mark, room // 2, room)
        if at > 0:
            return at + len(mark)
    return room


def _open_fence(text: str) -> str:
    """The line that opened the code block which is still open at the end of `text`; empty where none is."""
    fence = ""
    for line in text.splitlines():
        if line.count(_FENCE) % 2:
            opening = _FENCE + line.partition(_FENCE)[2]
            fence = "" if fence else (opening if len(opening) <= _MAX_FENCE_LINE_LENGTH else _FENCE)
    return fence


def embed_of(panel: Panel) -> discord.Embed:
    """The panel as an embed; how long the session may stay is a time that counts down by itself."""
    embed = discord.Embed(
        title=escape(panel.title)[:_MAX_TITLE_LENGTH],
        description=escape(panel.ended)[:_MAX_DESCRIPTION_LENGTH] if panel.ended else None,
        colour=_COLOUR_OVER if panel.ended else _COLOUR_OPEN,
    )
    for name, value in panel.fields:
        embed.add_field(name=escape(name)[:_MAX_NAME_LENGTH], value=escape(value)[:_MAX_VALUE_LENGTH], inline=True)
    if panel.ends_at is not None:
        embed.add_field(name="Leaves at the latest", value=discord.utils.format_dt(panel.ends_at, "R"), inline=True)
    if panel.picture and panel.picture.startswith(("https://", "http://")):
        embed.set_thumbnail(url=panel.picture)
    return embed
