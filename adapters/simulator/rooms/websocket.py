"""The stand-in for LiveKit where no server is given: a WebSocket for each participant instead of a room.

`GET /simulator/rooms/<session id>?token=<token>` with the token of the session. JSON text frames in both directions,
`{"topic": "agent-control", "data": {...}}` to the avatar and `{"topic": "agent-response", "data": {...}}` from it. One
connection for each identity: whoever joins again removes the earlier one. Pictures and sound are the HLS stream.
Whether the avatar is there is a frame of the topic `avatar`, `{"is_here": true | false}`, on entering where it is not.
The close codes are 4000 and LiveKit's number of the reason.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web
from pydantic import SecretStr

from adapters.simulator.heygen_v3.wire import refusal
from adapters.simulator.rooms.contract import Occupant
from adapters.simulator.rooms.token import RoomKey
from adapters.simulator.service import Service
from adapters.simulator.streams import LiveStream
from adapters.simulator.wire import Json, encode

DUPLICATE_IDENTITY = (4002, "DUPLICATE_IDENTITY")
PARTICIPANT_REMOVED = (4004, "PARTICIPANT_REMOVED")
ROOM_DELETED = (4005, "ROOM_DELETED")
"""Close code and reason."""

_MAX_FRAME_SIZE = 64 * 1024
"""Bytes; more than LiveKit recommends for one reliable packet."""
_MAX_WAITING = 1000
"""Messages that a slow reader may be behind before it has to leave."""
_PATH = "/simulator/rooms/"
_PRESENCE = "avatar"


@dataclass(slots=True, eq=False)
class _Seat:
    """One participant: what is still to be sent to it, and how it has to leave, once it has to."""

    waiting: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_MAX_WAITING + 1))
    leaves: tuple[int, str] | None = None

    def put(self, frame: str) -> None:
        if self.leaves is not None:
            return
        if self.waiting.qsize() >= _MAX_WAITING:
            self.leave(PARTICIPANT_REMOVED)
        else:
            self.waiting.put_nowait(frame)

    def leave(self, why: tuple[int, str]) -> None:
        if self.leaves is None:
            self.leaves = why
            self.waiting.put_nowait(None)


class _SocketRoom:
    """A room whose participants are connections."""

    def __init__(self, occupant: Occupant, forget: Callable[[], object], *, avatar_is_here: bool) -> None:
        self.occupant = occupant
        self._avatar_is_here = avatar_is_here
        self._forget = forget
        self._seats: dict[str, _Seat] = {}

    def send(self, topic: str, message: Json) -> None:
        """Send to everybody in the room."""
        frame = encode({"topic": topic, "data": message})
        for seat in self._seats.values():
            seat.put(frame)

    async def ready(self) -> None:
        """It is, from the beginning."""

    def close(self) -> None:
        """Everybody has to leave, after what was sent to them."""
        for seat in self._seats.values():
            seat.leave(ROOM_DELETED)
        self._seats.clear()
        self._forget()

    def enter(self, identity: str) -> _Seat:
        """Somebody comes; who had the identity has to leave."""
        earlier = self._seats.get(identity)
        if earlier is not None:
            earlier.leave(DUPLICATE_IDENTITY)
        seat = self._seats[identity] = _Seat()
        self.occupant.joined(identity)
        if not self._avatar_is_here:
            self.move_avatar(is_here=False)
        return seat

    def move_avatar(self, *, is_here: bool) -> None:
        """The avatar leaves, or is there again."""
        self._avatar_is_here = is_here
        self.send(_PRESENCE, {"is_here": is_here})

    def receive(self, topic: str, message: Json) -> None:
        """Somebody sent data. Nobody hears it while the avatar is away."""
        if self._avatar_is_here:
            self.occupant.receive(topic, message)

    def leave(self, identity: str, seat: _Seat) -> None:
        """Somebody is gone, unless another one came in their place."""
        if self._seats.get(identity) is seat:
            del self._seats[identity]
            self.occupant.left(identity)


class SocketRooms:
    """Every fake room of the server, and the endpoint that leads into them."""

    is_real = False

    def __init__(self, service: Service) -> None:
        self._service = service
        self._key = RoomKey("simulator", SecretStr(secrets.token_urlsafe(32)))
        self._rooms: dict[str, _SocketRoom] = {}

    def open(self, stream: LiveStream, occupant: Occupant) -> _SocketRoom:
        """Make the room of a stream."""
        room = self._rooms[stream.id] = _SocketRoom(
            occupant,
            lambda: self._rooms.pop(stream.id, None),
            avatar_is_here=self._service.options.avatar_comes,
        )
        return room

    def move_avatar(self, room: str, *, is_here: bool) -> None:
        """The avatar leaves its room, or is there again."""
        self._rooms[room].move_avatar(is_here=is_here)

    def url(self, request: web.BaseRequest, room: str) -> str:
        """Where the WebSocket is."""
        return f"ws{self._service.address_for(request).removeprefix('http')}{_PATH}{room}"

    def token(self, identity: str, room: str) -> str:
        """Looks like a LiveKit token, and opens this room alone."""
        return self._key.participant_token(identity, room)

    async def stop(self) -> None:
        """Nothing is left to wait for: the server ends the connections."""
        for room in tuple(self._rooms.values()):
            room.close()

    async def join(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        """The endpoint. 401 for a wrong token, 404 for a room that is not there or not there any more."""
        identity = self._key.identity(request.rel_url.query.get("token", ""), name)
        if identity is None:
            raise refusal(401, "unauthorized", "This token does not open this room.")
        room = self._rooms.get(name)
        if room is None:
            raise refusal(404, "not_found", "No such room.")
        socket = web.WebSocketResponse(max_msg_size=_MAX_FRAME_SIZE, heartbeat=None)
        if not socket.can_prepare(request):
            raise refusal(400, "invalid_request", "This is a WebSocket.")
        await socket.prepare(request)
        seat = room.enter(identity)
        sending = asyncio.get_running_loop().create_task(_send(socket, seat), name=f"room {name}")
        try:
            await _receive(socket, room)
        finally:
            room.leave(identity, seat)
            sending.cancel()
            await asyncio.wait([sending])
        return socket


async def _send(socket: web.WebSocketResponse, seat: _Seat) -> None:
    try:
        while (frame := await seat.waiting.get()) is not None:
            await socket.send_str(frame)
    except ConnectionError:
        return  # gone; the reading side sees it too
    code, reason = seat.leaves or ROOM_DELETED
    await socket.close(code=code, message=reason.encode())


async def _receive(socket: web.WebSocketResponse, room: _SocketRoom) -> None:
    async for frame in socket:
        if frame.type is not WSMsgType.TEXT:
            continue
        try:
            message = json.loads(frame.data)
        except (ValueError, RecursionError):
            continue  # as in a LiveKit room, where data that is not a command has no effect
        if isinstance(message, dict) and isinstance(message.get("topic"), str):
            room.receive(message["topic"], message.get("data"))
