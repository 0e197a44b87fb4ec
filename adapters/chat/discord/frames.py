"""What a frame of the application's Activity may see: `bot.core.embeds.EmbedHost` for Discord.

A frame names its instance, and the instance its channel (`instances`); what the frame says of its channel is not
believed. Who is in front of it is known only where Discord's proxy proves it (`proxy_proof`): without that, everybody
in an instance is alike, and nobody can start anything.
"""

import asyncio
import json
from collections.abc import Sequence

import discord
import structlog
from cachetools import TTLCache

from adapters.chat.discord.activity import Activity
from adapters.chat.discord.closed_threads import is_locked
from adapters.chat.discord.converters import PLATFORM, actor_of
from adapters.chat.discord.instances import INSTANCE_ID, YOUNG, Instance, Instances
from adapters.chat.discord.permissions import missing_in
from adapters.chat.discord.proxy_proof import proven_user
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest
from bot.core.errors import EmbedUnavailable, LinkInvalid, Refused
from bot.core.models import Actor, Channel
from bot.facade import AVATAR, Bot, ChannelGrant, Command, CommandContext, Frame, FrameRequest, Grant, Visibility
from bot.settings import AnswerPlacement

log = structlog.get_logger(__name__)

CLIENTS = ("https://discord.com", "https://*.discord.com", "https://discordapp.com", "https://*.discordapp.com")
"""Where Discord's clients frame Activities."""
LIFETIME = 86_400.0
"""Seconds for which one page can go on; what it may see ends with its instance."""
WATCHED_AGE, CHECKED_AGE = 30.0, 15.0
"""Seconds: how old what is known of an instance may be, for a file of the picture and for the check of who watches."""
_MEMBER_AGE = 30.0
"""Seconds for which it is remembered what somebody may do."""
_MEMBER_TIME = 10.0
"""Seconds to ask Discord for that."""
MAX_MEMBERS = 1_000

WATCH, START = (AVATAR, "watch"), (AVATAR, "start")


class DiscordFrames:
    """The frames of the application's Activity."""

    name = PLATFORM
    path = "/"
    opens_links = True
    frame_ancestors: Sequence[str] = CLIENTS

    def __init__(self, bot: Bot, activity: Activity, connection: DiscordRest) -> None:
        self._bot = bot
        self._activity = activity
        self._connection = connection
        self._instances = Instances(connection, bot.clock)
        self._starters: TTLCache[tuple[str, str], Actor | None]
        self._starters = TTLCache(MAX_MEMBERS, _MEMBER_AGE, timer=bot.clock.monotonic)

    @property
    def origins(self) -> Sequence[str]:
        """Discord's proxy gives each application a host of its own."""
        application = self._activity.application_id
        return () if application is None else (f"https://{application}.discordsays.com",)

    async def open(self, request: FrameRequest) -> Frame | None:
        """Of `EmbedHost`. Asks Discord nothing: the page is there at once, and shows nothing yet."""
        instance_id = request.query.get("instance_id")
        if instance_id is None or not self._activity.is_wanted or self._activity.is_enabled is False:
            return None
        if self._activity.application_id is None:
            raise EmbedUnavailable("the bot is not connected to Discord")
        if INSTANCE_ID.fullmatch(instance_id) is None:
            raise LinkInvalid("forged")
        claim = json.dumps([instance_id, self._prove(request)], separators=(",", ":"))
        return Frame(claim, LIFETIME, {"client-id": str(self._activity.application_id)})

    async def grant(self, claim: str, request: FrameRequest) -> Grant:
        """Of `EmbedHost`: the session of the instance's channel. The block list wins wherever it is known who it is."""
        instance_id, user = json.loads(claim)
        if not request.headers:
            instance = await self._instances.look_up(instance_id, max_age=CHECKED_AGE)
        else:
            proven = self._prove(request)
            if proven is not None and user is not None and proven != user:
                raise LinkInvalid("forged")
            user = proven or user
            instance = await self._with_person(instance_id, proven)
        # Whoever asks is one of them.
        people = instance.people if user is None else {user}
        if people and all(self._is_blocked(person, instance.channel) for person in people):
            raise LinkInvalid("revoked")
        return ChannelGrant(instance.channel)

    async def may_start(self, claim: str) -> bool:
        """Of `EmbedHost`."""
        return await self._starter(claim) is not None

    async def start(self, claim: str) -> str | None:
        """Of `EmbedHost`: `/avatar start`, as if they had typed it."""
        starter = await self._starter(claim)
        if starter is None:
            raise LinkInvalid("revoked")
        actor, channel = starter
        reply = await self._bot.commands.run(CommandContext(Command(*START), channel, actor))
        is_there = self._bot.sessions.in_channel(channel) is not None
        return None if reply is None or is_there or reply.visibility is not Visibility.PRIVATE else reply.text

    async def close(self) -> None:
        """Stop asking Discord."""
        await self._instances.close()

    # --- who it is ---------------------------------------------------------------------------------------------------

    def _prove(self, request: FrameRequest) -> str | None:
        """Who a request is from, where Discord proves it. Raises `LinkInvalid` where it is forged, or not there and
        demanded (`DISCORD_ACTIVITY_SIGNED`)."""
        now = self._bot.clock.now().timestamp()
        application = self._activity.application_id or 0
        user = proven_user(request.headers, self._activity.public_key, application, now)
        if user is None and self._bot.settings.discord.activity_signed:
            raise LinkInvalid("forged")
        return user

    async def _with_person(self, instance_id: str, person: str | None) -> Instance:
        """The instance; where it is known who asks, one that they are in. Raises `LinkInvalid` if they are not."""
        instance = await self._instances.look_up(instance_id, max_age=WATCHED_AGE)
        for pause in YOUNG:
            if person is None or person in instance.people:
                return instance
            # They may have come since.
            await self._bot.clock.sleep(pause)
            instance = await self._instances.look_up(instance_id, max_age=pause)
        if person in instance.people:
            return instance
        raise LinkInvalid("revoked")

    def _is_blocked(self, person: str, channel: Channel) -> bool:
        try:
            self._bot.commands.require(Actor(PLATFORM, person, ""), channel, WATCH)
        except Refused:
            return True
        return False

    async def _starter(self, claim: str) -> tuple[Actor, Channel] | None:
        """Who is in front of a frame, and where, if they may bring an avatar there and the bot can."""
        instance_id, person = json.loads(claim)
        if person is None or not self._activity.is_offered:
            return None
        channel = (await self._instances.look_up(instance_id, max_age=WATCHED_AGE)).channel
        guild = self._connection.guild(int(channel.workspace)) if channel.workspace else None
        place = guild.get_channel_or_thread(int(channel.id)) if guild is not None else None
        if guild is None or place is None or not self._is_open(place):
            return None
        try:
            actor = await self._member(guild, place, person)
            return None if actor is None else (self._bot.commands.require(actor, channel, START), channel)
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
        if key in self._starters:
            return self._starters[key]
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
        self._starters[key] = actor
        return actor
