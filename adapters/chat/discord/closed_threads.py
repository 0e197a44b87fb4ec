"""Which threads are closed to the bot. An archived one is opened again by any message, the bot's included, so it writes
none there; editing and reactions are refused by Discord itself (50083) and open nothing.
"""

import discord

from adapters.chat.discord import strings
from bot.core.models import Channel


def why_closed(thread: discord.Thread) -> str | None:
    """Why the bot has no business in a thread any more; None while it is open."""
    if thread.archived:
        return strings.THREAD_ARCHIVED
    is_known = thread.parent is not None and thread.guild.me is not None
    granted = thread.permissions_for(thread.guild.me) if is_known else discord.Permissions.none()
    return strings.THREAD_LOCKED if is_locked(thread, granted) else None


def is_locked(thread: discord.Thread, granted: discord.Permissions) -> bool:
    """Whether only moderators may write in a thread, and the bot with these permissions is none."""
    return thread.locked and not granted.manage_threads


async def may_be_written_in(client: discord.Client, channel: Channel) -> bool:
    """Whether a message opens nothing that was closed. Raises `discord.HTTPException`.

    discord.py forgets a thread that is archived, and knows none of a time without it: Discord is asked for those.
    """
    guild = client.get_guild(int(channel.workspace))
    place = guild.get_channel_or_thread(int(channel.id)) if guild is not None else None
    found = place or await client.fetch_channel(int(channel.id))
    return not (isinstance(found, discord.Thread) and found.archived)
