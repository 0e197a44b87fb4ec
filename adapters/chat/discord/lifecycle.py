"""Servers, channels and threads that are gone for the bot: the sessions in them end. Looks at nothing else."""

from collections.abc import Callable
from functools import partial
from operator import eq

import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.closed_threads import why_closed
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.rest import TRANSIENT_ERRORS
from bot.core.errors import StoreError
from bot.core.models import Channel
from bot.core.tasks import TaskSet
from bot.facade import Bot

log = structlog.get_logger(__name__)


class GuildLifecycle:
    """Ends the sessions whose place is gone."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._tasks = TaskSet()

    def server_gone(self, guild_id: int) -> None:
        """The bot was removed from a server."""
        self._leave(lambda channel: channel.workspace == str(guild_id), strings.BOT_REMOVED)

    def channel_gone(self, channel_id: int, why: str) -> None:
        """A channel or thread was deleted, archived or closed to the bot."""
        self._leave(lambda channel: channel.id == str(channel_id), why)

    def thread_changed(self, thread: discord.Thread) -> None:
        """A thread was changed, perhaps archived or locked."""
        if (why := why_closed(thread)) is not None:
            self.channel_gone(thread.id, why)

    def check_channels(self, client: discord.Client, hears: Callable[[int], bool]) -> None:
        """After a fresh connection: end what was lost while nobody told us, in the servers that `client` hears of."""
        self._tasks.create_task(self._check(client, hears), name="look for lost channels")

    async def close(self) -> None:
        """Stop looking."""
        await self._tasks.close()

    def _leave(self, gone: Callable[[Channel], bool], why: str) -> None:
        self._tasks.create_task(
            self._bot.sessions.end_in_channels(lambda channel: channel.platform == PLATFORM and gone(channel), why),
            name="leave channels",
        )

    async def _check(self, client: discord.Client, hears: Callable[[int], bool]) -> None:
        channels = [running.session.channel for running in self._bot.sessions]
        for channel in channels:
            if channel.platform != PLATFORM or not hears(int(channel.workspace)):
                continue
            try:
                why = await _why_gone(client, channel)
                if why is not None:
                    await self._bot.sessions.end_in_channels(partial(eq, channel), why)
            except (discord.HTTPException, StoreError, *TRANSIENT_ERRORS) as error:
                log.info("a channel could not be looked up", channel=str(channel), error=str(error))


async def _why_gone(client: discord.Client, channel: Channel) -> str | None:
    """Why the bot cannot work in a channel any more; None if it can. Raises `discord.HTTPException`."""
    guild = client.get_guild(int(channel.workspace))
    if guild is None:
        return strings.BOT_REMOVED
    known = guild.get_channel_or_thread(int(channel.id))
    if isinstance(known, discord.Thread):
        return why_closed(known)
    # A server that is out of order has no channels for a while.
    if guild.unavailable or known is not None:
        return None
    try:
        found = await client.fetch_channel(int(channel.id))
    except discord.NotFound:
        return strings.CHANNEL_DELETED
    return why_closed(found) if isinstance(found, discord.Thread) else None
