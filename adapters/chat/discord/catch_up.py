"""What people wrote while nobody here was connected: read from the channels of the sessions, and handed in as if it had
just come.

Discord repeats what happened to a connection that resumes, and nothing to a new one: after a restart, an outage, or
where another process was the bot, the messages of that time are read by REST. What was taken or refused before is known
by its key (`bot.relay.Relay.unheard`), so to read too much does no harm.
"""

import asyncio
from datetime import timedelta

import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.messages import Messages, key_of
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest
from bot.core.errors import StoreError
from bot.core.models import Channel
from bot.core.tasks import TaskSet
from bot.facade import Bot
from bot.sessions.session import AvatarSession

log = structlog.get_logger(__name__)

AT_MOST = 100
"""Messages of one channel that are read; Discord gives no more at once."""
READ_TIME = 15.0
"""Seconds to read one channel: what is written there meanwhile waits for it."""
AT_ONCE = 4
"""Channels that are read at a time: after the restart of a large bot its other requests need room, too."""
OVERLAP = timedelta(seconds=10)
"""How far before the last message that an earlier process took: one that came a little earlier may not have been
written down yet when it ended."""


class CatchUp:
    """Reads what was missed."""

    def __init__(self, bot: Bot, rest: DiscordRest, messages: Messages) -> None:
        self._bot = bot
        self._rest = rest
        self._messages = messages
        self._taken = bot.sessions.services.store.utterances
        self._tasks = TaskSet()
        self._reading: set[Channel] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    def server_available(self, guild: discord.Guild) -> None:
        """A server is known, for the first time over this connection or after an outage."""
        for running in self._bot.sessions:
            if running.session.channel.workspace == str(guild.id):
                self.session_adopted(running)

    def session_adopted(self, running: AvatarSession) -> None:
        """A session goes on here that was somebody else's, or may have missed something."""
        channel = running.session.channel
        if channel.platform != PLATFORM or running.stop.is_set or channel in self._reading:
            return
        self._reading.add(channel)
        self._tasks.create_task(self._catch_up(running), name=f"catch up in {channel}")

    async def drained(self) -> None:
        """Wait until everything has been read that is to be."""
        await self._tasks.drained()

    async def close(self) -> None:
        """Stop reading."""
        await self._tasks.close()

    # --- one channel -------------------------------------------------------------------------------------------------

    async def _catch_up(self, running: AvatarSession) -> None:
        channel = running.session.channel
        try:
            async with self._room:
                with self._messages.held_up(channel):
                    await self._hand_in(running)
        finally:
            self._reading.discard(channel)

    async def _hand_in(self, running: AvatarSession) -> None:
        channel = running.session.channel
        try:
            async with asyncio.timeout(READ_TIME):
                missed = await self._missed(running)
        except (discord.HTTPException, StoreError, RuntimeError, *TRANSIENT_ERRORS) as error:
            # RuntimeError: aiohttp's, where the client was closed meanwhile.
            why = str(error) or repr(error)
            log.warning("what was written meanwhile could not be read", channel=str(channel), error=why)
            return
        if missed:
            log.info("what was written meanwhile is handed in", channel=str(channel), messages=len(missed))
        client = self._rest.client_of(int(channel.workspace))
        if client is None or client.user is None:
            return
        oldest = self._bot.clock.now() - timedelta(seconds=self._bot.sessions.services.policy.late_after)
        for message in missed:
            await self._messages.take_late(message, client.user, is_stale=message.created_at < oldest)

    async def _missed(self, running: AvatarSession) -> list[discord.Message]:
        """What people wrote to the avatar since the last message that is known of, the oldest first. Raises what
        discord.py and the store raise."""
        channel = running.session.channel
        client = self._rest.client_of(int(channel.workspace))
        guild = client.get_guild(int(channel.workspace)) if client is not None else None
        if client is None or client.user is None or guild is None or guild.unavailable:
            return []
        if not _may_read(guild, int(channel.id)):
            log.warning(strings.NO_HISTORY, channel=str(channel))
            return []
        me, since = client.user, await self._last_known(running)
        place = client.get_partial_messageable(int(channel.id), guild_id=guild.id)
        read = [message async for message in place.history(limit=AT_MOST, after=discord.Object(since))]
        if len(read) == AT_MOST:
            # What people wrote among themselves is in it: the newest is what was missed, not what follows the last.
            newest = [message async for message in place.history(limit=AT_MOST)]
            read = [message for message in reversed(newest) if message.id > since]
        ours = {key_of(message): message for message in read if self._messages.is_meant(message, me)}
        unheard = await self._bot.relay.unheard(list(ours))
        return await _with_members(guild, [message for key, message in ours.items() if key in unheard])

    async def _last_known(self, running: AvatarSession) -> int:
        """Which message is surely older than all that was missed: the start of the session, or a little before what it
        took last. That is all a row tells; what people write among themselves leaves none."""
        begun = discord.utils.time_snowflake(running.session.created_at)
        last = await self._taken.last_message_id(running.session.id)
        if last is None or not last.isdecimal():
            return begun
        before = discord.utils.snowflake_time(int(last)) - OVERLAP
        return max(begun, discord.utils.time_snowflake(before))


def _may_read(guild: discord.Guild, channel_id: int) -> bool:
    """Whether Discord would show the bot what was written there: without the permission it shows nothing."""
    place = guild.get_channel_or_thread(channel_id)
    if place is None or (isinstance(place, discord.Thread) and place.parent is None):
        return True
    granted = place.permissions_for(guild.me)
    has_voice = isinstance(place, discord.VoiceChannel | discord.StageChannel)
    return granted.read_message_history and (granted.connect or not has_voice)


async def _with_members(guild: discord.Guild, messages: list[discord.Message]) -> list[discord.Message]:
    """The messages of those who are in the server, with what their authors may do there: REST does not tell it."""
    people = list({message.author.id for message in messages})
    if not people:
        return []
    found = {member.id: member for member in await guild.query_members(user_ids=people, limit=AT_MOST, cache=False)}
    for message in messages:
        message.author = found.get(message.author.id, message.author)
    return [message for message in messages if message.author.id in found]
