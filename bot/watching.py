"""How people watch, decided from the settings and what the provider can do, with the reason in words: for the start and
for `doctor`. Pure; what is decided is put together in `bot.app`.
"""

from dataclasses import dataclass
from importlib.util import find_spec

from bot.core.errors import SettingsError
from bot.settings import Settings, WatchChoice


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """is_served: pages get the picture of a stream with an HLS address from the bot, not from the provider. told: what
    that means and why, as the rest of a sentence."""

    is_served: bool
    told: str


def can_encode() -> bool:
    """Whether rooms can be made HLS of. Does not import the packages: PyAV is for the encoder's process alone."""
    return find_spec("av") is not None and find_spec("livekit") is not None


def plan_watching(settings: Settings, *, shows_hls: bool) -> WatchPlan:
    """What `AVATAR_WATCH` comes to. `shows_hls`: the provider's streams have an HLS address, which any number can play.

    Raises `SettingsError` if it asks for what the provider cannot do.
    """
    choice, provider = settings.avatar.watch, settings.avatar.provider
    setting = f"AVATAR_WATCH={choice.value}"
    is_served = choice is not WatchChoice.DIRECT
    if shows_hls:
        if is_served:
            return WatchPlan(True, f"the bot hands on {provider}'s HLS, fetched once for everybody ({setting})")
        return WatchPlan(False, f"every page fetches {provider}'s HLS from there ({setting})")
    if choice is WatchChoice.HLS:
        raise SettingsError(f"AVATAR_WATCH is hls, and {provider} shows no HLS: it must be auto or direct.")
    if settings.livekit.is_set:
        return WatchPlan(is_served, f"everybody watches in a room on {settings.livekit.url} (LIVEKIT_URL is set)")
    return WatchPlan(
        is_served, f"one page at a time, in {provider}'s own LiveKit room (it shows no HLS, and LIVEKIT_URL is not set)"
    )


def address_of_provider(settings: Settings) -> str:
    """How the avatar service is addressed. An installed provider of somebody else counts as one on the internet."""
    return settings.liveavatar.api_url if settings.avatar.provider == "liveavatar" else settings.heygen.api_url
