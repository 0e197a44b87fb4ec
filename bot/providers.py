"""Finds avatar providers by their names, and turns settings towards the simulator. Part of the composition root: it
loads adapters by their names and imports none.
"""

from importlib.metadata import entry_points

from pydantic import SecretStr

from bot.core.errors import SettingsError
from bot.core.ports import AvatarProvider, Clock
from bot.settings import PROVIDERS_GROUP, SIMULATOR, Settings, known_providers

SIMULATED_CLIENT = "heygen-realtime"
"""The client that `AVATAR_PROVIDER=simulator` talks to the simulator with."""


def make_provider(settings: Settings, clock: Clock, name: str | None = None) -> AvatarProvider:
    """The provider with a name, by default the chosen one. Raises `SettingsError` where it is unknown or has no key,
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


def point_at_simulator(settings: Settings, url: str, api_key: SecretStr) -> Settings:
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
