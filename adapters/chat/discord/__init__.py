"""Discord as a chat platform, over discord.py. Nothing of it is known outside this package.

The program imports this module to ask whether Discord is set up, and the adapter only where it is: with discord.py that
takes 8 MB. That discord.py is missing shows here all the same.
"""

from importlib.util import find_spec

from adapters.chat.discord import strings
from bot.settings import Settings

if find_spec("discord") is None:
    raise ModuleNotFoundError("No module named 'discord'", name="discord")


def missing_settings(settings: Settings) -> str | None:
    """The token."""
    return None if settings.discord.token else strings.TOKEN_MISSING


def __getattr__(name: str) -> object:
    if name != "DiscordAdapter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from adapters.chat.discord.adapter import DiscordAdapter  # see the module

    return DiscordAdapter
