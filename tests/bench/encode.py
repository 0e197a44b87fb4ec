"""`python -m tests.bench.encode`: what it costs to encode a room for everybody, and how late it makes the picture.

This process does what the bot does: it is in the avatar's room, gives what it receives to the encoder's process, and
serves what comes back. The LiveKit server, the avatar and Chromium are processes of their own; they are not in the
figures but need the same cores, so on a small machine the figures are those of a busy one.
"""

import argparse
import asyncio
import itertools
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
from livekit import api, rtc
from playwright.async_api import async_playwright

from adapters.media.room.source import RoomPicture
from adapters.media.room.tracks import RoomTracks
from bot.core.clock import SystemClock
from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, PlaylistPosition
from tests.bench import stage
from tests.bench.figures import Bound, Figure, table
from tests.bench.stage import Shape
from tests.harness.livekit import KEY, PROGRAM, SECRET, running_livekit_server
from tests.harness.marked_avatar import BITS, MarkedAvatar, milliseconds, number_in
from tests.harness.picture_page import serving
from tests.options import PROGRAMS

SECONDS, SETTLE = 20.0, 8.0
"""Of one measurement, and before it: WebRTC's encoders find their bit rate meanwhile."""

SHAPES = (Shape(640, 360, 25), Shape(854, 480, 25), Shape(1280, 720, 25), Shape(1280, 720, 30))
"""What the avatar sends, and what is encoded of it."""

PAGE = 1_000_000
TICKS = os.sysconf("SC_CLK_TCK")


def measure_encode(seconds: float = SECONDS, settle: float = SETTLE) -> list[Figure]:
    """All figures. seconds: of each measurement, after `settle`."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, running_livekit_server(PROGRAM, Path(folder)) as server:
        for number, shape in enumerate(SHAPES):
            figures += asyncio.run(_cost(server.url, f"cost-{number}", shape, seconds, settle))
        figures += asyncio.run(_delay(server.url, "delay", Shape(1280, 720, 25), seconds, settle))
    return figures


async def _cost(url: str, room: str, shape: Shape, seconds: float, settle: float) -> list[Figure]:
    """Percent of a core and megabytes, of a room that one viewer watches."""
    name = f"{shape.height}p, {shape.fps} pictures a second"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_avatar("head", url, room, shape))
        joined = await stack.enter_async_context(_joined(url, room))
        await asyncio.sleep(settle)
        in_room = await _cpu_of_this(seconds)
        source = RoomPicture(
            "s1", RoomTracks(joined, SystemClock(), itertools.count(1)).run, SystemClock(),
            arguments=(str(shape.height),),
        )  # fmt: skip
        source.start()
        stack.push_async_callback(source.aclose)
        watching = asyncio.create_task(_watch(source))
        await asyncio.sleep(settle)
        pid = source._encoder.pid
        assert pid is not None
        left_out, encoding = source._encoder.left_out, _cpu(pid)
        bot = await _cpu_of_this(seconds)
        encoder = 100 * (_cpu(pid) - encoding) / seconds
        megabytes = _megabytes(pid)
        held = source._playlist.bytes_held / PAGE
        watching.cancel()
        await asyncio.wait([watching])
        rate = (source._encoder.left_out - left_out) / seconds
    return [
        Figure(f"{name}: encoder's process", "% of a core", [encoder]),
        Figure(f"{name}: bot, more than in the room alone", "% of a core", [bot - in_room]),
        Figure(f"{name}: bot in the room alone", "% of a core", [in_room]),
        Figure(f"{name}: encoder's memory", "MB", [megabytes]),
        Figure(f"{name}: files held", "MB", [held]),
        Figure(f"{name}: pictures left out", "a second", [rate]),
    ]


async def _delay(url: str, room: str, shape: Shape, seconds: float, settle: float) -> list[Figure]:
    """Milliseconds from the avatar's picture to the same picture in Chromium, through the watch page's player."""
    chromium = next((found for name in PROGRAMS["browser"] if (found := shutil.which(name))), None)
    if chromium is None:
        return []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_avatar("marked", url, room, shape))
        joined = await stack.enter_async_context(_joined(url, room))
        source = RoomPicture("s1", RoomTracks(joined, SystemClock(), itertools.count(1)).run, SystemClock())
        arrivals = _note_arrivals(source)
        begun = time.monotonic()
        source.start()
        stack.push_async_callback(source.aclose)
        await source.fetch(PLAYLIST)
        first = 1000 * (time.monotonic() - begun)
        page_url = await stack.enter_async_context(serving(source))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        stack.push_async_callback(browser.close)
        page = await browser.new_page()
        begun = time.monotonic()
        await page.goto(page_url)
        while not await page.evaluate("Boolean(window.measured) && measured().frames > 0"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        loaded = 1000 * (time.monotonic() - begun)
        await asyncio.sleep(settle)
        arrivals.clear()
        await asyncio.sleep(seconds)
        found = await page.evaluate("measured()")
    late = [frame["late"] for frame in found["seen"][-round(shape.fps * seconds) :] if 0 <= frame["late"] < 60_000]
    return [
        Figure("avatar's picture to Chromium, median", "ms", [statistics.median(late)], bound=_within(3_000)),
        Figure("the same, 99th percentile", "ms", [statistics.quantiles(late, n=100)[98]]),
        Figure("of it, what the player stays behind", "ms", [1000 * found["latency"]]),
        Figure("avatar's picture to the bot (WebRTC), median", "ms", [statistics.median(arrivals)]),
        Figure("first viewer to the first playlist", "ms", [first]),
        Figure("a page opened to its first picture", "ms", [loaded]),
        Figure("stalls after the start", "", [found["stalls"] - 1]),
    ]


def _within(limit: float) -> Bound:
    return Bound(limit, of_ratio=False)


def _note_arrivals(source: RoomPicture) -> list[float]:
    """Fills up with milliseconds from an avatar's picture to its arrival here."""
    arrivals: list[float] = []
    take = source.picture

    def picture(moment: float, width: int, height: int, planes: memoryview, track: int, later: float = 0.0) -> None:
        luma = np.frombuffer(planes, np.uint8, width * height).reshape(height, width)
        arrivals.append((milliseconds() - number_in(luma)) % 2**BITS)
        take(moment, width, height, planes, track, later)

    source.picture = picture  # type: ignore[method-assign,assignment]
    return arrivals


