"""Which transport a room gets: the configured one, or that of the simulator's fake rooms, known by their address."""

from collections.abc import Callable
from functools import partial

from adapters.avatars.rooms.bot_transport import MISSING, BotTransport
from adapters.avatars.rooms.page_transport import PageTransport
from adapters.avatars.rooms.transport import Room, RoomTransport
from adapters.avatars.rooms.websocket_transport import WebSocketTransport, is_stand_in
from bot.core.errors import SettingsError
from bot.core.models import Playback
from bot.core.ports import Clock
from bot.settings import RoomTransportChoice, Settings
from bot.streams.page_bridge import PageBridge


class ChosenTransport:
    """`RoomTransport` that sends each room to the right one."""

    def __init__(self, configured: RoomTransport) -> None:
        self._configured = configured
        self._stand_in = WebSocketTransport()

    async def join(self, upstream_id: str, playback: Playback) -> Room:
        """Join with the transport the address asks for."""
        is_local = is_stand_in(playback.livekit_url or "")
        return await (self._stand_in if is_local else self._configured).join(upstream_id, playback)


def transport_for(settings: Settings, clock: Clock) -> Callable[[PageBridge], RoomTransport]:
    """The transport that `AVATAR_CARRIER` asks for. Raises `SettingsError` if it is not available."""
    bot = bot_transport_for(settings, clock)
    return lambda seats: ChosenTransport(bot or PageTransport(seats))


def bot_transport_for(settings: Settings, clock: Clock) -> BotTransport | None:
    """The bot with a broadcast room, if the settings ask for it; None if pages carry. Raises `SettingsError`."""
    choice = settings.avatar.carrier
    if choice is RoomTransportChoice.AUTO:
        choice = RoomTransportChoice.BOT if settings.livekit.is_set else RoomTransportChoice.PAGE
    if choice is RoomTransportChoice.PAGE:
        return None
    own = settings.livekit
    if own.url is None or own.api_key is None or own.api_secret is None:
        raise SettingsError(
            "LIVEKIT_URL is not set, and AVATAR_CARRIER is bot: the bot would take the room's only place, and nobody "
            "could watch. Set LIVEKIT_URL, or AVATAR_CARRIER=page."
        )
    try:
        from adapters.avatars.rooms.broadcast.room import BroadcastRoom
        from adapters.avatars.rooms.broadcast.server import BroadcastServer
    except ImportError:
        raise SettingsError(MISSING) from None
    server = BroadcastServer(own.url, own.api_key.get_secret_value(), own.api_secret, settings.session.max_duration)
    return BotTransport(partial(BroadcastRoom, server, clock))
