"""The live playlist, and segments in their place on the timeline."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import simulator
from adapters.simulator.video.fmp4 import NotFragmented, Segment, boxes, timescales
from adapters.simulator.video.hls import IDLES, PREROLL, SEGMENT_SECONDS, TALKS, WINDOW
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client

MEDIA = Path(simulator.__file__).parent / "video" / "media"
VIDEO, AUDIO = 1, 2


async def watch(client: Client, url: str) -> tuple[list[str], list[int]]:
    """The lines of a playlist and its segment numbers."""
    answer = await client.get(url, headers={})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    lines = answer.text.splitlines()
    return lines, [int(line.removesuffix(".m4s")) for line in lines if line.endswith(".m4s")]


async def fetch(client: Client, url: str) -> bytes:
    async with client.http.get(url) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return await response.read()


def placed(raw: bytes) -> tuple[int, dict[int, int]]:
    """Sequence number and decode times of a fragment, read without the code under test."""
    (sequence,) = struct.unpack_from(">I", raw, raw.index(b"mfhd") + 8)
    times, at = {}, 0
    while (at := raw.find(b"tfhd", at + 1)) > 0:
        (track,) = struct.unpack_from(">I", raw, at + 8)
        (times[track],) = struct.unpack_from(">Q", raw, raw.index(b"tfdt", at) + 8)
    return sequence, times


def content(raw: bytes) -> bytes:
    """The samples of a segment, which tell which one it is."""
    return raw[raw.index(b"mdat") :]


SHIPPED = {content(path.read_bytes()): path.stem for path in MEDIA.glob("*.m4s")}


async def test_a_playlist_is_playable_from_the_first_moment(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    url = (await client.status(stream))["hls_url"]
    lines, numbers = await watch(client, url)
    assert lines[:6] == [
        "#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-INDEPENDENT-SEGMENTS", '#EXT-X-MAP:URI="init.mp4"',
    ]  # fmt: skip
    assert numbers == [0, 1, 2]
    assert "#EXT-X-ENDLIST" not in lines
    assert lines.count("#EXTINF:0.96000,") == 3


async def test_the_window_slides_with_the_clock_and_stands_still_without(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    url = (await client.status(stream))["hls_url"]
    await clock.advance(0.95)
    assert (await watch(client, url))[1] == [0, 1, 2]
    await clock.advance(0.01)
    assert (await watch(client, url))[1] == [0, 1, 2, 3]
    await clock.advance(0.96 * 10)
    lines, numbers = await watch(client, url)
    assert numbers == list(range(8, 14))
    assert len(numbers) == WINDOW
    assert "#EXT-X-MEDIA-SEQUENCE:8" in lines
    assert (await watch(client, url))[1] == numbers


async def test_program_dates_are_the_simulators_time_of_day(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    began = clock.now()
    await clock.advance(20)
    lines, numbers = await watch(client, (await client.status(stream))["hls_url"])
    dates = [datetime.fromisoformat(line.split(":", 1)[1]) for line in lines if "PROGRAM-DATE-TIME" in line]
    assert dates == [began + timedelta(seconds=(number - PREROLL) * SEGMENT_SECONDS) for number in numbers]
    assert all(date.tzinfo == UTC for date in dates)


async def test_segments_follow_each_other_without_a_gap_and_show_who_talks(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming(text="x" * 40)
    url = (await client.status(stream))["hls_url"]
    base = url.rsplit("/", 1)[0]
    await clock.advance(10)
    await client.append(stream, "y" * 40)
    await clock.advance(10)
    init = await fetch(client, f"{base}/init.mp4")
    scales = timescales(init)
    assert scales == {VIDEO: 12_800, AUDIO: 48_000}
    shown = []
    for number in range(PREROLL + 20):
        raw = await fetch(client, f"{base}/{number}.m4s")
        sequence, times = placed(raw)
        assert sequence == number + 1
        assert times == {VIDEO: number * 12_288, AUDIO: number * 46_080}
        assert times[VIDEO] / scales[VIDEO] == pytest.approx(times[AUDIO] / scales[AUDIO])
        shown.append(SHIPPED[content(raw)].split("-")[0])
    # 2.7 s of speech from the first second on, silence, 2.7 s again after ten seconds.
    assert shown == ["idle"] * 3 + ["talk"] * 3 + ["idle"] * 7 + ["talk"] * 4 + ["idle"] * 6
    assert (await client.get(f"{base}/{PREROLL + 20}.m4s")).status == 404


async def test_a_published_segment_never_changes(client: Client, clock: ManualClock) -> None:
    session = await client.connected()
    await client.task(session, "x" * 100)
    await clock.advance(3)
    base = f"{client.simulator.address}/simulator/hls/{session}"
    before = [await fetch(client, f"{base}/{number}.m4s") for number in range(6)]
    await client.post("/v1/streaming.interrupt", {"session_id": session})
    await clock.advance(5)
    assert [await fetch(client, f"{base}/{number}.m4s") for number in range(6)] == before
    assert SHIPPED[content(await fetch(client, f"{base}/8.m4s"))].startswith("idle")


async def test_the_playlist_ends_with_the_stream(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    url = (await client.status(stream))["hls_url"]
    await clock.advance(2)
    await client.post(f"/v3/avatar-realtime/{stream}/cancel")
    lines, numbers = await watch(client, url)
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert numbers == list(range(6))
    await clock.advance(100)
    assert (await watch(client, url))[1] == numbers
    assert placed(await fetch(client, url.replace("stream.m3u8", "5.m4s")))[0] == 6


async def test_what_is_not_there_is_404(client: Client) -> None:
    stream = await client.streaming()
    for path in (
        f"{stream}/999999999.m4s",
        f"{stream}/9999999999999.m4s", f"{stream}/-1.m4s", f"{stream}/x.m4s", f"{stream}/١.m4s",
        f"{stream}/../server.py", f"{stream}/", f"{stream}", "unknown/stream.m3u8", "",
    ):  # fmt: skip
        assert (await client.get(f"/simulator/hls/{path}")).status == 404, path
    pending = await client.stream()
    assert (await client.get(f"/simulator/hls/{pending}/stream.m3u8")).status == 404


async def test_links_lead_to_the_host_that_was_asked(client: Client) -> None:
    stream = await client.streaming()
    path = f"/v3/avatar-realtime/{stream}"
    headers = {"X-Api-Key": "simulator", "Host": "sim.example:8443"}
    assert (await client.get(path, headers=headers)).data["hls_url"].startswith("http://sim.example:8443/simulator/")
    headers["Host"] = "evil/../"
    assert (await client.get(path, headers=headers)).data["hls_url"].startswith(client.simulator.address)


def test_all_media_ship_and_are_small() -> None:
    expected = {f"idle-{number}" for number in range(IDLES)} | {f"talk-{number}" for number in range(TALKS)}
    assert set(SHIPPED.values()) == expected
    assert sum(path.stat().st_size for path in MEDIA.iterdir() if path.is_file()) < 1_500_000


@pytest.mark.parametrize("path", sorted(MEDIA.glob("*.m4s")), ids=lambda path: path.stem)
def test_every_shipped_segment_is_exactly_as_long_as_it_says(path: Path) -> None:
    raw = path.read_bytes()
    found: dict[int, tuple[int, int]] = {}
    sizes = 0
    track: Any = None
    for box in boxes(raw):
        if box.kind == b"tfhd":
            track, duration = struct.unpack_from(">II", raw, box.begin + 4)
        elif box.kind == b"trun":
            (count,) = struct.unpack_from(">I", raw, box.begin + 4)
            found[track] = (count, duration)
            sizes += sum(struct.unpack_from(f">{count}I", raw, box.begin + 16))
    assert found == {VIDEO: (24, 512), AUDIO: (45, 1024)}
    assert 24 * 512 / 12_800 == 45 * 1024 / 48_000 == SEGMENT_SECONDS
    assert len(content(raw)) == sizes + 4


def test_placing_changes_nothing_but_number_and_times() -> None:
    raw = (MEDIA / "talk-0.m4s").read_bytes()
    moved = Segment(raw).placed(7, {VIDEO: 2**40, AUDIO: 2**41})
    assert placed(moved) == (7, {VIDEO: 2**40, AUDIO: 2**41})
    assert len(moved) == len(raw)
    assert sum(one != other for one, other in zip(raw, moved, strict=True)) <= 4 + 2 * 8
    assert Segment(moved).placed(0, {VIDEO: 0, AUDIO: 0}) == raw


@pytest.mark.parametrize("raw", [b"", b"\0\0\0\x08free", b"\0\0\0\x04moof", b"\0\0\xff\xffmoof", b"abc"])
def test_what_is_no_segment_is_refused(raw: bytes) -> None:
    with pytest.raises(NotFragmented):
        Segment(raw)
