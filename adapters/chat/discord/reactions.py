"""How a message is marked in Discord; with what and when is `adapters.chat.reaction_marker`'s.

Where the bot may not react there are no marks, and nobody is bothered with it."""

import discord
import structlog

from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest
from adapters.chat.reaction_marker import Mark, ReactionMarker
from bot.core.models import Channel
from bot.core.ports import Clock
from bot.core.precedence import Precedence

log = structlog.get_logger(__name__)

_EMOJI = {Mark.WAITS: "👂", Mark.SPOKEN: "✅", Mark.NOT_SPOKEN: "🔇"}

PER_MINUTE = 60
"""Marks in one channel; Discord takes four a second there."""

PER_SECOND = 20
"""Marks in all channels: Discord takes fifty requests a second of a whole bot (docs, rate limits), and answers and
panels come first."""


class Reactions(ReactionMarker):
    """The marks in every channel."""

    def __init__(self, connection: DiscordRest, clock: Clock, precedence: Precedence) -> None:
        super().__init__(clock, precedence, PER_MINUTE, PER_SECOND)
        self._connection = connection

    def _line_of(self, channel: Channel) -> Channel:
        return channel

    async def _put(self, channel: Channel, message_id: str, mark: Mark) -> bool:
        async def put(client: discord.Client) -> None:
            message = client.get_partial_messageable(int(channel.id)).get_partial_message(int(message_id))
            await message.add_reaction(_EMOJI[mark])

        try:
            await self._connection.request("reaction", put)
        except discord.NotFound:
            return False
        except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
            log.info("a reaction was not possible", channel=channel.id, error=str(error) or repr(error))
        return True
