"""A broadcast room: on the operator's own LiveKit server, where everybody can watch an avatar whose room has one place.

It opens when the first page asks for access, so a session nobody watches costs nothing here, and stays until its stream
is over. Viewers are in this room alone: nothing of them, not even their number, reaches the provider.

Imports the `livekit` package, so it is itself imported only where such a server is configured.
"""

import asyncio
import secrets
from contextlib import suppress

import structlog
from livekit import rtc

from adapters.avatars.rooms.broadcast.server import PUBLISHER, BroadcastServer
from adapters.avatars.rooms.broadcast.tracks import TrackForwarder
from bot.core.errors import StreamGone, Transient
from bot.core.models import RoomAccess
from bot.core.ports import Clock
from bot.core.tasks import cancel_and_wait

log = structlog.get_logger(__name__)

DOOR_LIMIT = 15.0
"""Seconds a page waits for a broadcast room that is being opened."""

OPEN_LIMIT = 12.0
"""Seconds to make a room and enter it."""

LEAVE_LIMIT = 2.0
"""Seconds to leave one."""

BACKOFF = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt; after the last one the room is given up until a page asks again."""

STEADY = 60.0
"""Seconds after which a room that was lost counts as one that worked, and has all its attempts again."""


class BroadcastRoom:
    """Shows the avatar of one room that the bot is in."""

    def __init__(self, server: BroadcastServer, clock: Clock, upstream_id: str, avatar: rtc.Room) -> None:
        """`avatar` is the provider's room. Nothing happens before the first `door`."""
        self._server = server
        self._clock = clock
        self._upstream_id = upstream_id
        self._avatar = avatar
        # Whoever could guess it could not enter, but need not know it either.
        self._room = f"stage-{secrets.token_urlsafe(24)}"
        self._is_open = False
        # Whether it was opened, or could not be: nobody waits for the attempts after the first.
        self._is_settled = asyncio.Event()
        self._is_closed = False
        self._staying: asyncio.Task[None] | None = None

    async def door(self) -> RoomAccess:
        """Access for one more page. Raises `Transient` if the room cannot be reached, `StreamGone` when it is over."""
        if self._is_closed or not self._avatar.isconnected():
            raise StreamGone("the broadcast room was closed, or its avatar is not there")
        if self._staying is None or self._staying.done():
            self._is_settled.clear()
            self._staying = asyncio.create_task(self._run(), name=f"stage of {self._upstream_id}")
        with suppress(TimeoutError):
            async with asyncio.timeout(DOOR_LIMIT):
                await self._is_settled.wait()
        if not self._is_open:
            raise Transient("the LiveKit server of LIVEKIT_URL gave no room", may_have_taken_effect=False)
        return RoomAccess(self._upstream_id, self._server.url, self._server.viewer_token(self._room), is_seat=False)

    async def close(self) -> None:
        """Leave the room and remove it, with everybody in it. Harmless when that was done before; raises nothing."""
        self._is_closed = True
        self._is_settled.set()
        staying, self._staying = self._staying, None
        if staying is not None:
            await cancel_and_wait(staying)
            await self._server.delete(self._room)

    async def _run(self) -> None:
        """Be in the room, again and again, for as long as there is an avatar to show."""
        failures = 0
        while self._avatar.isconnected():
            since = self._clock.monotonic()
            try:
                await self._show()
                why = "the connection was lost"
            except Exception as trouble:  # noqa: BLE001 - the package raises its own undocumented errors, from Rust
                # Not its words: they may quote the address with its token.
                why = type(trouble).__name__
            failures = 1 if self._clock.monotonic() - since > STEADY else failures + 1
            if failures > len(BACKOFF):
                log.error("a broadcast room is given up until a page asks for it", stream=self._upstream_id, why=why)
                break
            log.warning("a broadcast room is not there; it is opened again", stream=self._upstream_id, why=why)
            await self._clock.sleep(BACKOFF[failures - 1])
        self._is_settled.set()

    async def _show(self) -> None:
        """Enter the room and forward the avatar, until the connection is lost. Raises what goes wrong on the way."""
        room = rtc.Room()
        lost = asyncio.Event()
        self._is_settled.clear()
        room.on("disconnected", lambda _: lost.set())
        try:
            async with asyncio.timeout(OPEN_LIMIT):
                await self._server.create(self._room)
                # Nothing is encoded while nobody watches (dynacast).
                options = rtc.RoomOptions(auto_subscribe=False, dynacast=True)
                await room.connect(self._server.url, self._server.publisher_token(self._room), options)
            log.info("a broadcast room is open", stream=self._upstream_id, identity=PUBLISHER)
            self._is_open = True
            self._is_settled.set()
            async with asyncio.TaskGroup() as tasks:
                forwarding = tasks.create_task(TrackForwarder(self._avatar, room).run())
                await lost.wait()
                forwarding.cancel()
        finally:
            # Who asks while a room that worked is opened again waits for it; a server that gave none is told at once.
            was_open, self._is_open = self._is_open, False
            if was_open and not self._is_closed:
                self._is_settled.clear()
            else:
                self._is_settled.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_LIMIT):
                    await room.disconnect()
