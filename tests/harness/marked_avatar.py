"""An avatar whose pictures say when they were made, and that flashes and beeps in the same moments.

The upper part of a picture has a number in black and white bars, which survives encoding and scaling: milliseconds of
the day. The lower part is white for the first `FLASH` seconds of each second, while the sound is a tone.
"""

import asyncio
import time

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

RATE = 48_000
BITS = 24
FLASH = 0.2
TONE = 1_000.0
"""Hz."""


def milliseconds() -> int:
    """Of the machine's time of day, as far as `BITS` hold it."""
    return round(time.time() * 1000) % (1 << BITS)


def picture(width: int, height: int, number: int, *, is_bright: bool, grain: NDArray[np.uint8] | None = None) -> bytes:
    """I420 planes. `grain` is added to the middle, so that encoding has something to do."""
    luma = np.full((height, width), 60, np.uint8)
    if grain is not None:
        luma[height // 4 : height // 2] += grain[height // 4 : height // 2]
    for bit in range(BITS):
        left, right = (round(edge * width / BITS) for edge in (bit, bit + 1))
        luma[: height // 4, left:right] = 235 if number >> bit & 1 else 16
    luma[height // 2 :] = 235 if is_bright else 16
    chroma = 2 * ((width + 1) // 2) * ((height + 1) // 2)
    return luma.tobytes() + bytes([128]) * chroma


def number_in(luma: NDArray[np.uint8]) -> int:
    """What is written in a picture."""
    height, width = luma.shape
    bar = width / BITS
    return sum((int(luma[height // 8, int((bit + 0.5) * bar)]) > 128) << bit for bit in range(BITS))


def is_bright(luma: NDArray[np.uint8]) -> bool:
    """Whether it flashes."""
    return int(luma[luma.shape[0] * 3 // 4, luma.shape[1] // 2]) > 128


def sound(begin: float, samples: int, rate: float = RATE) -> NDArray[np.int16]:
    """What is heard from `begin` on, seconds; it beeps at the beginning of each whole one."""
    moments = begin + np.arange(samples) / rate
    return np.where(moments % 1 < FLASH, 9_000 * np.sin(2 * np.pi * TONE * moments), 0).astype(np.int16)


class MarkedAvatar:
    """One in a LiveKit room. Its moments are those of the machine's time of day."""

    def __init__(self, room: rtc.Room, width: int, height: int, fps: int, *, sounds: bool = True) -> None:
        self._room = room
        self.size = (width, height)
        self._fps = fps
        self._sounds = sounds
        self._video = rtc.VideoSource(width, height)
        self._audio = rtc.AudioSource(RATE, 1, queue_size_ms=0)
        self.shows = True

    async def publish(self) -> None:
        """The tracks. H264, as the real services send it."""
        ours = self._room.local_participant
        video = rtc.LocalVideoTrack.create_video_track("avatar-video", self._video)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, video_codec=rtc.VideoCodec.H264
        )
        await ours.publish_track(video, options)
        if self._sounds:
            audio = rtc.LocalAudioTrack.create_audio_track("avatar-audio", self._audio)
            await ours.publish_track(audio, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))

    async def play(self) -> None:
        """Pictures and sound, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._show())
            if self._sounds:
                tasks.create_task(self._speak())

    async def _show(self) -> None:
        grain = np.random.default_rng(1).integers(0, 60, (1_200, 2_000), np.uint8)
        step = round(time.time() * self._fps)
        while True:
            step += 1
            await asyncio.sleep(max(0.0, step / self._fps - time.time()))
            if not self.shows:
                continue
            width, height = self.size
            bright = step / self._fps % 1 < FLASH
            planes = picture(width, height, milliseconds(), is_bright=bright, grain=grain[:height, :width])
            self._video.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, planes))

    async def _speak(self) -> None:
        piece = RATE // 100
        begin = round(time.time() * 100) / 100
        while True:
            await asyncio.sleep(max(0.0, begin - time.time()))
            samples = sound(begin, piece)
            await self._audio.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, piece))
            begin += 0.01
