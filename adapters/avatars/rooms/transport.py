"""The interface of transports. Somebody has to hold a room's token for a command to reach the avatar: a transport is
that somebody, or knows who is. It knows rooms and messages, and nothing of what the messages mean.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from bot.core.models import Playback, RoomAccess
from bot.streams.page_bridge import RoomMessage, RoomNews

VIEWER = "client"
"""The identity in the tokens that HeyGen gives viewers (seen in one of v1): what it says is not the avatar's word."""


class Room(Protocol):
    """One room that was entered."""

    playback: Playback
    """How a viewer reaches it: empty of LiveKit where the bot itself has the room's only place."""

    async def door(self) -> RoomAccess | None:
        """A door of its own for one more page, into a room where everybody can watch this one; None if there is no
        such room. Raises `ProviderError`."""

    async def send(self, message: RoomMessage) -> None:
        """Publish a message; returns once it is out.

        Raises `NotReady` while nobody is there to publish it, `AvatarAway` while the avatar is not there to hear it,
        `StreamGone` where the room was left, and `Transient`.
        """

    def messages(self) -> AsyncIterator[RoomNews]:
        """What the avatar says on the data channel, and whether it is there, until the room was left or the connection
        to it is lost.

        For one reader at a time; the next one goes on from there.
        """

    async def leave(self) -> None:
        """Give the room up. Harmless when that was done before."""


class RoomTransport(Protocol):
    """A way into rooms."""

    async def join(self, upstream_id: str, playback: Playback) -> Room:
        """Enter the room of a stream, which `playback` leads to. Raises `ProviderError`; then nothing is left open."""
