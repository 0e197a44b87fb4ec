"""Rooms whose commands travel through a watch page: the page that holds a room's token publishes what the bot says to
the avatar, and reports what the avatar says in the room.

One `PageBridge` per process stands between the web, which knows pages, and a provider, which knows rooms; both sides
know only this module. It does no I/O. Who may have a seat, who waits and who takes over is the web's business.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bot.core.errors import AvatarAway, NotReady, ProviderError, StreamGone, Transient, Trouble
from bot.core.models import RoomAccess
from bot.core.ports import AvatarSeen

BACKLOG = 512
"""Messages of a room that are kept for a reader that is behind; a page that floods us loses its own oldest ones."""


AVATAR_LIMIT = 30.0
"""Seconds an avatar may be away from its room while somebody is there; then its stream is closed. v3 streams were seen
to take 14 s to come, LiveAvatar's rooms 2 to 5."""


@dataclass(frozen=True, slots=True)
class RoomMessage:
    """A JSON object on a room's data channel. What comes from a page is hostile until its reader has looked at it."""

    topic: str
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message that the page is to publish in its room, reliably; `id` is what `Seat.published` confirms."""

    id: str
    message: RoomMessage


RoomNews = RoomMessage | AvatarSeen
"""What a room brings: what is said in it, and whether the avatar is there."""


class MessageChannel:
    """News of one room on their way to one reader."""

    def __init__(self) -> None:
        self._arrived: deque[RoomNews] = deque(maxlen=BACKLOG)
        self._changed = asyncio.Event()
        self.is_closed = False

    def put(self, message: RoomNews) -> None:
        """Take what happened, unless the room is closed."""
        if not self.is_closed:
            self._arrived.append(message)
            self._changed.set()

    def close(self) -> None:
        """End the reading, once everything that arrived has been read."""
        self.is_closed = True
        self._changed.set()

    async def messages(self) -> AsyncIterator[RoomNews]:
        """What arrives, until the room is closed. For one reader at a time; the next one goes on from there."""
        while True:
            while self._arrived:
                yield self._arrived.popleft()
            if self.is_closed:
                return
            self._changed.clear()
            await self._changed.wait()


class BridgedRoom:
    """The provider's side of one room: publishes through whoever has the seat."""

    def __init__(self, seats: "PageBridge", upstream_id: str) -> None:
        """Made by `PageBridge.open`."""
        self._seats = seats
        self._upstream_id = upstream_id
        self._seat: Seat | None = None
        self._avatar_is_here: bool | None = None
        self._inbox = MessageChannel()

    @property
    def has_viewer(self) -> bool:
        """Whether a page has the seat."""
        return self._seat is not None

    async def publish(self, message: RoomMessage) -> None:
        """Have the page publish `message`; returns once it says that it did.

        Raises `NotReady` if nobody has the seat or the page left before it was given the message, `AvatarAway` where
        a page is in the room and does not find the avatar, `Transient` where the page left with the message,
        `StreamGone` where the room was closed. Cancelled, it takes back what the page was not given.
        """
        if self._inbox.is_closed:
            raise StreamGone("the room was closed here")
        if self._avatar_is_here is False:
            raise AvatarAway("a page is in the room, and the avatar is not")
        if self._seat is None:
            raise NotReady("nobody watches, so nobody can speak in the room")
        await self._seat.publish(message)

    def messages(self) -> AsyncIterator[RoomNews]:
        """What pages report, until the room is closed; see `MessageChannel`."""
        return self._inbox.messages()

    def close(self) -> None:
        """The stream is over: whoever has the seat is told by the end of `Seat.publications`."""
        self._inbox.close()
        self._seats.forget(self._upstream_id, self)
        if self._seat is not None:
            self._seat.lose(StreamGone("the room was closed here"))

    def seat(self, seat: "Seat | None") -> None:
        """Give the seat to a page; the one who had it loses it."""
        before, self._seat = self._seat, seat
        if before is not None:
            before.lose(None)

    def detach(self, seat: "Seat") -> None:
        """Note that a page has left, unless another one has the seat by now."""
        if self._seat is seat:
            self._seat = None

    def see(self, *, is_here: bool | None) -> None:
        """A page that may enter the room says whether the avatar is there; None: the page is no longer there itself."""
        before, self._avatar_is_here = self._avatar_is_here, is_here
        if before != is_here and False in (before, is_here):
            self._inbox.put(AvatarSeen(is_here))

    def receive(self, seat: "Seat", message: RoomMessage) -> None:
        """Take a report of the page that has the seat; what others say is not believed."""
        if self._seat is seat:
            self._inbox.put(message)


