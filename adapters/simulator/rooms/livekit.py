"""Rooms on a real LiveKit server with the avatar in them: it publishes a moving picture and sound, hears, sends data.

The `livekit` package is an extra and is loaded only here. Pictures and sound follow the machine's time, since a viewer
watches in it; when the avatar talks is the business of the stream, on the simulator's clock.
"""

import asyncio
import json
import logging
from types import ModuleType
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from adapters.simulator.options import LiveKitServer
from adapters.simulator.rooms import livekit_media as media
from adapters.simulator.rooms.contract import AVATAR, CLIENT, Occupant, RoomFailed
from adapters.simulator.rooms.token import RoomKey
from adapters.simulator.streams import LiveStream
from adapters.simulator.wire import Json, encode
from bot.core.errors import SettingsError
from bot.core.tasks import TaskSet

if TYPE_CHECKING:
    from livekit import rtc

log = logging.getLogger(__name__)

_JOIN_SECONDS = 10.0
_SEND_SECONDS = 5.0
_DELETE_SECONDS = 5.0
_LAST_WORDS_SECONDS = 0.2
"""A room that is deleted at once may be gone before its last message is out; nothing tells when that has arrived."""
_QUEUED_MS = 200
"""Sound that is handed over ahead of time. A full queue is what paces pictures and sound."""
_MAX_WAITING = 1000
"""Messages that may wait to be sent; more are lost, as in a room that nobody can reach."""


class LiveKitRooms:
    """Makes rooms on one server. Raises `SettingsError` if the `livekit` package is not installed."""

    is_real = True

    def __init__(self, server: LiveKitServer, *, avatar_comes: bool = True) -> None:
        """`avatar_comes`: whether avatars come into their rooms by themselves."""
        self._avatar_comes = avatar_comes
        self._rtc = _load()
        self._server = server
        self._key = RoomKey(server.api_key, server.api_secret)
        self._tasks = TaskSet()
        self._rooms: set[_LiveKitRoom] = set()

    def open(self, stream: LiveStream, occupant: Occupant) -> "_LiveKitRoom":
        """Make the room of a stream; joining it makes it."""
        room = _LiveKitRoom(self._rtc, self._server.url, self._key, stream, occupant, avatar_is_here=self._avatar_comes)
        self._rooms.add(room)
        self._tasks.create_task(self._run(room), name=f"room {stream.id}")
        return room

    def move_avatar(self, room: str, *, is_here: bool) -> None:
        """The avatar leaves its room, or comes back."""
        one = next((one for one in self._rooms if one.stream_id == room), None)
        if one is None:
            raise KeyError(room)
        one.move_avatar(is_here=is_here)

    async def _run(self, room: "_LiveKitRoom") -> None:
        try:
            await room.run()
        finally:
            self._rooms.discard(room)

    def url(self, _request: web.BaseRequest, _room: str) -> str:
        """The same for everybody."""
        return self._server.url

    def token(self, identity: str, room: str) -> str:
        """Signed with the server's key."""
        return self._key.participant_token(identity, room)

    async def stop(self) -> None:
        """Close every room; wait until it is gone from the server, or for as long as that may take."""
        rooms = tuple(self._rooms)
        for room in rooms:
            room.close()
        try:
            async with asyncio.timeout(_JOIN_SECONDS + _DELETE_SECONDS):
                await asyncio.gather(*(room.gone.wait() for room in rooms))
        except TimeoutError:
            log.warning("a LiveKit room did not close in time")
        await self._tasks.close()


def _load() -> ModuleType:
    try:
        from livekit import rtc
    except ImportError:
        raise SettingsError(
            "--livekit needs the package livekit, which is not installed: pip install 'avatar-relay[livekit]'."
        ) from None
    return rtc


