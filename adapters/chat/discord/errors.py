"""What kind of trouble a failure of discord.py is, and what it is called: for the log, `/readyz` and the doctor."""

import discord

from adapters import network
from bot import sentences
from bot.core.errors import Trouble

SERVICE = "Discord"


def trouble_of(error: Exception) -> Trouble:
    """What keeps Discord from answering."""
    match error:
        case discord.DiscordServerError():
            return Trouble.SERVER_ERROR
        case discord.GatewayNotFound():
            return Trouble.UNREACHABLE
        case KeyError() | TypeError():
            # discord.py treats whatever it gets as Discord's JSON; a page of something else ends like this.
            return Trouble.MALFORMED
        case _:
            return network.trouble_of(error)


def in_words(error: Exception) -> str:
    """What is wrong with Discord, without a full stop."""
    if isinstance(error, discord.RateLimited):
        return f"{SERVICE} wants the bot to wait"
    return sentences.network(SERVICE, trouble_of(error))


def told(error: Exception) -> str:
    """The failure for the log: discord.py's own words, or what the proxy did."""
    return str(error) or network.told(error)
