"""An avatar in a room on a real LiveKit server: it moves, it hums, it notes what is said to it, and says what the test
wants. Its doors are what a provider would hand out."""

import asyncio
import json
import uuid
from contextlib import suppress
from typing import Any

from livekit import api, rtc

from adapters.simulator.rooms import livekit_media as media
from bot.core.models import RoomAccess
from bot.core.tasks import TaskSet
from tests.harness.livekit import LiveKitServer

CLIENT = "client"
"""The one name that everybody who holds the provider's token has."""


class AvatarRoom:
    """One room, from `join` to `leave`."""

    def __init__(self, server: LiveKitServer) -> None:
        self._server = server
        self.name = f"room-{uuid.uuid4()}"
        self.heard: list[tuple[str | None, Any]] = []
        self._tasks = TaskSet()
        self._room = rtc.Room()
        self._room.on("data_received", self._note)
        self._video = rtc.VideoSource(media.WIDTH, media.HEIGHT)
        self._audio = rtc.AudioSource(media.RATE, 1, queue_size_ms=200)

    @property
    def viewers(self) -> list[str]:
        """The names of everybody else in the room."""
        return sorted(participant.identity for participant in self._room.remote_participants.values())

    def door(self, identity: str | None = None) -> RoomAccess:
        """The provider's one door, or a door of its own for `identity`, with which nothing can be said."""
        token = self._token(identity or CLIENT, may_speak=identity is None)
        return RoomAccess(self.name, self._server.url, token, is_seat=identity is None)

    async def join(self) -> None:
        """Come into the room and begin to play."""
        options = rtc.RoomOptions(auto_subscribe=False)
        await self._room.connect(self._server.url, self._token("heygen", may_speak=True), options)
        picture = rtc.LocalVideoTrack.create_video_track("avatar-video", self._video)
        encoding = rtc.VideoEncoding(max_bitrate=300_000, max_framerate=media.FPS)
        await self._room.local_participant.publish_track(
            picture, rtc.TrackPublishOptions(simulcast=False, video_codec=rtc.VideoCodec.VP8, video_encoding=encoding)
        )
        sound = rtc.LocalAudioTrack.create_audio_track("avatar-audio", self._audio)
        await self._room.local_participant.publish_track(sound, rtc.TrackPublishOptions())
        self._tasks.create_task(self._play(), name="the avatar plays")

    async def say(self, topic: str, data: object) -> None:
        """Say something on the data channel, to everybody."""
        await self._room.local_participant.publish_data(json.dumps(data), reliable=True, topic=topic)

    async def leave(self) -> None:
        """Delete the room, as a provider does at the end of a stream, and stop playing. Harmless when repeated."""
        await self._tasks.close()
        await self._room.disconnect()
        http_url = self._server.url.replace("ws", "http", 1)
        async with api.LiveKitAPI(http_url, self._server.api_key, self._server.api_secret) as livekit:
            with suppress(api.TwirpError):
                await livekit.room.delete_room(api.DeleteRoomRequest(room=self.name))
        await self._video.aclose()
        await self._audio.aclose()

    def _token(self, identity: str, *, may_speak: bool) -> str:
        may = api.VideoGrants(
            room_join=True, room=self.name, can_publish=may_speak, can_publish_data=may_speak, can_subscribe=True
        )
        token = api.AccessToken(self._server.api_key, self._server.api_secret)
        return token.with_identity(identity).with_grants(may).to_jwt()

    def _note(self, packet: rtc.DataPacket) -> None:
        self.heard.append((packet.topic, json.loads(packet.data)))

    async def _play(self) -> None:
        pictures, sounds = await asyncio.to_thread(lambda: (media.pictures(talking=True), media.sounds()))
        step = 0
        while True:
            frame = rtc.VideoFrame(media.WIDTH, media.HEIGHT, rtc.VideoBufferType.I420, pictures[step])
            self._video.capture_frame(frame)
            await self._audio.capture_frame(rtc.AudioFrame(sounds[step], media.RATE, 1, media.SAMPLES))
            step = (step + 1) % media.STEPS
