"""What people wrote while nobody here was connected: read from the channels of the sessions, and handed in as if it had
just come.

Discord repeats what happened to a connection that resumes, and nothing to a new one: after a restart, an outage, or
where another process was the bot, the messages of that time are read by REST. What was taken or refused before is known
by its key (`bot.relay.Relay.unheard`), so to read too much does no harm.

What still waits to be said is read once more, since its author, or a moderator, may have changed or deleted it.
"""

import asyncio
from dataclasses import dataclass
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
                place = self._place(running)
                if place is None:
                    return
                await self._reconsider(running, place)
                missed = await self._missed(running, place)
        except (discord.HTTPException, StoreError, RuntimeError, *TRANSIENT_ERRORS) as error:
            # RuntimeError: aiohttp's, where the client was closed meanwhile.
            why = str(error) or repr(error)
            log.warning("what was written meanwhile could not be read", channel=str(channel), error=why)
            return
        if missed:
            log.info("what was written meanwhile is handed in", channel=str(channel), messages=len(missed))
        oldest = self._bot.clock.now() - timedelta(seconds=self._bot.sessions.services.policy.late_after)
        for message in missed:
            await self._messages.take_late(message, place.me, is_stale=message.created_at < oldest)

    def _place(self, running: AvatarSession) -> "_Place | None":
        """Where its channel is read; None where it cannot be."""
        channel = running.session.channel
        client = self._rest.client_of(int(channel.workspace))
        guild = client.get_guild(int(channel.workspace)) if client is not None else None
        if client is None or client.user is None or guild is None or guild.unavailable:
            return None
        if not _may_read(guild, int(channel.id)):
            log.warning(strings.NO_HISTORY, channel=str(channel))
            return None
        return _Place(guild, client.user, client.get_partial_messageable(int(channel.id), guild_id=guild.id))

    async def _reconsider(self, running: AvatarSession, place: "_Place") -> None:
        """Have what waits said as it reads now, and not at all where it is gone. Raises what discord.py raises."""
        ids = {utterance.message_id for utterance in running.speaker.queued()}
        waiting = {int(message_id) for message_id in ids if message_id is not None and message_id.isdecimal()}
        if not waiting:
            return
        there = {message.id: message for message in await place.read(after=min(waiting) - 1)}
        # What is behind the last that was read may be there.
        gone = {one for one in waiting - there.keys() if len(there) < AT_MOST or one < max(there)}
        await self._messages.withdraw_late(running.session.channel, gone)
        for message_id in sorted(waiting & there.keys()):
            await self._messages.change_late(there[message_id], place.me)

    async def _missed(self, running: AvatarSession, place: "_Place") -> list[discord.Message]:
        """What people wrote to the avatar since the last message that is known of, the oldest first. Raises what
        discord.py and the store raise."""
        since = await self._last_known(running)
        read = await place.read(after=since)
        if len(read) == AT_MOST:
            # What people wrote among themselves is in it: the newest is what was missed, not what follows the last.
            read = [message for message in reversed(await place.read()) if message.id > since]
        ours = {key_of(message): message for message in read if self._messages.is_meant(message, place.me)}
        unheard = await self._bot.relay.unheard(list(ours))
        return await _with_members(place.guild, [message for key, message in ours.items() if key in unheard])

    async def _last_known(self, running: AvatarSession) -> int:
        """Which message is surely older than all that was missed: the start of the session, or a little before what it
        took last. That is all a row tells; what people write among themselves leaves none."""
        begun = discord.utils.time_snowflake(running.session.created_at)
        last = await self._taken.last_message_id(running.session.id)
        if last is None or not last.isdecimal():
            return begun
        before = discord.utils.snowflake_time(int(last)) - OVERLAP
        return max(begun, discord.utils.time_snowflake(before))


@dataclass(frozen=True, slots=True)
class _Place:
    """A channel that can be read."""

    guild: discord.Guild
    me: discord.ClientUser
    channel: discord.PartialMessageable

    async def read(self, after: int | None = None) -> list[discord.Message]:
        """`AT_MOST` messages: the first ones after an id, the oldest first; without it the newest, the newest first.
        Raises what discord.py raises."""
        since = None if after is None else discord.Object(after)
        return [message async for message in self.channel.history(limit=AT_MOST, after=since)]


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
