"""The transport that joins rooms itself, with the `livekit` package, an extra that is imported when first needed.

A room's client token has one identity, so a bot that joins with it takes the only place: viewers then watch what the
bot republishes (`broadcast/`), or what is encoded of the rooms that it is in (`bot.streams.entered_rooms`), never this
room.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from adapters.avatars.rooms.transport import VIEWER
from adapters.wire.lenient import parse_json
from bot.core import fence
from bot.core.errors import AvatarAway, Invalid, StreamGone, Transient, Trouble
from bot.core.models import Playback, RoomAccess
from bot.core.ports import AvatarSeen
from bot.streams.entered_rooms import EnteredRooms
from bot.streams.page_bridge import AVATAR_LIMIT, MessageChannel, RoomMessage, RoomNews

if TYPE_CHECKING:
    from livekit import rtc

    from adapters.avatars.rooms.broadcast.room import BroadcastRoom

    MakeStage = Callable[[str, rtc.Room], BroadcastRoom]

JOIN_LIMIT = 15.0
"""Seconds to join a room."""

SEND_LIMIT = 10.0
"""Seconds to publish a message."""

Change = Literal[
    "participant_connected",
    "track_published",
    "track_subscribed",
    "participant_disconnected",
    "track_unpublished",
    "track_unsubscribed",
    "disconnected",
]

MISSING = "The bot cannot join rooms: install avatar-relay[livekit], or set AVATAR_WATCH=seat"


class BotTransport:
    """`RoomTransport` over LiveKit."""

    def __init__(self, make_stage: "MakeStage | None" = None, entered: "EnteredRooms[rtc.Room] | None" = None) -> None:
        """`make_stage` makes what shows a room to everybody on a LiveKit server. `entered` learns of the rooms, so that
        they can be shown otherwise. Without either nobody can watch."""
        self._make_stage = make_stage
        self._entered = entered if entered is not None else EnteredRooms()

    async def join(self, upstream_id: str, playback: Playback) -> "BotRoom":
        """Join, and wait until the avatar is there. Raises `Transient`, `AvatarAway` if it does not come, and
        `Invalid` without the extra."""
        try:
            from livekit import rtc
        except ImportError:
            raise Invalid(MISSING) from None
        joined = rtc.Room()
        stage = self._make_stage(upstream_id, joined) if self._make_stage is not None else None
        shown = Playback(hls_url=playback.hls_url, is_broadcast=stage is not None)
        room = BotRoom(joined, shown, stage, partial(self._entered.leave, upstream_id, joined))
        try:
            async with asyncio.timeout(JOIN_LIMIT):
                await room.room.connect(playback.livekit_url or "", playback.livekit_token or "")
            await room.wait_for_avatar()
        except (rtc.ConnectError, TimeoutError):
            # From None: what LiveKit says of a failed connection may quote the address with its token.
            raise Transient(f"the room of {upstream_id} was not entered", may_have_taken_effect=False) from None
        else:
            self._entered.enter(upstream_id, joined)
            return room
        finally:
            if not room.is_ready:
                await room.leave()


class BotRoom:
    """`Room` that the bot is in."""

    def __init__(
        self, room: "rtc.Room", playback: Playback, stage: "BroadcastRoom | None", on_leave: Callable[[], None]
    ) -> None:
        self.playback = playback
        self._on_leave = on_leave
        self.room = room
        self._stage = stage
        self.is_ready = False
        self._inbox = MessageChannel()
        self._is_left = False
        self._changed = asyncio.Event()
        self._was_here = False
        room.on("data_received", self._hear)
        room.on("disconnected", lambda _: self._inbox.close())
        for name in get_args(Change):
            room.on(name, lambda *_: self._look())

    async def wait_for_avatar(self) -> None:
        """Until the bot gets picture and sound of a participant: v1 takes no words before. Raises `AvatarAway`, and
        `TimeoutError` where the connection is lost meanwhile."""
        try:
            async with asyncio.timeout(AVATAR_LIMIT):
                while not self._has_avatar():
                    self._changed.clear()
                    if self._inbox.is_closed:
                        break
                    await self._changed.wait()
        except TimeoutError:
            raise AvatarAway("the avatar did not come into its room") from None
        if not self._has_avatar():
            raise TimeoutError
        self.is_ready = self._was_here = True

    async def door(self) -> RoomAccess | None:
        """Into the broadcast room, if there is one."""
        return await self._stage.door() if self._stage is not None and not self._is_left else None

    async def send(self, message: RoomMessage) -> None:
        """Publish it, reliably, to everybody in the room."""
        if self._is_left:
            raise StreamGone("the room was left")
        if not self.room.isconnected():
            raise Transient("the connection to the room is lost", may_have_taken_effect=False)
        if not self._has_avatar():
            raise AvatarAway("the avatar is not in its room")
        payload = json.dumps(message.data, ensure_ascii=False)
        fence.check()
        try:
            async with asyncio.timeout(SEND_LIMIT):
                await self.room.local_participant.publish_data(payload, reliable=True, topic=message.topic)
        except Exception as trouble:  # noqa: BLE001 - the package raises its own undocumented errors, from Rust
            raise Transient(
                f"the room did not take a command ({type(trouble).__name__})",
                may_have_taken_effect=True,
                trouble=Trouble.UNCONFIRMED,
            ) from None

    def messages(self) -> AsyncIterator[RoomNews]:
        """What came over the data channel, and whether the avatar is there."""
        return self._inbox.messages()

    async def leave(self) -> None:
        """Leave the room, after whatever shows it."""
        self._is_left = True
        self._on_leave()
        try:
            if self._stage is not None:
                await self._stage.close()
        finally:
            await self.room.disconnect()
            self._inbox.close()

    def _look(self) -> None:
        """Somebody came or went."""
        self._changed.set()
        is_here = self._has_avatar()
        # Until it was there once, `wait_for_avatar` decides.
        if self.is_ready and is_here != self._was_here and self.room.isconnected():
            self._was_here = is_here
            self._inbox.put(AvatarSeen(is_here))

    def _has_avatar(self) -> bool:
        return any(
            len({publication.kind for publication in participant.track_publications.values() if publication.track}) > 1
            for participant in self.room.remote_participants.values()
        )

    def _hear(self, packet: "rtc.DataPacket") -> None:
        data = parse_json(packet.data)
        is_viewer = packet.participant is not None and packet.participant.identity == VIEWER
        if isinstance(data, dict) and not is_viewer:
            self._inbox.put(RoomMessage(packet.topic or "", data))
