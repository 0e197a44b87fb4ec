"""A room that is kept for as long as its stream lives: entered again when the connection to it is lost. It knows rooms
and messages, and nothing of what the messages mean."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from adapters.avatars.rooms.transport import Room, RoomTransport
from bot.core.errors import AvatarAway, RateLimited, StreamGone, Transient
from bot.core.models import Playback, RoomAccess
from bot.core.ports import AvatarSeen, Clock, StreamStatus
from bot.streams.page_bridge import RoomMessage, RoomNews

MAX_BACKOFF = 15.0
"""Seconds between attempts to get back into the room of a stream that the provider says is open."""

Ask = Callable[[], Awaitable[StreamStatus]]


class ReconnectingRoom:
    """The room of one stream."""

    def __init__(self, upstream_id: str, transport: RoomTransport, clock: Clock, ask: Ask) -> None:
        """`ask` gets the stream's status from the provider."""
        self.room: Room | None = None
        self.address: Playback | None = None
        self.ended: str | None = None
        self._upstream_id = upstream_id
        self._transport = transport
        self._clock = clock
        self._ask = ask

    async def join(self, address: Playback) -> Room:
        """Enter the room that `address` leads to, unless it was entered before. Raises `ProviderError`."""
        self.address = address
        return self.room or await self._enter(address)

    async def door(self) -> RoomAccess | None:
        """See `Room.door`; None while it is not entered."""
        return await self.room.door() if self.room is not None else None

    async def send(self, message: RoomMessage) -> None:
        """See `Room.send`; `Transient` also while the room of a stream that lives is being entered again."""
        if self.room is None:
            raise StreamGone("the stream has no room yet")
        try:
            await self.room.send(message)
        except StreamGone:
            if self._is_over():
                raise
            raise Transient("the room is being entered again", may_have_taken_effect=False) from None

    async def end(self, reason: str) -> None:
        """The stream is over. Only the first reason counts."""
        self.ended = self.ended or reason
        if self.room is not None:
            await self.room.leave()

    async def messages(self) -> AsyncGenerator[RoomNews, None]:
        """What is said in the room, and whether the avatar is missing there, until the stream is over. For one reader
        at a time; the next goes on from there."""
        pause, is_missing = 0.0, False
        while not self._is_over() and self.room is not None:
            since = self._clock.monotonic()
            async for message in self.room.messages():
                is_missing = message.is_here is False if isinstance(message, AvatarSeen) else is_missing
                yield message
                if self._is_over():
                    break
            if not self._is_over():
                pause = 0.0 if self._clock.monotonic() - since > MAX_BACKOFF else pause
                try:
                    is_back = await self._reconnect(pause)
                except AvatarAway:
                    is_missing = True
                    yield AvatarSeen(is_here=False)
                else:
                    if is_back and is_missing:
                        is_missing = False
                        yield AvatarSeen(is_here=True)
                pause = min(MAX_BACKOFF, max(1.0, pause * 2))

    def _is_over(self) -> bool:
        return self.ended is not None

    async def _reconnect(self, pause: float) -> bool:
        """The connection to the room is lost: enter it again after `pause` seconds, unless the stream is over. Whether
        it was entered. Raises `AvatarAway` if the avatar is not in it."""
        # Spread out who lost the connection together. No secret depends on it.
        await self._clock.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
        with suppress(Transient, RateLimited):
            status = await self._ask()
            if not status.is_open:
                await self.end(status.detail or "ended")
            elif self.room is not None and self.address is not None:
                await self.room.leave()
                await self._enter(self.address)
                return True
        return False

    async def _enter(self, address: Playback) -> Room:
        room = await self._transport.join(self._upstream_id, address)
        if self.ended is not None:
            await room.leave()
            raise StreamGone("the stream was closed while its room was being entered")
        self.room = room
        return room
