"""`python -m tests.bench.stage`: what it costs to show a session to everybody, in percent of one core.

The process that is measured does what the bot does: it joins the avatars' rooms, and republishes them. The LiveKit
server, the avatars and the viewers are processes of their own, so they are not in the numbers, but they need the same
cores: where the pictures that the stage gets per second are fewer than the avatar sends, the machine was too small.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from livekit import api, rtc
from pydantic import SecretStr

from adapters.avatars.rooms.bot_transport import BotRoom, BotTransport
from adapters.avatars.rooms.broadcast.room import BroadcastRoom
from adapters.avatars.rooms.broadcast.server import BroadcastServer
from adapters.simulator.rooms import livekit_media as media
from bot.core.clock import SystemClock
from bot.core.models import Playback, RoomAccess
from tests.harness.livekit import KEY, PROGRAM, SECRET, running_livekit_server

SETTLE = 8.0
"""Seconds until the encoders have found their bit rate."""

MEASURE = 15.0
"""Seconds of one measurement."""

STEPS = 50
"""Pictures of the 720p source, which are then repeated."""


CAPTURE = rtc.VideoSource.capture_frame
"""As it is before it counts."""


@dataclass(frozen=True)
class Shape:
    """Pictures of an avatar."""

    width: int
    height: int
    fps: int


SHAPES = {
    "simulator": Shape(media.WIDTH, media.HEIGHT, media.FPS),
    "720p": Shape(1280, 720, 25),
}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    say(f"{os.cpu_count()} cores. Percent of one core per session; pictures per second that the stage passes on.")
    say("pictures    sessions  viewers of each   CPU per session   pictures/s")
    for shape in SHAPES:
        for sessions in (1, 3):
            for viewers in (None, 0, 1, 3):
                with livekit_server() as url:
                    percent, rate = await measured(url, shape, sessions, viewers)
                watched = "no stage" if viewers is None else str(viewers)
                say(f"{shape:<12}{sessions:>8}{watched:>17}{percent:>17.0f}%{rate:>13.1f}")


async def measured(url: str, shape: str, sessions: int, viewers: int | None) -> tuple[float, float]:
    """Percent of a core per session, and pictures per second."""
    server = BroadcastServer(url, KEY, SecretStr(SECRET), 600)
    carrier = BotTransport(partial(BroadcastRoom, server, SystemClock()))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(process("avatars", url, shape, str(sessions)))
        rooms = []
        for number in range(sessions):
            room = await carrier.join(f"s{number}", Playback(livekit_url=url, livekit_token=_token(number, "client")))
            stack.push_async_callback(room.leave)
            rooms.append(room)
        if viewers is not None:
            doors = [await _door(room) for room in rooms for _ in range(max(1, viewers))]
            tokens = [door.token for door in doors] if viewers else []
            await stack.enter_async_context(process("viewers", url, *tokens))
        pictures = _count_pictures()
        await asyncio.sleep(SETTLE)
        cpu, since, before = _cpu(), time.monotonic(), pictures[0]
        await asyncio.sleep(MEASURE)
        seconds = time.monotonic() - since
        return 100 * (_cpu() - cpu) / seconds / sessions, (pictures[0] - before) / seconds / sessions


async def _door(room: BotRoom) -> RoomAccess:
    door = await room.door()
    assert door is not None
    return door


def _count_pictures() -> list[int]:
    """A counter of the pictures that are handed to stages."""
    count = [0]

    def counting(source: rtc.VideoSource, frame: rtc.VideoFrame) -> None:
        count[0] += 1
        CAPTURE(source, frame)

    rtc.VideoSource.capture_frame = counting  # type: ignore[method-assign,assignment]
    return count


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _token(number: int, identity: str) -> str:
    may = api.VideoGrants(room_join=True, room=f"avatar-{number}")
    return api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(may).to_jwt()


# --- the others, each in a process of its own ------------------------------------------------------------------------


@contextmanager
def livekit_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, running_livekit_server(PROGRAM, Path(folder)) as server:
        yield server.url


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[None]:
    """This module as another process, once it says that it is ready."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.stage", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert started.stdout is not None
        assert await started.stdout.readline() == b"ready\n"
        yield
    finally:
        started.terminate()
        await started.wait()


