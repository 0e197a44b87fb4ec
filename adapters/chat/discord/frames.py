"""What a frame of the application's Activity may see: `bot.core.embeds.EmbedHost` for Discord.

A frame names its instance, and the instance its channel (`instances`); what the frame says of its channel is not
believed. Who is in front of it is known only where Discord's proxy proves it (`proxy_proof`): without that, everybody
in an instance is alike, and nobody can start anything.
"""

import json
from collections.abc import Sequence

from adapters.chat.discord.activity import Activity
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.instances import INSTANCE_ID, YOUNG, Instance, Instances
from adapters.chat.discord.proxy_proof import proven_user
from adapters.chat.discord.rest import DiscordRest
from adapters.chat.discord.starters import Starters
from bot.core.errors import EmbedUnavailable, LinkInvalid, Refused
from bot.core.models import Actor, Channel
from bot.facade import AVATAR, Bot, ChannelGrant, Frame, FrameRequest, Grant

CLIENTS = ("https://discord.com", "https://*.discord.com", "https://discordapp.com", "https://*.discordapp.com")
"""Where Discord's clients frame Activities."""
LIFETIME = 86_400.0
"""Seconds for which one page can go on; what it may see ends with its instance."""
WATCHED_AGE, CHECKED_AGE = 30.0, 15.0
"""Seconds: how old what is known of an instance may be, for a file of the picture and for the check of who watches."""
WATCH = (AVATAR, "watch")


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
        self._starters = Starters(bot, connection)

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
        asks = await self._who_asks(claim)
        return asks is not None and await self._starters.may_start(*asks)

    async def start(self, claim: str) -> str | None:
        """Of `EmbedHost`: `/avatar start`, as if they had typed it."""
        asks = await self._who_asks(claim)
        if asks is None:
            raise LinkInvalid("revoked")
        return await self._starters.start(*asks)

    def begin(self) -> None:
        """Answer also what other processes ask."""
        self._starters.begin()

    async def close(self) -> None:
        """Stop asking Discord, and answering."""
        self._starters.end()
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

    async def _who_asks(self, claim: str) -> tuple[str, Channel] | None:
        """The id of the person in front of a frame, and where it is; None where that is not known for certain."""
        instance_id, person = json.loads(claim)
        if person is None or not self._activity.is_offered:
            return None
        return person, (await self._instances.look_up(instance_id, max_age=WATCHED_AGE)).channel
