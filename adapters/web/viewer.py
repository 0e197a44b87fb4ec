"""What one page has to do with the room of its session: its place in the queue, its access, and what it carries.

Commands to the avatar go out through the page with the seat, and what the avatar says comes back through it
(`bot.streams.page_bridge`). The access, with its token, is sent to a page that may join at this moment and to no other.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aiohttp import ClientConnectionResetError

from adapters.web.lookup import SessionLookup
from adapters.web.protocol import (
    AvatarPresence,
    ClientMessage,
    DataReceived,
    Identify,
    Left,
    Playing,
    Published,
    PublishMessage,
    RequestAccess,
    SeatAction,
    ServerMessage,
    access_message,
    joins_room,
    room_of,
)
from adapters.web.seats import SeatQueue, SeatStatus
from bot.core.errors import ProviderError
from bot.core.models import RoomAccess
from bot.core.ports import Clock, Timer
from bot.core.tasks import TaskSet
from bot.core.views import Phase, SessionView
from bot.streams.page_bridge import PageBridge, RoomMessage, Seat

ACCESS_RETRY_DELAY = 2.0
"""Seconds after which access that could not be fetched is requested again."""

Write = Callable[[list[ServerMessage]], Awaitable[None]]

_log = structlog.get_logger(__name__)


class ViewerRegistry:
    """The seat queues of all sessions that are watched, and what their viewers need."""

    def __init__(self, lookup: SessionLookup, seats: PageBridge, clock: Clock) -> None:
        self.lookup = lookup
        self.seats = seats
        self.clock = clock
        self.viewers: dict[tuple[str, str], Viewer] = {}
        self._queues: dict[str, SeatQueue] = {}

    def queue(self, session_id: str) -> SeatQueue:
        """The queue of a session; those that everybody has left are forgotten."""
        if session_id not in self._queues:
            self._queues = {name: queue for name, queue in self._queues.items() if len(queue)}
            self._queues[session_id] = SeatQueue(self.clock)
        return self._queues[session_id]

    def close(self) -> None:
        """Nobody watches any more."""
        for queue in self._queues.values():
            queue.close()
        self._queues.clear()


class Viewer:
    """One connected page and its room; `handle` takes what the page says, `update` what the session is like."""

    def __init__(self, registry: ViewerRegistry, nonce: str, view: SessionView, write: Write) -> None:
        self._registry = registry
        self._nonce = nonce
        self._view = view
        self._write = write
        self._queue = registry.queue(view.session_id)
        self._visitor: str | None = None
        self._needs_seat: bool | None = None
        self._sent_status: SeatStatus | None = None
        self._access: RoomAccess | None = None
        self._seat: Seat | None = None
        self._retry: Timer | None = None
        self._changed = asyncio.Event()
        self._tasks = TaskSet()
        self.has_carried = False

    def update(self, view: SessionView) -> None:
        """The session is as `view` says. A page that hears of no room leaves it, so its access ends at once."""
        self._view = view
        if not self._has_room:
            self._leave_room()
            self._needs_seat = self._sent_status = None
        self._changed.set()

    def handle(self, message: ClientMessage) -> None:
        """The page said something."""
        match message:
            case Identify():
                self._identify(message.visitor, plays=message.plays)
            case AvatarPresence():
                self._report_avatar(message.room, is_here=message.is_here)
            case Playing():
                self._take_seat(message.room)
            case Left():
                self._leave_seat()
            case RequestAccess():
                self._leave_room()
                self._changed.set()
            case Published() if self._seat is not None:
                self._seat.published(message.id)
            case DataReceived() if self._seat is not None:
                self._seat.deliver(RoomMessage(message.topic, message.data))
            case SeatAction() if self._visitor is not None and self._needs_seat:
                act = {"ask": self._queue.request, "keep": self._queue.keep, "give": self._queue.release}[message.type]
                act(self._visitor)

    async def run(self) -> None:
        """Tell the page its status and give it access, whenever that is different."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._send_changes()

    async def disconnect(self) -> None:
        """The page's connection has ended."""
        self._leave_room()
        if self._retry is not None:
            self._retry.cancel()
        if self._visitor is not None and self._registry.viewers.get(self._key(self._visitor)) is self:
            del self._registry.viewers[self._key(self._visitor)]
            self._queue.disconnect(self._visitor)
        await self._tasks.close()

    async def _send_changes(self) -> None:
        if self._visitor is None or not self._has_room:
            return
        access: RoomAccess | None = None
        if self._needs_seat is None or (self._access is None and self._may_join):
            access = await self._fetch_access()
            if access is None:
                return
            self._needs_seat = access.is_seat
        if not self._may_join:
            self._leave_room()
        elif self._access is None and access is not None:
            self._access = access
        else:
            access = None
        messages: list[ServerMessage] = []
        if self._needs_seat and self._sent_status != (status := self._queue.status_of(self._visitor)):
            self._sent_status = status
            messages.append(status)
        if access is not None and self._access is access:
            messages.append(access_message(access))
        await self._write(messages)

    @property
    def _has_room(self) -> bool:
        return joins_room(self._view) and self._view.phase is not Phase.ENDED

    @property
    def _may_join(self) -> bool:
        return not self._needs_seat or (self._visitor is not None and self._queue.has_seat(self._visitor))

    async def _fetch_access(self) -> RoomAccess | None:
        try:
            access = await self._registry.lookup.room_access(self._nonce)
        except ProviderError as error:
            _log.warning("room_not_entered", error=str(error))
            access = None
        if access is None:
            self._retry = self._registry.clock.call_later(ACCESS_RETRY_DELAY, self._changed.set)
        return access

    def _identify(self, visitor: str, *, plays: bool) -> None:
        if self._visitor is not None:
            return
        previous = self._registry.viewers.get(self._key(visitor))
        self._connect_as(visitor, plays=plays)
        if previous is not None:
            # A copied tab, or a dead connection that nobody has noticed yet: the newest one takes its place.
            previous.reassign()

    def reassign(self) -> None:
        """Another page has this visitor's key now; go to the end of the queue under a new one."""
        self._connect_as(secrets.token_urlsafe(16), plays=False)

    def _connect_as(self, visitor: str, *, plays: bool) -> None:
        self._visitor = visitor
        self._registry.viewers[self._key(visitor)] = self
        self._queue.connect(visitor, self._changed.set, plays=plays)
        self._changed.set()

    def _key(self, visitor: str) -> tuple[str, str]:
        return self._view.session_id, visitor

    def _report_avatar(self, room: str, *, is_here: bool) -> None:
        if (access := self._seat_access(room)) is not None:
            self._registry.seats.see(access.upstream_id, is_here=is_here)

    def _seat_access(self, room: str) -> RoomAccess | None:
        """The access that this page was given to `room`, if it may have the seat there."""
        access = self._access
        if access is None or not access.is_seat or room_of(access) != room or not self._may_join:
            return None
        return access

    def _take_seat(self, room: str) -> None:
        access = self._seat_access(room)
        if self._visitor is None or self._seat is not None or access is None:
            return
        self._queue.note_playing(self._visitor)
        self._seat = self._registry.seats.attach(access.upstream_id)
        if self._seat is not None:
            self.has_carried = True
            self._tasks.create_task(self._publish(self._seat), name="what the avatar is told through a page")

    async def _publish(self, seat: Seat) -> None:
        with suppress(ClientConnectionResetError):  # the reader of the connection notices as well, and ends it
            async for publication in seat.publications():
                message = publication.message
                await self._write([PublishMessage(id=publication.id, topic=message.topic, data=message.data)])

    def _leave_seat(self) -> None:
        if self._access is not None and self._access.is_seat:
            self._registry.seats.see(self._access.upstream_id, is_here=None)
        if self._seat is not None:
            self._seat.leave()
            self._seat = None

    def _leave_room(self) -> None:
        self._leave_seat()
        self._access = None
