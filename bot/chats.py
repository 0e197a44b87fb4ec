"""Finds the chat platforms that can be started, and says in plain words which and why not. Part of the composition
root: it loads adapters by their names and imports none.
"""

from collections.abc import Callable, Collection
from importlib.metadata import entry_points

from bot.desk import Desk
from bot.errors import SettingsError
from bot.ports import ChatAdapter
from bot.settings import Settings

CHATS = "avatar_relay.chat"
CONSOLE = "console"

TO_COME = {
    "Discord": ("DISCORD_TOKEN",),
    "Slack": ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"),
}
"""Platforms that people expect, and the variables that say so: nobody shall wait for a bot that cannot come."""

HOW_TO_START = (
    "Set HEYGEN_API_KEY, or AVATAR_PROVIDER=simulator, and chat from here with `avatar-relay run --console`; "
    "or try everything without an account with `avatar-relay demo`."
)

Tell = Callable[[str], None]
MakeChat = Callable[[Desk], ChatAdapter]


def configured_chats(settings: Settings, *, console: bool, names_set: Collection[str], tell: Tell) -> list[MakeChat]:
    """The chat platforms that can be started; tells in one line each which, and why the others are left out.

    names_set: the environment variables that have a value, whether they are settings of this version or not.
    Raises `SettingsError` where there is nothing to start.
    """
    found = {entry.name: entry for entry in entry_points(group=CHATS)}
    missing = [platform for platform in TO_COME if platform.lower() not in found]
    chats: list[MakeChat] = []
    for name, entry in sorted(found.items()):
        if name == CONSOLE:
            continue
        adapter = entry.load()
        if (why := adapter.missing(settings)) is None:
            chats.append(adapter)
            tell(f"{name.capitalize()}: starting.")
        else:
            tell(f"{name.capitalize()}: left out; {why}")
    for platform in missing:
        for name in TO_COME[platform]:
            if name in names_set:
                tell(f"{platform}: left out; {name} is set, but this version has no {platform} adapter yet.")
                break
    if console:
        chats.append(console_chat())
        tell("Console: reading from here.")
    elif chats:
        tell("Console: left out; add --console to chat from here.")
    if not chats:
        raise SettingsError(_nothing_to_start(missing))
    return chats


def console_chat() -> MakeChat:
    """The console as a chat platform."""
    make: MakeChat = entry_points(group=CHATS)[CONSOLE].load()
    return make


def _nothing_to_start(missing: list[str]) -> str:
    if missing:
        others = " or ".join(missing)
        return f"Nothing to start: this version talks to the console only, not to {others} yet. {HOW_TO_START}"
    return f"Nothing to start: no chat platform is configured. {HOW_TO_START}"
