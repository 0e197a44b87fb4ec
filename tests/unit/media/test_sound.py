"""The sound of media segments alone: decoded in a process of its own, evenly given out; hostile input harms nobody."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.media.relay.sound import RelaySound, segments_of, smallest
from adapters.media.sound import SoundDecoder
from adapters.simulator.video import hls
from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, MediaFile
from bot.core.sound import FRAME, FRAME_BYTES, RATE, Sound, is_quiet
from tests.harness.clock import ManualClock, settle

INIT = hls.init_segment()


def media(name: str, number: int) -> bytes:
    times = {track: number * duration for track, duration in hls._durations().items()}
    return hls._prepared(name).placed(number + 1, times)


@pytest_asyncio.fixture
async def decoder() -> AsyncIterator[SoundDecoder]:
    decoder = SoundDecoder()
    yield decoder
    await decoder.aclose()
    assert decoder.pid is None


async def test_segments_become_samples_without_a_break(decoder: SoundDecoder) -> None:
    with decoder.line() as line:
        parts = [await decoder.decode(line, INIT, media(f"talk-{number}", number)) for number in range(4)]
    lengths = [len(part) / 2 / RATE for part in parts]
    assert sum(lengths) == pytest.approx(4 * hls.SEGMENT_SECONDS, abs=0.03)
    assert all(not is_quiet(part) for part in parts)


async def test_idle_segments_are_quiet(decoder: SoundDecoder) -> None:
    with decoder.line() as line:
        await decoder.decode(line, INIT, media("idle-0", 0))
        assert is_quiet(await decoder.decode(line, INIT, media("idle-1", 1)))


@pytest.mark.parametrize("segment", [b"", b"\x47" + b"\0" * 187, b"#EXTM3U\nfile:///etc/passwd\n", b"\xff" * 4096])
async def test_what_is_no_segment_is_refused_and_the_next_one_is_decoded(decoder: SoundDecoder, segment: bytes) -> None:
    with decoder.line() as line:
        for init in (INIT, b"", INIT[:200]):
            with suppress(PictureUnavailable):
                assert is_quiet(await decoder.decode(line, init, segment))
        assert not is_quiet(await decoder.decode(line, INIT, media("talk-0", 0)))


async def test_a_decoder_that_dies_is_started_again(decoder: SoundDecoder) -> None:
    with decoder.line() as line:
        await decoder.decode(line, INIT, media("talk-0", 0))
        assert decoder.pid is not None
        os.kill(decoder.pid, 9)
        with pytest.raises(PictureUnavailable):
            await decoder.decode(line, INIT, media("talk-1", 1))
        assert await decoder.decode(line, INIT, media("talk-2", 2))


async def test_its_process_ends_with_the_last_listener_and_knows_no_key_of_ours(
    decoder: SoundDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEYGEN_API_KEY", "a-key-of-the-test")
    with decoder.line() as line:
        await decoder.decode(line, INIT, media("talk-0", 0))
        with suppress(FileNotFoundError):
            environment = await asyncio.to_thread(Path(f"/proc/{decoder.pid}/environ").read_bytes)
            assert b"a-key-of-the-test" not in environment
    await decoder._tasks.drained()
    assert decoder.pid is None


class Stream:
    """A playlist that grows when the test says so."""

    def __init__(self) -> None:
        self.count = 3
        self.talks: set[int] = set()
        self.date: str | None = None
        self.fetched: list[str] = []

    async def fetch(self, name: str) -> MediaFile | None:
        self.fetched.append(name)
        if name == PLAYLIST:
            lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{max(0, self.count - 6)}"]
            lines.append('#EXT-X-MAP:URI="init.mp4"')
            for number in range(max(0, self.count - 6), self.count):
                lines += ["#EXTINF:0.96000,", f"{number}.m4s"]
            return MediaFile("\n".join(lines).encode(), "text/plain", is_immutable=False)
        if name == "init.mp4":
            return MediaFile(INIT, "video/mp4", is_immutable=True)
        number = int(name.removesuffix(".m4s"))
        kind = f"talk-{number % 8}" if number in self.talks else f"idle-{number % 4}"
        return MediaFile(media(kind, number), "video/mp4", is_immutable=True)


class Watched:
    """A decoder, of which it is known whether it is at work: its process has a time of its own."""

    def __init__(self, decoder: SoundDecoder) -> None:
        self._decoder = decoder
        self._under_way = 0
        self.line = decoder.line

    async def decode(self, line: int, init: bytes, segment: bytes) -> bytes:
        self._under_way += 1
        try:
            return await self._decoder.decode(line, init, segment)
        finally:
            self._under_way -= 1

    async def rests(self) -> None:
        await settle()
        while self._under_way:
            await asyncio.sleep(0.01)
            await settle()


async def test_sound_begins_with_the_newest_segment_and_is_given_out_evenly(decoder: SoundDecoder) -> None:
    clock, stream, watched = ManualClock(), Stream(), Watched(decoder)
    stream.talks = {3, 4, 5, 6}
    stream.count = 4
    heard: list[tuple[float, Sound]] = []

    async def listen() -> None:
        async with aclosing(RelaySound(stream.fetch, watched, clock).listen()) as sounds:  # type: ignore[arg-type]
            async for sound in sounds:
                heard.append((clock.monotonic(), sound))  # noqa: PERF401 - at the moment it comes

    listening = asyncio.create_task(listen())
    begun = clock.monotonic()
    for step in range(300):
        if step in (96, 192):
            stream.count += 1
        await clock.advance(0.01)
        await watched.rests()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert "2.m4s" not in stream.fetched
    assert {"3.m4s", "4.m4s", "5.m4s"} <= set(stream.fetched)
    assert stream.fetched.count("init.mp4") == 1
    assert all(len(sound.pcm) == FRAME_BYTES for _, sound in heard)
    # Never more than half a second before its time, so that nothing has to hold much.
    for at, _ in heard:
        due = sum(FRAME for earlier, _ in heard if earlier <= at)
        assert due <= at - begun + 0.5
    made = [sound.at for _, sound in heard]
    assert made == sorted(made)
    assert all(sound.at <= at for at, sound in heard)


def test_a_playlist_is_read_as_the_relay_writes_it() -> None:
    text = "\n".join(
        [
            "#EXTM3U",
            "#EXT-X-MEDIA-SEQUENCE:7",
            '#EXT-X-MAP:URI="i.mp4"',
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T12:00:00.000Z",
            "#EXTINF:1.0,",
            "7-a.m4s",
            "#EXT-X-GAP",
            "#EXTINF:1.0,",
            "8-a.m4s",
            '#EXT-X-KEY:METHOD=AES-128,URI="k.key"',
            "#EXTINF:1.0,",
            "9-a.m4s",
        ]
    )
    found = segments_of(text)
    assert [(each.number, each.name, each.init, each.is_encrypted) for each in found] == [
        (7, "7-a.m4s", "i.mp4", False),
        (9, "9-a.m4s", "i.mp4", True),
    ]
    assert found[0].date is not None
    assert found[1].date is None


def test_the_sound_alone_is_chosen_where_there_is_one_else_the_smallest_picture() -> None:
    variants = "#EXT-X-STREAM-INF:BANDWIDTH=900000\nbig.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=300000\nsmall.m3u8\n"
    assert smallest(variants) == "small.m3u8"
    audio = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio0",NAME="Audio 1",URI="sound.m3u8"\n'
    assert smallest(audio + variants) == "sound.m3u8"
