"""One page's dealings with the room of its session: its place in the line, its way in, and what it carries.

Commands to the avatar go out through the page with the seat, and what the avatar says comes back through it
(`bot.streams.page_bridge`). A door, with its token, is handed to a page that may enter at this moment and to no other.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aiohttp import ClientConnectionResetError

from adapters.web.lookup import SessionLookup
from adapters.web.protocol import (
    Ask,
    Avatar,
    ClientMessage,
    Give,
    Heard,
    Keep,
    Left,
    Message,
    Published,
    Seated,
    Visit,
    WantsDoor,
    door_message,
    enters_room,
    publish_message,
    room_of,
    seat_message,
)
from adapters.web.seats import SeatQueue, SeatStatus
from bot.core.errors import ProviderError
from bot.core.models import RoomAccess
from bot.core.ports import Clock, Timer
from bot.core.tasks import TaskSet
from bot.core.views import Phase, SessionView
from bot.streams.page_bridge import PageBridge, Seat

POLL_INTERVAL = 2.0
"""Seconds after which a door that could not be had is asked for again."""

Write = Callable[[list[Message]], Awaitable[None]]

_log = structlog.get_logger(__name__)


class ViewerRegistry:
    """The lines of all sessions that are watched, and what their visits need."""

    def __init__(self, lookup: SessionLookup, seats: PageBridge, clock: Clock) -> None:
        self.lookup = lookup
        self.seats = seats
        self.clock = clock
        self.here: dict[tuple[str, str], Viewer] = {}
        self._lines: dict[str, SeatQueue] = {}

    def line(self, session_id: str) -> SeatQueue:
        """The line of a session; those that everybody has left are forgotten."""
        if session_id not in self._lines:
            self._lines = {name: line for name, line in self._lines.items() if len(line)}
            self._lines[session_id] = SeatQueue(self.clock)
        return self._lines[session_id]

    def close(self) -> None:
        """Nobody watches any more."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()


class Viewer:
    """What one connected page has to do with the room, from `take` (what it says) and `note` (what is so)."""

    def __init__(self, rooms: ViewerRegistry, nonce: str, view: SessionView, write: Write) -> None:
        self._rooms = rooms
        self._nonce = nonce
        self._view = view
        self._write = write
        self._line = rooms.line(view.session_id)
        self._visitor: str | None = None
        self._is_for_one: bool | None = None
        self._told: SeatStatus | None = None
        self._door: RoomAccess | None = None
        self._seat: Seat | None = None
        self._later: Timer | None = None
        self._changed = asyncio.Event()
        self._tasks = TaskSet()
        self.has_carried = False

    def note(self, view: SessionView) -> None:
        """The session is as `view` says. A page that hears of no room leaves it, so its door is forgotten at once."""
        self._view = view
        if not self._has_room:
            self._leave_room()
            self._is_for_one = self._told = None
        self._changed.set()

    def take(self, said: ClientMessage) -> None:
        """The page said something."""
        match said:
            case Visit(visitor, plays):
                self._arrive(visitor, plays=plays)
            case Avatar(room, is_here):
                self._look(room, is_here=is_here)
            case Seated(room):
                self._take_seat(room)
            case Left():
                self._leave_seat()
            case WantsDoor():
                self._leave_room()
                self._changed.set()
            case Published(name) if self._seat is not None:
                self._seat.published(name)
            case Heard(message) if self._seat is not None:
                self._seat.deliver(message)
            case Ask() | Keep() | Give() if self._visitor is not None and self._is_for_one:
                act = {Ask: self._line.ask, Keep: self._line.keep, Give: self._line.give}[type(said)]
                act(self._visitor)

    async def run(self) -> None:
        """Tell the page where it stands and let it in, whenever that is different."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._update()

    async def leave(self) -> None:
        """The page's connection has ended."""
        self._leave_room()
        if self._later is not None:
            self._later.cancel()
        if self._visitor is not None and self._rooms.here.get(self._key(self._visitor)) is self:
            del self._rooms.here[self._key(self._visitor)]
            self._line.disconnect(self._visitor)
        await self._tasks.close()

    async def _update(self) -> None:
        if self._visitor is None or not self._has_room:
            return
        door: RoomAccess | None = None
        if self._is_for_one is None or (self._door is None and self._may_enter):
            door = await self._ask_for_door()
            if door is None:
                return
            self._is_for_one = door.is_seat
        if not self._may_enter:
            self._leave_room()
        elif self._door is None and door is not None:
            self._door = door
        else:
            door = None
        news: list[Message] = []
        if self._is_for_one and self._told != (standing := self._line.standing(self._visitor)):
            self._told = standing
            news.append(seat_message(standing))
        if door is not None and self._door is door:
            news.append(door_message(door))
        await self._write(news)

    @property
    def _has_room(self) -> bool:
        return enters_room(self._view) and self._view.phase is not Phase.ENDED

    @property
    def _may_enter(self) -> bool:
        return not self._is_for_one or (self._visitor is not None and self._line.has_seat(self._visitor))

    async def _ask_for_door(self) -> RoomAccess | None:
        try:
            door = await self._rooms.lookup.room_access(self._nonce)
        except ProviderError as error:
            _log.warning("room_not_entered", error=str(error))
            door = None
        if door is None:
            self._later = self._rooms.clock.call_later(POLL_INTERVAL, self._changed.set)
        return door

    def _arrive(self, visitor: str, *, plays: bool) -> None:
        if self._visitor is not None:
            return
        earlier = self._rooms.here.get(self._key(visitor))
        self._come_as(visitor, plays=plays)
        if earlier is not None:
            # A copied tab, or a dead line that nobody has noticed yet: the newest one goes on in its place.
            earlier.reassign()

    def reassign(self) -> None:
        """Somebody else is this visitor now; stand at the end of the line."""
        self._come_as(secrets.token_urlsafe(16), plays=False)

    def _come_as(self, visitor: str, *, plays: bool) -> None:
        self._visitor = visitor
        self._rooms.here[self._key(visitor)] = self
        self._line.connect(visitor, self._changed.set, plays=plays)
        self._changed.set()

    def _key(self, visitor: str) -> tuple[str, str]:
        return self._view.session_id, visitor

    def _look(self, room: str, *, is_here: bool) -> None:
        if (door := self._seat_door(room)) is not None:
            self._rooms.seats.see(door.upstream_id, is_here=is_here)

    def _seat_door(self, room: str) -> RoomAccess | None:
        """The door this page went through into `room`, where it may have the seat there."""
        door = self._door
        if self._visitor is None or door is None or not door.is_seat or room_of(door) != room or not self._may_enter:
            return None
        return door

    def _take_seat(self, room: str) -> None:
        door = self._seat_door(room)
        if self._visitor is None or self._seat is not None or door is None:
            return
        self._line.note_playing(self._visitor)
        self._seat = self._rooms.seats.attach(door.upstream_id)
        if self._seat is not None:
            self.has_carried = True
            self._tasks.create_task(self._carry(self._seat), name="what the avatar is told through a page")

    async def _carry(self, seat: Seat) -> None:
        with suppress(ClientConnectionResetError):  # the listener notices as well, and leaves
            async for publication in seat.publications():
                await self._write([publish_message(publication)])

    def _leave_seat(self) -> None:
        if self._door is not None and self._door.is_seat:
            self._rooms.seats.see(self._door.upstream_id, is_here=None)
        if self._seat is not None:
            self._seat.leave()
            self._seat = None

    def _leave_room(self) -> None:
        self._leave_seat()
        self._door = None
