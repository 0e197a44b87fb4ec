"""Raw tokens in Discord's text (`<@1>`, `<@&2>`, `<#3>`) and what people call them. Asks Discord nothing."""

import re
from collections.abc import Iterable

import discord

from bot.core.models import Actor, Channel, Role

PLATFORM = "discord"


def actor_of(person: discord.User | discord.Member, rights: discord.Permissions) -> Actor:
    """The actor. `rights` are the person's in the channel or the server; who may manage the server is an admin."""
    roles = person.roles if isinstance(person, discord.Member) else []
    return Actor(
        PLATFORM,
        str(person.id),
        person.display_name,
        role=Role.ADMIN if rights.manage_guild or rights.administrator else Role.HOST,
        is_bot=person.bot,
        groups=frozenset(str(role.id) for role in roles),
    )


def channel_of(guild_id: int, channel_id: int) -> Channel:
    """A channel, thread, forum post or voice channel's chat of a server."""
    return Channel(PLATFORM, str(guild_id), str(channel_id))


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
