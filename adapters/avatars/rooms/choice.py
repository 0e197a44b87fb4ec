"""Which carrier a room gets: the configured one, or that of the simulator's stand-in rooms, known by their address."""

from collections.abc import Callable
from importlib.util import find_spec

from adapters.avatars.rooms.bot_in_room import MISSING, BotCarrier
from adapters.avatars.rooms.carrier import Carrier, Room
from adapters.avatars.rooms.page import PageCarrier
from adapters.avatars.rooms.stand_in import StandInCarrier, is_stand_in
from bot.errors import SettingsError
from bot.model import Playback
from bot.rooms import RoomSeats
from bot.settings import CarrierChoice, Settings


class ChosenCarrier:
    """`Carrier` that sends each room to the right one."""

    def __init__(self, configured: Carrier) -> None:
        self._configured = configured
        self._stand_in = StandInCarrier()

    async def enter(self, upstream_id: str, playback: Playback) -> Room:
        """Enter with the carrier the address asks for."""
        is_local = is_stand_in(playback.livekit_url or "")
        return await (self._stand_in if is_local else self._configured).enter(upstream_id, playback)


def carrier_for(settings: Settings) -> Callable[[RoomSeats], Carrier]:
    """The carrier that `AVATAR_CARRIER` asks for. Raises `SettingsError` where it cannot be had."""
    choice = settings.avatar.carrier
    if choice is CarrierChoice.AUTO:
        choice = CarrierChoice.BOT if settings.livekit.is_set else CarrierChoice.PAGE
    if choice is CarrierChoice.PAGE:
        return lambda seats: ChosenCarrier(PageCarrier(seats))
    if not settings.livekit.is_set:
        raise SettingsError(
            "LIVEKIT_URL is not set, and AVATAR_CARRIER is bot: the bot would take the room's only place, and nobody "
            "could watch. Set LIVEKIT_URL, or AVATAR_CARRIER=page."
        )
    if find_spec("livekit") is None:
        raise SettingsError(MISSING)
    return lambda _: ChosenCarrier(BotCarrier())
