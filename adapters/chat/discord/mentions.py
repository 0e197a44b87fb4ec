"""Raw tokens in Discord's text (`<@1>`, `<@&2>`, `<#3>`) and what people call them. Asks Discord nothing."""

import re
from collections.abc import Iterable

import discord

_TOKEN = re.compile(r"<(@!?|@&|#)(\d{1,20})>")


def names_in(text: str, guild: discord.Guild | None, people: Iterable[discord.User | discord.Member]) -> dict[str, str]:
    """What the tokens of `text` stand for, as far as it is known: `people` came with it, the rest is the server's.

    Tokens nobody knows are left out; the core has a word for them.
    """
    known = {person.id: person.display_name for person in people}
    names: dict[str, str] = {}
    for kind, digits in _TOKEN.findall(text):
        name = _name(kind, int(digits), guild, known)
        if name is not None:
            names[f"<{kind}{digits}>"] = name
    return names


def without_mention(text: str, user_id: int) -> str:
    """The text without the mentions of one user: addressing the bot is not something to be said."""
    return re.sub(rf"<@!?{user_id}>", " ", text).strip()


def _name(kind: str, number: int, guild: discord.Guild | None, known: dict[int, str]) -> str | None:
    if kind in ("@", "@!") and number in known:
        return known[number]
    if guild is None:
        return None
    found: discord.Member | discord.Role | discord.abc.GuildChannel | discord.Thread | None
    match kind:
        case "#":
            found = guild.get_channel_or_thread(number)
        case "@&":
            found = guild.get_role(number)
        case _:
            found = guild.get_member(number)
    return getattr(found, "display_name", None) or getattr(found, "name", None)
