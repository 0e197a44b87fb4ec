"""Which rooms the bot is in, and a source of pictures for each that is asked for (`bot.core.pictures`)."""

import asyncio
import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from adapters.media.room.sink import MediaSink
from adapters.media.room.source import RoomPicture
from bot.core.errors import PictureUnavailable
from bot.core.models import Playback
from bot.core.ports import Clock
from bot.watching import can_encode

if TYPE_CHECKING:
    from livekit import rtc

log = structlog.get_logger(__name__)

MISSING = "The bot cannot encode rooms: install avatar-relay[livekit]"


@dataclass(slots=True)
class _Place:
    """Of one stream: the room that the bot is in just now, and who follows it."""

    room: "rtc.Room | None" = None
    followers: set[asyncio.Event] = field(default_factory=set)

    def move(self, room: "rtc.Room | None") -> None:
        self.room = room
        for moved in self.followers:
            moved.set()


class RoomPictures:
    """`PictureSourceFactory` of the rooms that are entered."""

    def __init__(self, clock: Clock, ignored: str = "") -> None:
        """`ignored`: the identity of a participant who is no avatar."""
        self._clock = clock
        self._ignored = ignored
        self._places: dict[str, _Place] = {}
        self._has_told = False

    def enter(self, upstream_id: str, room: "rtc.Room") -> None:
        """The bot has entered the room of a stream; sources that are open go over to it."""
        self._places.setdefault(upstream_id, _Place()).move(room)

    def leave(self, upstream_id: str, room: "rtc.Room") -> None:
        """It has left that room; harmless where it has entered another one for the stream since. Open sources show the
        last picture."""
        place = self._places.get(upstream_id)
        if place is not None and place.room is room:
            place.move(None)
            self._forget(upstream_id)

    def can_show(self, playback: Playback) -> bool:
        """Of `PictureSourceFactory`: the streams that nobody but the bot can watch, as it has their room's place."""
        return playback.hls_url is None and not playback.has_room

    async def open(self, upstream_id: str, playback: Playback) -> RoomPicture:  # noqa: ARG002 - the room is known
        """Of `PictureSourceFactory`. Raises `PictureUnavailable`."""
        place = self._places.get(upstream_id)
        if place is None or place.room is None:
            raise PictureUnavailable(f"the bot is not in the room of {upstream_id}")
        if not can_encode():
            if not self._has_told:
                # It was there at the start, or there would be no such factory; told once, as pages ask all the time.
                self._has_told = True
                log.error("a room cannot be encoded", stream=upstream_id, do=MISSING)
            raise PictureUnavailable(MISSING)
        source = RoomPicture(upstream_id, partial(self._follow, upstream_id, place), self._clock)
        # Whoever opens it to watch fetches at once; who listens needs no encoder.
        source.start(encodes=False)
        return source

    async def _follow(self, upstream_id: str, place: _Place, sink: MediaSink) -> None:
        """Bring what is in the room, whichever it is just now."""
        from adapters.media.room.tracks import RoomTracks

        moved = asyncio.Event()
        numbers = itertools.count(1)
        place.followers.add(moved)
        try:
            while True:
                moved.clear()
                async with asyncio.TaskGroup() as tasks:
                    following = None
                    if place.room is not None:
                        tracks = RoomTracks(place.room, self._clock, numbers, self._ignored)
                        following = tasks.create_task(tracks.run(sink))
                    await moved.wait()
                    if following is not None:
                        following.cancel()
        finally:
            place.followers.discard(moved)
            self._forget(upstream_id)

    def _forget(self, upstream_id: str) -> None:
        place = self._places.get(upstream_id)
        if place is not None and place.room is None and not place.followers:
            del self._places[upstream_id]
