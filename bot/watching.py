"""How people watch, decided from the settings and what the provider can do, with the reason in words: for the start,
for `doctor`, and for who enters rooms. Pure but for a look at which packages there are; what is decided is put together
in `bot.app`.
"""

from dataclasses import dataclass
from enum import Enum, auto
from importlib.util import find_spec

from bot.core.errors import SettingsError
from bot.settings import RoomTransportChoice, Settings, WatchChoice

NO_SERVER = (
    "AVATAR_WATCH is livekit, and LIVEKIT_URL is not set: set it and its key, or AVATAR_WATCH=hls, and the bot serves "
    "the picture itself."
)

EXTRA = "avatar-relay[livekit]"
"""What brings the packages to be in rooms and to encode them."""


NO_EXTRA = f"LIVEKIT_URL is not set; install {EXTRA}, and the bot serves the picture to everybody"


class RoomWay(Enum):
    """How the picture of a LiveKit room, which has one place, comes to people."""

    ENCODED = auto()
    """The bot takes the place, and serves what it gets as HLS."""
    BROADCAST = auto()
    """The bot takes the place, and republishes on the operator's own LiveKit server."""
    SEAT = auto()
    """One watch page at a time takes the place."""


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """is_served: pages get the picture of a stream with an HLS address from the bot, not from the provider. is_encoded:
    the bot makes HLS of the rooms that it is in. has_media: every picture and its sound pass through the bot, so both
    can be had where nothing else can be reached. told: what that means and why, as the rest of a sentence."""

    is_served: bool
    told: str
    is_encoded: bool = False
    has_media: bool = False


def can_encode() -> bool:
    """Whether rooms can be made HLS of. Does not import the packages: PyAV is for the encoder's process alone."""
    return find_spec("av") is not None and find_spec("livekit") is not None


def way_of_rooms(settings: Settings) -> RoomWay:
    """What the settings come to for a provider with rooms. `plan_watching` says whether that is possible."""
    choice, carrier = settings.avatar.watch, settings.avatar.carrier
    named = {WatchChoice.HLS: RoomWay.ENCODED, WatchChoice.LIVEKIT: RoomWay.BROADCAST, WatchChoice.SEAT: RoomWay.SEAT}
    if choice in named:
        return named[choice]
    if carrier is RoomTransportChoice.PAGE:
        return RoomWay.SEAT
    if settings.livekit.is_set:
        return RoomWay.BROADCAST
    return RoomWay.ENCODED if can_encode() or carrier is RoomTransportChoice.BOT else RoomWay.SEAT


def plan_watching(
    settings: Settings, *, shows_hls: bool, enters_rooms: bool = True, is_stand_in: bool = False
) -> WatchPlan:
    """What `AVATAR_WATCH` and `AVATAR_CARRIER` come to.

    `shows_hls`: the provider's streams have an HLS address, which any number can play. `enters_rooms`: the bot can be
    in its rooms (`bot.streams.entered_rooms`). `is_stand_in`: a simulator without a LiveKit server, which shows
    everything as HLS.

    Raises `SettingsError` if they ask for what cannot be.
    """
    choice, provider = settings.avatar.watch, settings.avatar.provider
    if not shows_hls and not is_stand_in:
        if enters_rooms:
            return _plan_rooms(settings)
        if choice in (WatchChoice.HLS, WatchChoice.DIRECT):
            raise SettingsError(f"AVATAR_WATCH is {choice.value}, and {provider} shows no HLS: it must be auto.")
        return WatchPlan(True, f"as {provider} shows it, which neither shows HLS nor lets the bot into its rooms")
    if choice is WatchChoice.DIRECT:
        return WatchPlan(False, f"every page fetches {provider}'s HLS from there (AVATAR_WATCH=direct)")
    if choice in (WatchChoice.LIVEKIT, WatchChoice.SEAT) and not is_stand_in:
        raise SettingsError(
            f"AVATAR_WATCH is {choice.value}, and {provider} shows HLS and no room: it must be auto, hls or direct."
        )
    why = f"AVATAR_WATCH={choice.value}" if shows_hls else "the simulator has no LiveKit server"
    return WatchPlan(True, f"the bot hands on {provider}'s HLS, fetched once for everybody ({why})", has_media=True)


def _plan_rooms(settings: Settings) -> WatchPlan:
    choice, carrier, provider = settings.avatar.watch, settings.avatar.carrier, settings.avatar.provider
    if choice is WatchChoice.DIRECT:
        raise SettingsError(
            f"AVATAR_WATCH is direct, and {provider} shows no HLS: it must be auto, hls, livekit or seat."
        )
    way = way_of_rooms(settings)
    wanted = RoomTransportChoice.PAGE if way is RoomWay.SEAT else RoomTransportChoice.BOT
    if carrier not in (RoomTransportChoice.AUTO, wanted):
        raise SettingsError(
            f"AVATAR_WATCH is {choice.value}, for which AVATAR_CARRIER must be {wanted.value} or auto: it is "
            f"{carrier.value}. Remove AVATAR_CARRIER."
        )
    if way is RoomWay.BROADCAST:
        if not settings.livekit.is_set:
            raise SettingsError(NO_SERVER)
        return WatchPlan(True, f"everybody watches in a room on {settings.livekit.url} (LIVEKIT_URL is set)")
    if way is RoomWay.ENCODED:
        return _plan_encoding(settings)
    why = f"AVATAR_WATCH={choice.value}"
    if choice is WatchChoice.AUTO:
        why = "AVATAR_CARRIER=page" if carrier is RoomTransportChoice.PAGE else NO_EXTRA
    return WatchPlan(True, f"one page at a time, in {provider}'s own LiveKit room ({why})")


def _plan_encoding(settings: Settings) -> WatchPlan:
    choice, provider = settings.avatar.watch, settings.avatar.provider
    asked = f"AVATAR_WATCH is {choice.value}" if choice is WatchChoice.HLS else "AVATAR_CARRIER is bot"
    if not can_encode():
        raise SettingsError(
            f"{asked}, and the bot cannot encode {provider}'s rooms: install {EXTRA}, or set AVATAR_WATCH=seat for one "
            "page at a time."
        )
    why = f"AVATAR_WATCH={choice.value}"
    if choice is WatchChoice.AUTO:
        why = f"LIVEKIT_URL is not set, and {EXTRA} is installed"
    told = f"everybody watches HLS from the bot, which encodes {provider}'s room ({why})"
    return WatchPlan(True, told, is_encoded=True, has_media=True)


def address_of_provider(settings: Settings) -> str:
    """How the avatar service is addressed. An installed provider of somebody else counts as one on the internet."""
    return settings.liveavatar.api_url if settings.avatar.provider == "liveavatar" else settings.heygen.api_url
