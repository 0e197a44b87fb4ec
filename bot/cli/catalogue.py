"""What `avatar-relay avatars` and `avatar-relay voices` print: what can be chosen at the provider. Changes nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from bot import sentences
from bot.core.errors import Refused
from bot.core.ports import CatalogueEntry, Clock, Echo
from bot.plugins import make_provider
from bot.settings import SIMULATOR, Settings
from bot.terminal import printable


async def show_avatars(settings: Settings, clock: Clock, echo: Echo, *, containing: str, as_json: bool) -> None:
    """Print the avatars whose name or id contains a text. Raises `ProviderError` and `SettingsError`."""
    _refuse_simulator(settings)
    async with make_provider(settings, clock) as provider:
        _show(await provider.avatars(), "avatar", containing, echo, as_json=as_json)


async def show_voices(settings: Settings, clock: Clock, echo: Echo, *, containing: str, as_json: bool) -> None:
    """Print the voices whose name or id contains a text. Raises `ProviderError` and `SettingsError`."""
    _refuse_simulator(settings)
    async with make_provider(settings, clock) as provider:
        _show(await provider.voices(), "voice", containing, echo, as_json=as_json)


def _show(entries: Sequence[CatalogueEntry], what: str, containing: str, echo: Echo, *, as_json: bool) -> None:
    wanted = containing.casefold()
    found = [entry for entry in entries if wanted in entry.name.casefold() or wanted in entry.id.casefold()]
    if as_json:
        echo(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    echo(f"{sentences.count(len(found), what).capitalize()}.")
    width = max((len(entry.id) for entry in found), default=0)
    for entry in found:
        echo(f"  {printable(entry.id):<{width}}  {printable(entry.name)}")


def _refuse_simulator(settings: Settings) -> None:
    if settings.avatar.provider == SIMULATOR:
        raise Refused(
            "AVATAR_PROVIDER is simulator, which has its avatars only while it runs. Set a real provider.",
            stage="shell",
        )
