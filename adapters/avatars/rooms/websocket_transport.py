"""The transport for the simulator's fake rooms, for machines without a LiveKit server: the data channel of a room as
JSON text frames on a WebSocket. No real service has such rooms.

A fake room is known by its address, `ws://HOST/simulator/rooms/SESSION_ID`; the token travels as `?token=`. A frame
in either direction is `{"topic": "agent-control" | "agent-response", "data": {...}}`. Entering it is being its viewer.
Whether the avatar is there, which LiveKit would show, is a frame of the topic `avatar`: `{"is_here": true | false}`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import aiohttp

from adapters import network
from adapters.wire.lenient import LenientModel, Text, parse_json
from bot.core import fence
from bot.core.errors import AvatarAway, StreamGone, Transient, Trouble
from bot.core.models import Playback, RoomAccess
from bot.core.ports import AvatarSeen
from bot.core.tasks import cancel_and_wait
from bot.streams.page_bridge import MessageChannel, RoomMessage, RoomNews

PATH = "/simulator/rooms/"
PRESENCE = "avatar"

CONNECT_LIMIT = 10.0
"""Seconds to connect, and to send one frame."""

MAX_FRAME_SIZE = 64 << 10
"""Bytes; LiveKit's own limit for a reliable data packet is 15 KiB."""

SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


def is_stand_in(livekit_url: str) -> bool:
    """Whether an address leads to a fake room."""
    return urlsplit(livekit_url).path.startswith(PATH)


class _Frame(LenientModel):
    topic: Text | None = None
    data: dict[str, object] | None = None


class WebSocketTransport:
    """`RoomTransport` over plain WebSockets."""

    async def join(self, upstream_id: str, playback: Playback) -> "WebSocketRoom":
        """Connect to the room. Raises `Transient`."""
        address = urlsplit(playback.livekit_url or "")
        url = address._replace(scheme=SCHEMES.get(address.scheme, "ws")).geturl()
        failure: Transient
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(network.session())
            try:
                async with asyncio.timeout(CONNECT_LIMIT):
                    socket = await client.ws_connect(
                        url, params={"token": playback.livekit_token or ""}, max_msg_size=MAX_FRAME_SIZE
                    )
            except (aiohttp.ClientError, OSError) as trouble:
                failure = Transient(
                    f"the fake room of {upstream_id} was not entered ({network.told(trouble)})",
                    may_have_taken_effect=False,
                )
            else:
                stack.pop_all()
                return WebSocketRoom(client, socket, Playback(hls_url=playback.hls_url))
        # Raised out here so that no request, with its token, hangs on the error as its context.
        raise failure


class WebSocketRoom:
    """`Room` on a WebSocket."""

    def __init__(
        self, client: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, playback: Playback
    ) -> None:
        self.playback = playback
        self._client = client
        self._socket = socket
        self._inbox = MessageChannel()
        self._is_left = False
        self._avatar_is_here = True
        self._reader = asyncio.create_task(self._read(), name="read a fake room")

    async def door(self) -> RoomAccess | None:
        """None: everybody can watch it over HLS."""
        return None

    async def send(self, message: RoomMessage) -> None:
        """Send a frame."""
        if self._is_left:
            raise StreamGone("the room was left")
        if self._socket.closed:
            raise Transient("the connection to the fake room is lost", may_have_taken_effect=False)
        if not self._avatar_is_here:
            raise AvatarAway("the avatar is not in its room")
        frame = json.dumps({"topic": message.topic, "data": message.data}, ensure_ascii=False)
        fence.check()
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await self._socket.send_str(frame)
        except (aiohttp.ClientError, OSError) as trouble:
            raise Transient(
                f"the fake room did not take a command ({type(trouble).__name__})",
                may_have_taken_effect=True,
                trouble=Trouble.UNCONFIRMED,
            ) from None

    def messages(self) -> AsyncIterator[RoomNews]:
        """The frames that came."""
        return self._inbox.messages()

    async def leave(self) -> None:
        """Hang up."""
        self._is_left = True
        await cancel_and_wait(self._reader)
        await self._socket.close()
        await self._client.close()

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    continue
                received = _Frame.model_validate(parse_json(frame.data))
                if received.topic == PRESENCE:
                    self._avatar_is_here = (received.data or {}).get("is_here") is not False
                    self._inbox.put(AvatarSeen(self._avatar_is_here))
                elif received.topic is not None and received.data is not None:
                    self._inbox.put(RoomMessage(received.topic, received.data))
        finally:
            self._inbox.close()
