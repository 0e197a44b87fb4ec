"""Which transport a room gets: the configured one, or that of the simulator's fake rooms, known by their address."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from adapters.avatars.rooms.bot_transport import MISSING, BotTransport
from adapters.avatars.rooms.page_transport import PageTransport
from adapters.avatars.rooms.transport import Room, RoomTransport
from adapters.avatars.rooms.websocket_transport import WebSocketTransport, is_stand_in
from bot.core.errors import SettingsError
from bot.core.models import Playback
from bot.core.ports import Clock
from bot.settings import Settings
from bot.streams.entered_rooms import EnteredRooms
from bot.streams.page_bridge import PageBridge
from bot.watching import NO_SERVER, RoomWay, way_of_rooms

if TYPE_CHECKING:
    from livekit import rtc


class ChosenTransport:
    """`RoomTransport` that sends each room to the right one."""

    def __init__(self, configured: RoomTransport) -> None:
        self._configured = configured
        self._stand_in = WebSocketTransport()

    async def join(self, upstream_id: str, playback: Playback) -> Room:
        """Join with the transport the address asks for."""
        is_local = is_stand_in(playback.livekit_url or "")
        return await (self._stand_in if is_local else self._configured).join(upstream_id, playback)


def transport_for(
    settings: Settings, clock: Clock, entered: "EnteredRooms[rtc.Room]"
) -> Callable[[PageBridge], RoomTransport]:
    """The transport that the way of watching asks for. Raises `SettingsError` if it cannot be made."""
    bot = bot_transport_for(settings, clock, entered)
    return lambda seats: ChosenTransport(bot or PageTransport(seats))


def bot_transport_for(settings: Settings, clock: Clock, entered: "EnteredRooms[rtc.Room]") -> BotTransport | None:
    """The bot, where people watch what it gets in the room (`bot.watching.way_of_rooms`), which `entered` learns of;
    None where pages carry.

    Raises `SettingsError` if a broadcast room cannot be made. Whether there is anything to encode with is for
    `bot.watching.plan_watching` to say.
    """
    way = way_of_rooms(settings)
    if way is RoomWay.SEAT:
        return None
    if way is RoomWay.ENCODED:
        return BotTransport(entered=entered)
    own = settings.livekit
    if own.url is None or own.api_key is None or own.api_secret is None:
        raise SettingsError(NO_SERVER)
    try:
        from adapters.avatars.rooms.broadcast.room import BroadcastRoom
        from adapters.avatars.rooms.broadcast.server import BroadcastServer
    except ImportError:
        raise SettingsError(MISSING) from None
    server = BroadcastServer(own.url, own.api_key.get_secret_value(), own.api_secret, settings.session.max_duration)
    return BotTransport(partial(BroadcastRoom, server, clock), entered)
