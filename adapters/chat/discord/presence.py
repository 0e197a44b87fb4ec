"""Whether the bot can be seen and stopped where somebody wants an avatar. It is asked before anything is opened that
costs money, and what cannot be made sure of counts as no. Knows nothing of what people may do.
"""

import asyncio
from typing import Any

import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.closed_threads import is_locked
from adapters.chat.discord.permissions import invite_link, missing_in
from adapters.chat.discord.rest import TRANSIENT_ERRORS
from bot import sentences
from bot.core.views import Reply, Visibility

log = structlog.get_logger(__name__)

_LOOK_TIME = 10.0
"""Seconds for the one request that this may take."""


async def obstacle(interaction: discord.Interaction[Any], *, opens_threads: bool) -> Reply | None:
    """Why no avatar can be brought to where the interaction comes from; None if nothing is in the way.

    opens_threads: whether answers go into threads (`SESSION_ANSWERS=thread`).
    """
    guild = interaction.client.get_guild(interaction.guild_id or 0)
    if guild is None:
        # Added for its commands alone, or by a person for themselves: interactions come, and no channel is open to it.
        return not_a_member(interaction)
    sentence = _lacking(interaction, opens_threads=opens_threads) or await _hidden(interaction, guild)
    return None if sentence is None else Reply(sentence, Visibility.PRIVATE)


def not_a_member(interaction: discord.Interaction[Any]) -> Reply:
    """The answer where the bot itself is not, with the link that brings it there."""
    sentence = strings.ONLY_IN_SERVERS if interaction.guild_id is None else strings.NOT_A_MEMBER
    return Reply(sentence, Visibility.PRIVATE, link=invite_link(interaction.application_id))


def _lacking(interaction: discord.Interaction[Any], *, opens_threads: bool) -> str | None:
    thread = interaction.channel if isinstance(interaction.channel, discord.Thread) else None
    granted = interaction.app_permissions
    missing = missing_in(granted, in_thread=thread is not None, opens_threads=opens_threads)
    if missing:
        return strings.missing_permissions(missing)
    return strings.LOCKED if thread is not None and is_locked(thread, granted) else None


async def _hidden(interaction: discord.Interaction[Any], guild: discord.Guild) -> str | None:
    """A private thread grants its channel's permissions, and is closed to who was not added to it. Discord tells a bot
    of every channel and of the threads it can read, so only what it has not told of is asked for."""
    assert interaction.channel_id is not None  # noqa: S101 - every interaction in a server has one
    if guild.get_channel_or_thread(interaction.channel_id) is not None:
        return None
    try:
        async with asyncio.timeout(_LOOK_TIME):
            await interaction.client.fetch_channel(interaction.channel_id)
    except (discord.Forbidden, discord.NotFound):
        return strings.CANNOT_SEE
    except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
        log.warning("a channel could not be looked at, so no avatar comes to it", error=str(error) or repr(error))
        return sentences.not_sure_of_channel("Discord")
    return None
