"""Finds the chat platforms that can be started, and says in plain words which and why not. Part of the composition
root: it loads adapters by their names and imports none.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from pydantic import SecretStr

from bot.core.errors import SettingsError
from bot.core.ports import AvatarProvider, Clock, Echo
from bot.facade import Bot, ChatAdapter
from bot.settings import PROVIDERS_GROUP, SIMULATOR, Settings, known_providers

SIMULATED_CLIENT = "heygen-realtime"
"""The client that `AVATAR_PROVIDER=simulator` talks to the simulator with."""


def make_provider(settings: Settings, clock: Clock, name: str | None = None) -> AvatarProvider:
    """The provider with a name, by default the chosen one. Raises `SettingsError` if it is unknown or has no key,
    and where the chosen one has no such quality of picture."""
    is_chosen = name is None
    name = name or settings.avatar.provider
    found = {entry.name: entry for entry in entry_points(group=PROVIDERS_GROUP)}
    if name not in found:
        raise SettingsError(f'AVATAR_PROVIDER is "{name}": it must be one of {", ".join(known_providers())}.')
    provider: AvatarProvider = found[name].load().from_settings(settings, clock)
    qualities, wanted = provider.capabilities.qualities, settings.avatar.quality
    if is_chosen and qualities and wanted not in qualities:
        raise SettingsError(f'AVATAR_QUALITY is "{wanted}": with {name} it must be one of {", ".join(qualities)}.')
    return provider


def with_simulator(settings: Settings, url: str, api_key: SecretStr) -> Settings:
    """The same settings with every outside service, its key included, replaced by the simulator at `url`."""
    avatar = settings.avatar
    if avatar.provider == SIMULATOR:
        avatar = avatar.model_copy(update={"provider": SIMULATED_CLIENT})
    service = {"api_url": url, "api_key": api_key}
    chat = {"api_url": f"{url}/v1", "api_key": api_key, "model": "simulator"}
    return settings.model_copy(
        update={
            "avatar": avatar,
            "heygen": settings.heygen.model_copy(update=service),
            "liveavatar": settings.liveavatar.model_copy(update=service),
            "chat_model": settings.chat_model.model_copy(update=chat),
        }
    )


CHATS = "avatar_relay.chat"
CONSOLE = "console"

SETUP = "avatar_relay.setup"
"""What adapters offer for their set-up: functions from the settings to text that is printed."""

HOW_TO_START = (
    "Set DISCORD_TOKEN, or SLACK_BOT_TOKEN and SLACK_APP_TOKEN; or chat from here with `avatar-relay run --console`; "
    "or try everything without an account with `avatar-relay demo`."
)

AdapterFactory = Callable[[Bot], ChatAdapter]


def load_adapters(settings: Settings, *, console: bool, echo: Echo) -> list[AdapterFactory]:
    """The chat platforms that can be started; tells in one line each which, and why the others are left out.

    Raises `SettingsError` if there is nothing to start.
    """
    chats: list[AdapterFactory] = []
    for entry in sorted(entry_points(group=CHATS), key=lambda entry: entry.name):
        if entry.name != CONSOLE:
            chats += _chat(entry, settings, echo)
    if console:
        chats.append(console_chat())
        echo("Console: reading from here.")
    elif chats:
        echo("Console: left out; add --console to chat from here.")
    if not chats:
        raise SettingsError(f"Nothing to start: no chat platform is configured. {HOW_TO_START}")
    return chats


def console_chat() -> AdapterFactory:
    """The console as a chat platform."""
    make: AdapterFactory = entry_points(group=CHATS)[CONSOLE].load()
    return make


def setup_text(name: str) -> Callable[[Settings], str]:
    """What an adapter offers for its set-up under a name, such as a manifest. Its result raises `SettingsError`.

    Raises `SettingsError` if the adapter's extra is not installed.
    """
    entry = entry_points(group=SETUP)[name]
    try:
        words: Callable[[Settings], str] = entry.load()
    except ModuleNotFoundError as error:
        extra = name.partition("-")[0]
        raise SettingsError(
            f"{error.name} is not installed. Add it with: pip install 'avatar-relay[{extra}]'"
        ) from None
    return words


def _chat(entry: EntryPoint, settings: Settings, echo: Echo) -> list[AdapterFactory]:
    """The platform of an entry point, or nothing where it cannot be started."""
    title = entry.name.capitalize()
    try:
        if (why := _missing_settings(entry, settings)) is not None:
            echo(f"{title}: left out; {why}")
            return []
        adapter = entry.load()
    except ModuleNotFoundError as error:
        echo(f"{title}: left out; {error.name} is not installed. Add it with: pip install 'avatar-relay[{entry.name}]'")
        return []
    echo(f"{title}: starting.")
    return [adapter]


def _missing_settings(entry: EntryPoint, settings: Settings) -> str | None:
    """Asks the module of the class where it has a function of that name: a library that is not used is not loaded."""
    ask: Callable[[Settings], str | None] | None = getattr(import_module(entry.module), "missing_settings", None)
    return (ask or entry.load().missing_settings)(settings)