class Seat:
    """The web's side of one room, for the page that has joined it and plays both of the avatar's tracks."""

    def __init__(self, room: BridgedRoom) -> None:
        """Made by `PageBridge.attach`."""
        self._room = room
        self._queued: deque[OutgoingMessage] = deque()
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}
        self._changed = asyncio.Event()
        self._is_lost = False

    async def publications(self) -> AsyncIterator[OutgoingMessage]:
        """What the page is to publish, in this order, until the seat is lost or the room is closed."""
        while not self._is_lost:
            if self._queued:
                yield self._queued.popleft()
            else:
                self._changed.clear()
                await self._changed.wait()

    def published(self, publication_id: str) -> None:
        """The page says that it has published one; ids nobody waits for are ignored."""
        future = self._unconfirmed.pop(publication_id, None)
        if future is not None and not future.done():
            future.set_result(None)

    def deliver(self, message: RoomMessage) -> None:
        """The page reports what the avatar's participant said on the room's data channel."""
        self._room.receive(self, message)

    def leave(self) -> None:
        """The page has left the room, or its connection is gone. Harmless when the seat was lost before."""
        self._room.detach(self)
        self.lose(None)

    async def publish(self, message: RoomMessage) -> None:
        """See `BridgedRoom.publish`."""
        publication = OutgoingMessage(str(uuid.uuid4()), message)
        future = self._unconfirmed[publication.id] = asyncio.get_running_loop().create_future()
        self._queued.append(publication)
        self._changed.set()
        try:
            await future
        finally:
            self._unconfirmed.pop(publication.id, None)
            if publication in self._queued:
                self._queued.remove(publication)

    def lose(self, why: ProviderError | None) -> None:
        """End the seat; what the page was not given yet was surely not said."""
        self._is_lost = True
        not_given = {publication.id for publication in self._queued}
        self._queued.clear()
        for publication_id, future in self._unconfirmed.items():
            if future.done():
                continue
            if publication_id in not_given:
                future.set_exception(why or NotReady("the page left before it was given the message"))
            else:
                future.set_exception(
                    Transient("the page left with the message", may_have_taken_effect=True, trouble=Trouble.UNCONFIRMED)
                )
        self._changed.set()


class PageBridge:
    """Every room of this process that a page carries."""

    def __init__(self) -> None:
        self._rooms: dict[str, BridgedRoom] = {}

    def open(self, upstream_id: str) -> BridgedRoom:
        """The provider has a room whose commands go through a page."""
        room = self._rooms[upstream_id] = BridgedRoom(self, upstream_id)
        return room

    def attach(self, upstream_id: str) -> Seat | None:
        """A page has joined the room of a stream and plays both of the avatar's tracks: it takes the seat.

        None if commands of the stream do not go through a page, or the stream is over. Whoever had the seat loses
        it, so the web decides first who may have it.
        """
        room = self._rooms.get(upstream_id)
        if room is None:
            return None
        seat = Seat(room)
        room.seat(seat)
        room.see(is_here=True)
        return seat

    def see(self, upstream_id: str, *, is_here: bool | None) -> None:
        """See `BridgedRoom.see`; nothing where commands of the stream do not go through a page."""
        if (room := self._rooms.get(upstream_id)) is not None:
            room.see(is_here=is_here)

    def forget(self, upstream_id: str, room: BridgedRoom) -> None:
        """A room was closed."""
        if self._rooms.get(upstream_id) is room:
            del self._rooms[upstream_id]


@runtime_checkable
class SupportsPages(Protocol):
    """A provider some of whose rooms are carried by pages."""

    seats: PageBridge


@runtime_checkable
class SupportsBroadcast(Protocol):
    """A provider that can show a room to everybody, in a room of the operator's own."""

    async def door(self, upstream_id: str) -> RoomAccess | None:
        """A door of its own for one more page; None if that stream is not shown so. Raises `ProviderError`."""


def seats_of(provider: object) -> PageBridge:
    """The seats that the web fills for a provider; none ever where all its streams do without."""
    return provider.seats if isinstance(provider, SupportsPages) else PageBridge()
