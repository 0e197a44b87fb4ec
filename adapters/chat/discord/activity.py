"""Watching inside Discord, as the application's Activity: whether it is offered, and launching it.

What the frame may see is in `frames`. Nothing here asks a provider, and nothing is asked of Discord before a launch: it
has to be decided within the 3 seconds of an interaction.
"""

import asyncio
from typing import Any

import discord
import structlog

from adapters.chat.discord.rest import TRANSIENT_ERRORS, application_of
from bot.facade import Bot

log = structlog.get_logger(__name__)

_LAUNCH_TIME = 5.0
"""Seconds; after 3 Discord takes no answer any more."""


class Activity:
    """What is known of the application's Activity, once the bot has logged in.

    application_id, public_key: the application's, None before; the key as hexadecimal digits. is_enabled: whether its
    operator has switched Activities on in Discord's portal; None before the login.
    """

    def __init__(self, bot: Bot) -> None:
        self._shows_in_frames = bot.shows_in_frames
        self.is_wanted = bot.settings.discord.activity
        self.application_id: int | None = None
        self.public_key = ""
        self.is_enabled: bool | None = None

    def learn(self, client: discord.Client) -> None:
        """Take over what Discord has told at the login."""
        self.application_id = application_of(client)
        application = client.application
        self.is_enabled = application is not None and application.flags.embedded
        self.public_key = application.verify_key if application is not None else ""
        if self.is_enabled and self.is_wanted and not self._shows_in_frames:
            log.info("the Activity is not offered: people can only watch on the page of its own")

    @property
    def is_offered(self) -> bool:
        """Whether people are offered to watch inside Discord: it is switched on there, and works here."""
        return bool(self.is_enabled) and self.is_wanted and self._shows_in_frames

    async def launch(self, interaction: discord.Interaction[Any]) -> bool:
        """Answer an interaction with the launch. False if Discord does not take it, or would not for this person, so
        that there is another answer to give."""
        if not self.is_offered or not interaction.permissions.use_embedded_activities:
            return False
        try:
            async with asyncio.timeout(_LAUNCH_TIME):
                await interaction.response.launch_activity()
        except (discord.HTTPException, RuntimeError, *TRANSIENT_ERRORS) as error:
            # RuntimeError: aiohttp's, where the client has reconnected and the interaction's session was closed.
            code = error.code if isinstance(error, discord.HTTPException) else None
            log.warning("the Activity was not launched", code=code, error=str(error) or repr(error))
            return False
        return True
