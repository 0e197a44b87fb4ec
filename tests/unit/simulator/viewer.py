"""A viewer of a real LiveKit room: what it sees, hears and reads, and what it sends. For tests that have a server."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from livekit import rtc

from bot.core.tasks import TaskSet

LOUD = 500
"""Of 32,767; silence that went through a codec stays below."""


class Viewer:
    """One participant, until `leave`."""

    def __init__(self) -> None:
        self.pictures: set[int] = set()
        """A number for each picture that differed from the others."""
        self.loudest = 0
        self.messages: list[tuple[str, Any]] = []
        self.avatar = ""
        self.removed: int | None = None
        """Why the server ended the connection."""
        self._tasks = TaskSet()
        self._room = rtc.Room()
        self._room.on("track_subscribed", self._subscribed)
        self._room.on("data_received", self._received)
        self._room.on("disconnected", self._disconnected)

    async def join(self, url: str, token: str, *, subscribe: bool = True) -> None:
        await self._room.connect(url, token, rtc.RoomOptions(auto_subscribe=subscribe))

    async def leave(self) -> None:
        await self._tasks.close()
        await self._room.disconnect()

    async def send(self, message: object, topic: str = "") -> None:
        await self._room.local_participant.publish_data(json.dumps(message), topic=topic)

    async def command(self, event_type: str, event_id: str, **fields: object) -> None:
        await self.send({"event_id": event_id, "event_type": event_type, **fields}, "agent-control")

    def types(self, key: str) -> list[str]:
        return [message[key] for _, message in self.messages]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the network has made `condition` true; fails after twenty seconds."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in a socket
                await asyncio.sleep(0.01)

    def _subscribed(self, track: rtc.Track, _: object, participant: rtc.RemoteParticipant) -> None:
        self.avatar = participant.identity
        self._tasks.create_task(
            self._watch(track) if track.kind == rtc.TrackKind.KIND_VIDEO else self._hear(track), name=""
        )

    async def _watch(self, track: rtc.Track) -> None:
        stream = rtc.VideoStream(track)
        try:
            async for event in stream:
                self.pictures.add(hash(bytes(event.frame.data)))
        finally:
            await stream.aclose()

    async def _hear(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track)
        try:
            async for event in stream:
                self.loudest = max(self.loudest, max(map(abs, event.frame.data)))
        finally:
            await stream.aclose()

    def _received(self, packet: rtc.DataPacket) -> None:
        self.messages.append((packet.topic or "", json.loads(packet.data)))

    def _disconnected(self, reason: int) -> None:
        self.removed = reason