class _LiveKitRoom:
    """One room, from the avatar's joining to the room's end. `run` does all the work, in a task of its own."""

    def __init__(
        self, rtc: Any, url: str, key: RoomKey, stream: LiveStream, occupant: Occupant, *, avatar_is_here: bool
    ) -> None:
        self._rtc = rtc
        self._url = url
        self._key = key
        self._stream = stream
        self._occupant = occupant
        self._outbox: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._is_closing = False
        self._is_wanted = avatar_is_here
        # Of the visit that goes on: the avatar may be wanted again before it has left.
        self._is_leaving = False
        self._moved = asyncio.Event()
        self._settled = asyncio.Event()
        self._failure: str | None = None
        self._present: set[str] = set()
        self._subscribed: set[str] = set()
        self.gone = asyncio.Event()

    @property
    def stream_id(self) -> str:
        """The stream, whose name the room has."""
        return self._stream.id

    def move_avatar(self, *, is_here: bool) -> None:
        """The avatar leaves the room, or comes (back) into it."""
        self._is_wanted = is_here
        self._moved.set()
        if not is_here:
            self._is_leaving = True
            self._outbox.put_nowait(None)

    def send(self, topic: str, message: Json) -> None:
        """Send to everybody in the room, reliably and in order; what the avatar says elsewhere nobody hears."""
        if self._is_wanted and self._outbox.qsize() < _MAX_WAITING:
            self._outbox.put_nowait((topic, encode(message).encode()))

    async def ready(self) -> None:
        """Wait until the avatar is in it, its tracks published. Raises `RoomFailed`."""
        await self._settled.wait()
        if self._failure is not None:
            raise RoomFailed(self._failure)

    def close(self) -> None:
        """The room ends when everything before this was sent."""
        self._is_closing = True
        self._moved.set()
        self._outbox.put_nowait(None)

    async def run(self) -> None:
        """Be in the room until `close`, except while the avatar is away."""
        try:
            while not self._is_closing:
                if self._is_wanted:
                    await self._visit()
                    if self._failure is not None:
                        return
                else:
                    # Whoever starts a session is told its room, whether or not an avatar ever comes there.
                    self._settled.set()
                    self._moved.clear()
                    await self._moved.wait()
        finally:
            self._failure = self._failure or "the room was closed"
            self._settled.set()
            self.gone.set()

    async def _visit(self) -> None:
        """Join, publish, stay until `close`, leave, delete the room; in another order LiveKit logs complaints."""
        self._is_leaving = False
        room: rtc.Room = self._rtc.Room()
        video = self._rtc.VideoSource(media.WIDTH, media.HEIGHT)
        audio = self._rtc.AudioSource(media.RATE, 1, queue_size_ms=_QUEUED_MS)
        is_in = False
        try:
            is_in = await self._join(room, video, audio)
            if is_in:
                await self._stay(room, video, audio)
                if self._is_closing:
                    await asyncio.sleep(_LAST_WORDS_SECONDS)
        finally:
            if is_in and not self._is_leaving:
                self._lost()
            await room.disconnect()
            await video.aclose()
            await audio.aclose()
            self._subscribed.clear()
            if is_in and (self._is_closing or not self._is_leaving):
                await self._delete()

    async def _join(self, room: "rtc.Room", video: "rtc.VideoSource", audio: "rtc.AudioSource") -> bool:
        self._listen(room)
        options = self._rtc.RoomOptions(auto_subscribe=False, dynacast=True)
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await room.connect(self._url, self._key.participant_token(AVATAR, self._stream.id), options)
                await self._publish(room, video, audio)
        except (self._rtc.ConnectError, self._rtc.participant.PublishTrackError, TimeoutError) as error:
            self._failure = f"{error}" or "it took too long"
            log.error("no room at the LiveKit server %s: %s", self._url, self._failure)
            return False
        self._settled.set()
        for identity in room.remote_participants:
            self._joined(identity)
        return True

    async def _publish(self, room: "rtc.Room", video: "rtc.VideoSource", audio: "rtc.AudioSource") -> None:
        rtc = self._rtc
        picture = rtc.LocalVideoTrack.create_video_track("avatar-video", video)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, video_codec=rtc.VideoCodec.VP8,
            video_encoding=rtc.VideoEncoding(max_bitrate=300_000, max_framerate=media.FPS),
        )  # fmt: skip
        await room.local_participant.publish_track(picture, options)
        sound = rtc.LocalAudioTrack.create_audio_track("avatar-audio", audio)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await room.local_participant.publish_track(sound, options)

    def _listen(self, room: "rtc.Room") -> None:
        room.on("participant_connected", lambda participant: self._joined(participant.identity))
        room.on("participant_disconnected", lambda participant: self._left(room, participant.identity))
        room.on("local_track_subscribed", self._track_subscribed)
        room.on("data_received", self._received)
        room.on("disconnected", lambda _reason: self._lost())

    def _joined(self, identity: str) -> None:
        if identity not in self._present:
            self._present.add(identity)
            self._occupant.joined(identity)

    def _left(self, room: "rtc.Room", identity: str) -> None:
        # Of two with one identity the later one is in the room when the leaving of the earlier one is told.
        if identity in room.remote_participants:
            return
        self._present.discard(identity)
        self._occupant.left(identity)

    def _track_subscribed(self, track: "rtc.LocalTrack") -> None:
        self._subscribed.add(track.sid)
        if len(self._subscribed) == 2:
            # A LiveKit server lets three seconds pass before it tells of somebody who publishes nothing.
            self._joined(CLIENT)
            self._occupant.subscribed()

    def _received(self, packet: "rtc.DataPacket") -> None:
        if packet.participant is not None:
            self._joined(packet.participant.identity)
        try:
            message = json.loads(packet.data)
        except (ValueError, RecursionError):
            return  # anybody in a room may send anything
        self._occupant.receive(packet.topic or "", message)

    def _lost(self) -> None:
        """The avatar is no longer in the room; where it was asked to leave, the stream is over already."""
        if self._stream.is_open and not self._is_leaving:
            self._stream.fail("The LiveKit room was lost.")

    async def _stay(self, room: "rtc.Room", video: "rtc.VideoSource", audio: "rtc.AudioSource") -> None:
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(self._play(video, audio))
            while (waiting := await self._outbox.get()) is not None or not (self._is_leaving or self._is_closing):
                # None of an earlier visit, which had left already, ends nothing.
                if waiting is not None:
                    await self._publish_data(room, *waiting)
            playing.cancel()

    async def _publish_data(self, room: "rtc.Room", topic: str, payload: bytes) -> None:
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await room.local_participant.publish_data(payload, reliable=True, topic=topic)
        except (self._rtc.participant.PublishDataError, TimeoutError) as error:
            log.warning("a message did not reach the LiveKit room: %s", error)

    async def _play(self, video: "rtc.VideoSource", audio: "rtc.AudioSource") -> None:
        """Pictures and sound. The sound's queue sets the pace; what nobody receives is not encoded (dynacast)."""
        rtc = self._rtc
        idle, talking = await asyncio.to_thread(lambda: [media.pictures(talking=talks) for talks in (False, True)])
        spoken, nothing = await asyncio.to_thread(media.sounds), media.silence()
        step = 0
        while True:
            now = self._stream.position
            talks = self._stream.timeline.talk_within(now, now + 1 / media.FPS) > 0
            picture = (talking if talks else idle)[step]
            video.capture_frame(rtc.VideoFrame(media.WIDTH, media.HEIGHT, rtc.VideoBufferType.I420, picture))
            sound = spoken[step] if talks else nothing
            await audio.capture_frame(rtc.AudioFrame(sound, media.RATE, 1, media.SAMPLES))
            step = (step + 1) % media.STEPS

    async def _delete(self) -> None:
        """Everybody who is still in the room has to leave it (LiveKit's RoomService, Twirp over HTTP)."""
        address = f"http{self._url.removeprefix('ws').rstrip('/')}/twirp/livekit.RoomService/DeleteRoom"
        headers = {"Authorization": f"Bearer {self._key.owner_token(self._stream.id)}"}
        timeout = aiohttp.ClientTimeout(total=_DELETE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(address, json={"room": self._stream.id}, headers=headers) as answer,
            ):
                if answer.status not in (200, 404):
                    log.warning("the LiveKit server did not delete a room: %s", answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("the LiveKit server did not delete a room: %s", error)