async def play_avatars(url: str, shape: str, sessions: int) -> None:
    pictures = list(media.pictures(talking=True)) if shape == "simulator" else talking_head(SHAPES[shape])
    async with asyncio.TaskGroup() as tasks:
        for number in range(sessions):
            room = rtc.Room()
            await room.connect(url, _token(number, "heygen"), rtc.RoomOptions(auto_subscribe=False))
            tasks.create_task(play_avatar(room, SHAPES[shape], pictures))
        say("ready")


async def play_avatar(room: rtc.Room, shape: Shape, pictures: list[bytes]) -> None:
    """Its picture is H264, as the real services send it; its sound a hum. The queue of the sound sets the pace."""
    video = rtc.VideoSource(shape.width, shape.height)
    audio = rtc.AudioSource(media.RATE, 1, queue_size_ms=200)
    options = rtc.TrackPublishOptions(simulcast=False, video_codec=rtc.VideoCodec.H264)
    await room.local_participant.publish_track(rtc.LocalVideoTrack.create_video_track("video", video), options)
    await room.local_participant.publish_track(
        rtc.LocalAudioTrack.create_audio_track("audio", audio), rtc.TrackPublishOptions()
    )
    samples = media.RATE // shape.fps
    wave = (2000 * np.sin(np.arange(samples) * 2 * np.pi * 8 / samples)).astype(np.int16).tobytes()
    step = 0
    while True:
        picture = pictures[step % len(pictures)]
        video.capture_frame(rtc.VideoFrame(shape.width, shape.height, rtc.VideoBufferType.I420, picture))
        await audio.capture_frame(rtc.AudioFrame(wave, media.RATE, 1, samples))
        step += 1


def talking_head(shape: Shape) -> list[bytes]:
    """A head that nods and a mouth that moves before a still background, with the grain of a camera."""
    dice = np.random.default_rng(1)
    y, x = np.mgrid[0 : shape.height, 0 : shape.width].astype(np.float32)
    background = 90 + 50 * x / shape.width + 20 * np.sin(y / 40)
    pictures = []
    for step in range(STEPS):
        turn = 2 * np.pi * step / STEPS
        middle_x, middle_y = shape.width / 2 + 12 * np.sin(turn), shape.height / 2 + 8 * np.cos(2 * turn)
        head = ((x - middle_x) / 170) ** 2 + ((y - middle_y) / 230) ** 2 < 1
        opening = 6 + 22 * abs(np.sin(5 * turn))
        mouth = ((x - middle_x) / 60) ** 2 + ((y - middle_y - 110) / opening) ** 2 < 1
        luma = np.where(mouth, 40, np.where(head, 170 + 15 * np.sin((x + y) / 25), background))
        luma = np.clip(luma + dice.normal(0, 1.5, luma.shape), 16, 235).astype(np.uint8)
        chroma = np.full(shape.width * shape.height // 2, 128, np.uint8)
        pictures.append(luma.tobytes() + chroma.tobytes())
    return pictures


async def watch(url: str, *tokens: str) -> None:
    """Get every picture and every sound, as a browser does, and do nothing with it."""
    rooms = [rtc.Room() for _ in tokens]
    for room, token in zip(rooms, tokens, strict=True):
        await room.connect(url, token, rtc.RoomOptions(auto_subscribe=True))
    say("ready")
    await asyncio.Event().wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["avatars", url, shape, sessions]:
            asyncio.run(play_avatars(url, shape, int(sessions)))
        case ["viewers", url, *tokens]:
            asyncio.run(watch(url, *tokens))
        case _:
            asyncio.run(main())
