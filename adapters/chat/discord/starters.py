"""Whether somebody in front of a frame may bring an avatar to its channel, and bringing it. Who it is has been proven
before (`frames`).

Decided where the server's shard is: only there it is known who may do what in the channel, and the session that is
started belongs there. A frame may be open at any process, which asks that one over the bus.
"""

import asyncio
import json

import discord
import structlog
from cachetools import TTLCache

from adapters.chat.discord.client import shard_of
from adapters.chat.discord.closed_threads import is_locked
from adapters.chat.discord.converters import PLATFORM, actor_of
from adapters.chat.discord.permissions import missing_in
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest
from bot import sentences
from bot.core.errors import LinkInvalid, ProcessUnreachable, Refused, StoreError
from bot.core.models import Actor, Channel
from bot.facade import AVATAR, Bot, Command, CommandContext, Visibility
from bot.settings import AnswerPlacement

log = structlog.get_logger(__name__)

MAY_START, STARTS = "discord.may_start", "discord.start"
"""The kinds of what is asked of the process with the shard."""
ASK_TIME = 3.0
"""Seconds for its answer whether somebody may; it may have to ask Discord for them first."""
START_TIME = 12.0
"""Seconds for its answer to a start. One that comes later than that has brought the avatar all the same, and the frame
shows it."""
_MEMBER_AGE = 30.0
"""Seconds for which it is remembered what somebody may do."""
_MEMBER_TIME = 10.0
"""Seconds to ask Discord for that."""
MAX_MEMBERS = 1_000

START = (AVATAR, "start")


class Starters:
    """Those who bring avatars from frames. `begin` once this process can answer for others, `end` when it no longer
    can."""

    def __init__(self, bot: Bot, connection: DiscordRest) -> None:
        self._bot = bot
        self._connection = connection
        self._shards = bot.sessions.services.store.shards
        self._members: TTLCache[tuple[str, str], Actor | None]
        self._members = TTLCache(MAX_MEMBERS, _MEMBER_AGE, timer=bot.clock.monotonic)
        self._answers = False

    def begin(self) -> None:
        """Answer also what other processes ask."""
        if not self._answers:
            self._answers = True
            self._bot.cluster.bus.handle(MAY_START, self._on_may_start)
            self._bot.cluster.bus.handle(STARTS, self._on_start)

    def end(self) -> None:
        """Answer no other process any more."""
        self._answers = False
        self._bot.cluster.bus.unhandle(MAY_START)
        self._bot.cluster.bus.unhandle(STARTS)

    async def may_start(self, person: str, channel: Channel) -> bool:
        """Whether somebody, by their id, may bring an avatar to a channel, and the bot can. Where that cannot be known
        now, they may not."""
        try:
            holder = await self._holder(channel)
            if holder is None:
                return await self._starter(person, channel) is not None
            return bool(json.loads(await self._ask(holder, MAY_START, person, channel, ASK_TIME)))
        except (ProcessUnreachable, StoreError) as error:
            log.info("whether somebody in front of a frame may bring an avatar is not known", error=str(error))
            return False

    async def start(self, person: str, channel: Channel) -> str | None:
        """`/avatar start`, as if they had typed it; the sentence that they read where that is not possible. Raises
        `LinkInvalid` if they may not, and `AvatarRelayError`."""
        holder = await self._holder(channel)
        if holder is None:
            return await self._start_here(person, channel)
        try:
            may, told = json.loads(await self._ask(holder, STARTS, person, channel, START_TIME))
        except ProcessUnreachable as error:
            log.warning("an avatar was not started from a frame", error=str(error))
            # To start it again does no harm: there is one avatar in a channel.
            return sentences.TAKING_OVER
        if not may:
            raise LinkInvalid("revoked")
        return told if isinstance(told, str) else None

    # --- whose it is -------------------------------------------------------------------------------------------------

    async def _holder(self, channel: Channel) -> str | None:
        """The other process that has the shard of a channel's server; None where this one knows the server, or nobody
        does. Raises `StoreError`."""
        if not channel.workspace or self._connection.guild(int(channel.workspace)) is not None:
            return None
        owners = await self._shards.owners(PLATFORM)
        owner = owners.get(shard_of(int(channel.workspace), len(owners))) if owners else None
        return None if owner == self._bot.cluster.bus.process else owner

    async def _ask(self, holder: str, kind: str, person: str, channel: Channel, timeout: float) -> str:
        body = json.dumps([person, channel.workspace, channel.id])
        return await self._bot.cluster.bus.ask(holder, kind, body, timeout=timeout)

    async def _on_may_start(self, _process: str, body: str) -> str:
        person, workspace, place = json.loads(body)
        return json.dumps(await self._starter(person, Channel(PLATFORM, workspace, place)) is not None)

    async def _on_start(self, _process: str, body: str) -> str:
        person, workspace, place = json.loads(body)
        try:
            return json.dumps([True, await self._start_here(person, Channel(PLATFORM, workspace, place))])
        except LinkInvalid:
            return json.dumps([False, None])

    # --- here --------------------------------------------------------------------------------------------------------

    async def _start_here(self, person: str, channel: Channel) -> str | None:
        actor = await self._starter(person, channel)
        if actor is None:
            raise LinkInvalid("revoked")
        reply = await self._bot.commands.run(CommandContext(Command(*START), channel, actor))
        is_there = self._bot.sessions.in_channel(channel) is not None
        return None if reply is None or is_there or reply.visibility is not Visibility.PRIVATE else reply.text

    async def _starter(self, person: str, channel: Channel) -> Actor | None:
        """Who it is, if they may bring an avatar there and the bot can."""
        guild = self._connection.guild(int(channel.workspace)) if channel.workspace else None
        place = guild.get_channel_or_thread(int(channel.id)) if guild is not None else None
        if guild is None or place is None or not self._is_open(place):
            return None
        try:
            actor = await self._member(guild, place, person)
            return None if actor is None else self._bot.commands.require(actor, channel, START)
        except Refused:
            return None

    def _is_open(self, place: "discord.abc.GuildChannel | discord.Thread") -> bool:
        """Whether the bot can work there."""
        granted = place.permissions_for(place.guild.me)
        is_thread = isinstance(place, discord.Thread)
        opens_threads = self._bot.settings.session.answers is AnswerPlacement.THREAD
        if missing_in(granted, in_thread=is_thread, opens_threads=opens_threads):
            return False
        return not (isinstance(place, discord.Thread) and is_locked(place, granted))

    async def _member(
        self, guild: discord.Guild, place: "discord.abc.GuildChannel | discord.Thread", person: str
    ) -> Actor | None:
        """Who somebody is in a server; None for who is not there, or may not use commands in the channel."""
        key = (str(place.id), person)
        if key in self._members:
            return self._members[key]
        try:
            async with asyncio.timeout(_MEMBER_TIME):
                member = await guild.fetch_member(int(person))
        except discord.NotFound:
            actor = None
        except (discord.HTTPException, RuntimeError, *TRANSIENT_ERRORS) as error:
            log.info("somebody in front of a frame could not be looked up", error=str(error) or repr(error))
            return None
        else:
            rights = place.permissions_for(member)
            actor = actor_of(member, rights) if rights.view_channel and rights.use_application_commands else None
        self._members[key] = actor
        return actor
