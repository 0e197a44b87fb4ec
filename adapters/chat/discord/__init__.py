"""Discord as a chat platform, over discord.py. Nothing of it is known outside this package."""

from adapters.chat.discord.adapter import DiscordChat
from adapters.chat.discord.permissions import invite_link

__all__ = ["DiscordChat", "invite_link"]
