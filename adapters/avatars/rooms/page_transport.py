"""The transport without a connection of its own: the watch page that has the seat publishes the commands.

With nobody in the seat nothing can be said, which is `NotReady`: the queue waits and people read what for.
"""

import asyncio
from collections.abc import AsyncIterator

from bot.core.errors import Transient, Trouble
from bot.core.models import Playback, RoomAccess
from bot.streams.page_bridge import BridgedRoom, PageBridge, RoomMessage, RoomNews

CONFIRM_LIMIT = 5.0
"""Seconds a page may take to say that it has published. It is a hop over its WebSocket and back."""


class PageTransport:
    """`RoomTransport` over `PageBridge`."""

    def __init__(self, seats: PageBridge) -> None:
        self._seats = seats

    async def join(self, upstream_id: str, playback: Playback) -> "PageRoom":
        """Offer a seat in the room; whether somebody takes it is another matter."""
        return PageRoom(self._seats.open(upstream_id), playback)


class PageRoom:
    """`Room` that is reached through a page."""

    def __init__(self, room: BridgedRoom, playback: Playback) -> None:
        self.playback = playback
        self._room = room

    async def door(self) -> RoomAccess | None:
        """None: one page has the seat, and the others wait for it."""
        return None

    async def send(self, message: RoomMessage) -> None:
        """Have the page publish it, and wait until it says so."""
        try:
            async with asyncio.timeout(CONFIRM_LIMIT):
                await self._room.publish(message)
        except TimeoutError:
            raise Transient(
                "the page did not say that it published a command",
                may_have_taken_effect=True,
                trouble=Trouble.UNCONFIRMED,
            ) from None

    def messages(self) -> AsyncIterator[RoomNews]:
        """What pages report."""
        return self._room.messages()

    async def leave(self) -> None:
        """Close the room for its page."""
        self._room.close()