async def _watch(source: RoomPicture) -> None:
    """Fetch everything that a player fetches."""
    position = None
    while True:
        try:
            file = await source.fetch(PLAYLIST, position)
        except PictureUnavailable:
            continue
        assert file is not None
        hint = file.body.decode().rpartition('URI="')[2].partition('"')[0]
        number, part = hint.split("-")[1].removesuffix(".mp4").split(".")
        await source.fetch(hint)
        position = PlaylistPosition(int(number), int(part))


async def _cpu_of_this(seconds: float) -> float:
    """Percent of a core that this process takes for so many seconds from now on."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.monotonic()
    await asyncio.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 100 * used / (time.monotonic() - begun)


def _cpu(pid: int) -> float:
    """Seconds of processor time that another process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _megabytes(pid: int) -> float:
    """Of another process, its share of what several use included."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return int(text.partition("Pss:")[2].split()[0]) / 1000


# --- the avatar, in a process of its own -----------------------------------------------------------------------------


@asynccontextmanager
async def _avatar(kind: str, url: str, room: str, shape: Shape) -> AsyncIterator[None]:
    """An avatar in a room, once it is there."""
    size = (str(shape.width), str(shape.height), str(shape.fps))
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.encode", "--avatar", kind, url, room, *size, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert started.stdout is not None
        assert await started.stdout.readline() == b"ready\n"
        yield
    finally:
        started.terminate()
        await started.wait()


@asynccontextmanager
async def _joined(url: str, room: str) -> AsyncIterator[rtc.Room]:
    joined = rtc.Room()
    await joined.connect(url, _token(room, "client"))
    try:
        yield joined
    finally:
        await joined.disconnect()


def _token(room: str, identity: str) -> str:
    may = api.VideoGrants(room_join=True, room=room)
    return api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(may).to_jwt()


async def _play(kind: str, url: str, room: str, shape: Shape) -> None:
    joined = rtc.Room()
    await joined.connect(url, _token(room, "avatar"), rtc.RoomOptions(auto_subscribe=False))
    if kind == "head":
        pictures = stage.talking_head(shape)
        stage.say("ready")
        await stage.play_avatar(joined, shape, pictures)
    else:
        avatar = MarkedAvatar(joined, shape.width, shape.height, shape.fps)
        await avatar.publish()
        stage.say("ready")
        await avatar.play()


def main() -> None:
    """Measure, or be an avatar for the measurement."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.encode", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--settle", type=float, default=SETTLE, help="seconds before each")
    parser.add_argument("--avatar", nargs=6, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.avatar:
        kind, url, room, *size = chosen.avatar
        asyncio.run(_play(kind, url, room, Shape(*map(int, size))))
        return
    stage.say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}")
    stage.say(table(measure_encode(chosen.seconds, chosen.settle)))


if __name__ == "__main__":
    main()
