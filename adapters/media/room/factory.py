"""Which rooms the bot is in, and a source of pictures for each that is asked for (`bot.core.pictures`)."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from adapters.media.room.source import RoomPicture
from bot.core.errors import PictureUnavailable
from bot.core.models import Playback
from bot.core.ports import Clock

if TYPE_CHECKING:
    from livekit import rtc

MISSING = "The bot cannot encode rooms: install avatar-relay[livekit]"


class RoomPictures:
    """`PictureSourceFactory` of the rooms that are entered."""

    def __init__(self, clock: Clock, ignored: str = "") -> None:
        """`ignored`: the identity of a participant who is no avatar."""
        self._clock = clock
        self._ignored = ignored
        self._rooms: dict[str, rtc.Room] = {}

    def enter(self, upstream_id: str, room: "rtc.Room") -> None:
        """The bot has entered the room of a stream, again where it was in it before."""
        self._rooms[upstream_id] = room

    def leave(self, upstream_id: str, room: "rtc.Room") -> None:
        """It has left that room; harmless where it has entered another one for the stream since."""
        if self._rooms.get(upstream_id) is room:
            del self._rooms[upstream_id]

    def can_show(self, playback: Playback) -> bool:
        """Of `PictureSourceFactory`: the streams that nobody but the bot can watch, as it has their room's place."""
        return playback.hls_url is None and not playback.has_room

    async def open(self, upstream_id: str, playback: Playback) -> RoomPicture:  # noqa: ARG002 - the room is known
        """Of `PictureSourceFactory`. Raises `PictureUnavailable`."""
        room = self._rooms.get(upstream_id)
        if room is None:
            raise PictureUnavailable(f"the bot is not in the room of {upstream_id}")
        # Only the encoder's process imports PyAV.
        if find_spec("av") is None or find_spec("livekit") is None:
            raise PictureUnavailable(MISSING)
        from adapters.media.room.tracks import RoomTracks

        source = RoomPicture(upstream_id, RoomTracks(room, self._ignored).run, self._clock)
        source.start()
        return source
