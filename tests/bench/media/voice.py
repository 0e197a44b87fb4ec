"""What a voice channel costs: decoding the sound of HLS, encoding it for Discord, and how late that makes it.

In this process, over the simulator's HLS in real time. What Discord's servers and the network add is not in it.
"""

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import davey
import nacl.utils
from nacl.secret import Aead

from adapters.chat.discord.voice.buffer import VoiceBuffer
from adapters.chat.discord.voice.library import load_opus
from adapters.chat.discord.voice.source import SILENCE, VoiceSource
from adapters.media.relay.sound import RelaySound
from adapters.media.sound import SoundDecoder
from adapters.simulator.video import hls
from bot.core.clock import SystemClock
from bot.core.pictures import PLAYLIST, MediaFile
from bot.core.sound import FRAME, FRAME_BYTES, Sound
from tests.bench.figures import Bound, Figure
from tests.bench.media.scale import Scale
from tests.bench.processes import ON_LINUX, cpu_seconds, resident_megabytes

ADDED_DELAY = Bound(500, of_ratio=False)
SECONDS_ENCODED = 30


def measure_voice(scale: Scale) -> list[Figure]:
    """The figures of one voice connection."""
    return asyncio.run(_measure(scale))


async def _measure(scale: Scale) -> list[Figure]:
    decoder = SoundDecoder()
    figures: list[Figure] = []
    try:
        with decoder.line() as line:
            talk = [await decoder.decode(line, hls.init_segment(), _segment(number)) for number in range(8)]
            if ON_LINUX and decoder.pid is not None:
                used = cpu_seconds(decoder.pid)
                for number in range(8, 72):
                    await decoder.decode(line, hls.init_segment(), _segment(number))
                share = 100 * (cpu_seconds(decoder.pid) - used) / (64 * hls.SEGMENT_SECONDS)
                figures.append(Figure("voice: decoding HLS, of a core", "%", [share]))
                figures.append(Figure("voice: the decoder's process", "MB", [resident_megabytes(decoder.pid)]))
        figures += _of_encoding(b"".join(talk))
        figures += await _of_delay(decoder, scale.seconds)
    finally:
        await decoder.aclose()
    return figures


def _segment(number: int, *, pauses: bool = False) -> bytes:
    times = {track: number * duration for track, duration in hls._durations().items()}
    kind = f"idle-{number % hls.IDLES}" if pauses and number % 4 == 0 else f"talk-{number % hls.TALKS}"
    return hls._prepared(kind).placed(number + 1, times)


def _of_encoding(pcm: bytes) -> list[Figure]:
    """What the player's thread does for each piece: take, encode, encrypt for the transport. (Discord's end-to-end
    encryption needs a group; `davey` is loaded, so that its memory is there.)"""
    load_opus()
    buffer, box = VoiceBuffer(), Aead(nacl.utils.random(Aead.KEY_SIZE))
    source = VoiceSource(buffer, lambda: True)
    pieces = [pcm[place : place + FRAME_BYTES] for place in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]
    began, encoded = time.process_time(), 0
    for number in range(round(SECONDS_ENCODED / FRAME)):
        buffer.put(pieces[number % len(pieces)], 0.0)
        packet = source.read()
        encoded += packet != SILENCE
        box.encrypt(packet, b"h" * 12, nacl.utils.random(24))
    took = time.process_time() - began
    return [
        Figure(f"voice: encoding (DAVE {davey.DAVE_PROTOCOL_VERSION} loaded), of a core while speaking", "%",
               [100 * took / SECONDS_ENCODED]),
        Figure("voice: pieces that were speech", "%", [100 * encoded * FRAME / SECONDS_ENCODED]),
    ]  # fmt: skip


class _Live:
    """A playlist that grows in real time; each segment talks."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    async def fetch(self, name: str) -> MediaFile | None:
        if name == PLAYLIST:
            count = 3 + int((time.monotonic() - self._began) / hls.SEGMENT_SECONDS)
            first = max(0, count - 6)
            lines = ["#EXTM3U", f"#EXT-X-MEDIA-SEQUENCE:{first}", '#EXT-X-MAP:URI="init.mp4"']
            for number in range(first, count):
                begun = self._began + (number - 3) * hls.SEGMENT_SECONDS - time.monotonic()
                date = (datetime.now(UTC) + timedelta(seconds=begun)).isoformat()
                lines += [f"#EXT-X-PROGRAM-DATE-TIME:{date}", "#EXTINF:0.96,", f"{number}.m4s"]
            return MediaFile("\n".join(lines).encode(), "", is_immutable=False)
        number = int(name.removesuffix(".m4s")) if name != "init.mp4" else 0
        body = hls.init_segment() if name == "init.mp4" else _segment(number, pauses=True)
        return MediaFile(body, "", is_immutable=True)


async def _of_delay(decoder: SoundDecoder, seconds: float) -> list[Figure]:
    """From the moment a segment can be fetched to the moment its first piece goes to Discord."""
    live, buffer, clock = _Live(), VoiceBuffer(), SystemClock()
    late: list[float] = []
    firsts: dict[int, float] = {}

    async def play() -> None:
        begun, ticks = time.monotonic(), 0
        while True:
            ticks += 1
            await asyncio.sleep(max(0.0, begun + ticks * FRAME - time.monotonic()))
            piece = buffer.take()
            if piece is not None and (over := firsts.pop(id(piece), None)) is not None:
                late.append(1000 * (clock.monotonic() - over))

    async def listen() -> None:
        number, kept = 0, list[Sound]()
        async with aclosing(RelaySound(live.fetch, decoder, clock).listen()) as sounds:
            async for sound in sounds:
                if number % 10 == 5 and not sound.is_quiet:
                    firsts[id(sound.pcm)] = sound.at + hls.SEGMENT_SECONDS
                    kept.append(sound)
                number += 1
                buffer.put(sound.pcm, sound.lead)

    tasks = [asyncio.create_task(play()), asyncio.create_task(listen())]
    await asyncio.sleep(max(4.0, seconds))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [Figure("voice: delay beyond the source's", "ms", late or [float("inf")], bound=ADDED_DELAY)]
