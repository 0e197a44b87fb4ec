"""LiveKit rooms that the bot itself is in, on their way from who enters them to who shows what is in them.

One `EnteredRooms` per provider stands between the provider, which enters and leaves rooms, and what makes pictures of
them (`bot.core.pictures`), which does neither; both sides know only this module. It does no I/O, and what a room is
(`livekit.rtc.Room`) is for both sides to know.
"""

from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

Room = TypeVar("Room")
RoomOfFollower = TypeVar("RoomOfFollower", contravariant=True)


class RoomFollower(Protocol[RoomOfFollower]):
    """Wants to know which rooms the bot is in."""

    def enter(self, upstream_id: str, room: RoomOfFollower) -> None:
        """The bot has entered the room of a stream; one that it was in before is left."""

    def leave(self, upstream_id: str, room: RoomOfFollower) -> None:
        """It leaves that room. Harmless for one that it did not get into, and where it has entered another one for the
        stream since."""


class EnteredRooms(Generic[Room]):
    """Tells its follower, if there is one. Set `follower` before the first stream opens."""

    def __init__(self) -> None:
        self.follower: RoomFollower[Room] | None = None

    def enter(self, upstream_id: str, room: Room) -> None:
        """See `RoomFollower`."""
        if self.follower is not None:
            self.follower.enter(upstream_id, room)

    def leave(self, upstream_id: str, room: Room) -> None:
        """See `RoomFollower`."""
        if self.follower is not None:
            self.follower.leave(upstream_id, room)


@runtime_checkable
class EntersRooms(Protocol):
    """A provider in some of whose rooms the bot itself is."""

    entered: EnteredRooms[Any]
