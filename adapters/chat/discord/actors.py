"""Who asked, as the core wants to know it: Discord's person, roles and rights become an `Actor`. Decides nothing."""

import discord

from bot.model import Actor, Channel, Role

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
