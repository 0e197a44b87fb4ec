"""Discord as a chat platform, over discord.py. Nothing of it is known outside this package."""

from adapters.chat.discord.adapter import DiscordAdapter
from adapters.chat.discord.permissions import invite_link

__all__ = ["DiscordAdapter", "invite_link"]
