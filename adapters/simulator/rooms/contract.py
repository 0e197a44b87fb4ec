"""What a room is to the avatar in it, whatever the room is made of: LiveKit, or the simulator's own WebSockets.

Contracts only; `room_sockets` and `livekit_room` keep them.
"""

from typing import Protocol

from aiohttp import web

from adapters.simulator.streams import LiveStream
from adapters.simulator.wire import Json

CLIENT = "client"
"""The one identity that viewers have: whoever joins with it removes whoever had it (LiveKit: DUPLICATE_IDENTITY)."""
AGENT = "agent"
AVATAR = "heygen"


class RoomFailed(Exception):
    """A room could not be made; the text says why."""


class Occupant(Protocol):
    """The avatar's part in a room: it hears who comes and goes and what they send."""

    def joined(self, identity: str) -> None:
        """Somebody else is in the room."""

    def left(self, identity: str) -> None:
        """Somebody else is gone."""

    def subscribed(self) -> None:
        """Somebody receives both of the avatar's tracks."""

    def receive(self, topic: str, message: Json, /) -> None:
        """Somebody sent data; what is not JSON never arrives here."""


class Room(Protocol):
    """A room with the avatar in it."""

    def send(self, topic: str, message: Json) -> None:
        """Send to everybody in the room, in order; never waits."""

    async def ready(self) -> None:
        """Wait until the avatar is in it. Raises `RoomFailed`."""

    def close(self) -> None:
        """Everybody has to leave, and the room is gone; never waits."""


class Rooms(Protocol):
    """Where rooms are made."""

    is_real: bool
    """Whether these are rooms of a LiveKit server."""

    def open(self, stream: LiveStream, occupant: Occupant) -> Room:
        """Make the room of a stream; the avatar is on its way into it."""

    def move_avatar(self, room: str, *, is_here: bool) -> None:
        """The avatar leaves its room, where nothing reaches it, or comes back. Raises KeyError for an unknown room."""

    def url(self, request: web.BaseRequest, room: str) -> str:
        """The address that this client joins at."""

    def token(self, identity: str, room: str) -> str:
        """What it joins with."""

    async def stop(self) -> None:
        """Close every room and wait until they are closed."""


class NoRoom:
    """The room of a stream that has none yet, or none any more."""

    def send(self, topic: str, message: Json) -> None:
        """Nobody hears it."""

    async def ready(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """There is nothing to close."""
