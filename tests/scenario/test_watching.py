"""People watch a session through the real web server: the provider's picture is fetched once for all of them, follows
the session from stream to stream, and ends with the link, the stream and the last viewer. What the provider does wrong
costs them seconds at the most, and nobody else anything."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from adapters.media.relay import files as relayed_files
from adapters.media.relay import source
from adapters.media.relay.source import HlsRelay
from adapters.media.relay.upstream import Bounds
from adapters.simulator import Effect
from adapters.simulator.faults import Fault, Faults
from adapters.web import SignedWatchLinks, WebServer
from bot.core.models import EndReason
from bot.sessions.session import AvatarSession
from bot.store import tables
from bot.streams.pictures import UNWATCHED_TIMEOUT
from tests.harness.bot import ANA, KEY, BotHarness, simulated
from tests.scenario.test_trouble import long

STREAM = "/simulator/hls/*"
ENOUGH = {"v3_idle": 1000.0}
"""A stream that stays open through a minute of silence."""


class CountedRequests(Faults):
    """The simulator's faults, which see each request; counts those for the picture, by file."""

    def __init__(self) -> None:
        super().__init__()
        self.files: Counter[str] = Counter()

    def take(self, method: str, path: str) -> tuple[float, Fault | None]:
        if path.startswith("/simulator/hls/"):
            self.files[path.removeprefix("/simulator/hls/")] += 1
        return super().take(method, path)


class Viewer:
    """Somebody's watch page and its player, without a browser: what the page is told, and files over HTTP."""

    def __init__(self, client: aiohttp.ClientSession, page: str) -> None:
        self._client = client
        self._page = page
        self._socket: aiohttp.ClientWebSocketResponse
        self.told: dict[str, Any] = {}
        self.close_code: int | None = None
        self.statuses: list[int] = []
        self.seen: dict[str, bytes] = {}

    async def __aenter__(self) -> Self:
        self._socket = await self._client.ws_connect(f"{self._page}/live")
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self._socket.close()

    async def _listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if told["type"] == "session":
                self.told = told
        self.close_code = self._socket.close_code

    @property
    def picture(self) -> str | None:
        """The address of the picture, as a browser makes it of what the page was told."""
        address = self.told.get("hls_url")
        return None if address is None else f"{self._page.rpartition('/')[0]}/{address}"

    async def get(self, url: str) -> bytes | None:
        """Fetch a file; None if it is refused, with the status in `statuses`."""
        async with self._client.get(url) as answer:
            self.statuses.append(answer.status)
            return await answer.read() if answer.status == 200 else None

    async def look(self) -> list[str]:
        """What a player does about once a second: the playlist, and what it has not seen of it. The new segments."""
        new: list[str] = []
        if self.picture is None or (playlist := await self.get(self.picture)) is None:
            return new
        for name in re.findall(r'URI="([^"]+)"|^([^#\n]+)$', playlist.decode(), re.MULTILINE):
            url = f"{self.picture.rpartition('/')[0]}/{''.join(name)}"
            if url not in self.seen and (body := await self.get(url)) is not None:
                self.seen[url] = body
                new += [url] if url.endswith(".m4s") else []
        return new


class Watched:
    """A bot with its web server, a session that is live, and its link."""

    def __init__(self, world: BotHarness, running: AvatarSession, page: str, client: aiohttp.ClientSession) -> None:
        self.world = world
        self.running = running
        self.page = page
        self.client = client
        self.faults: CountedRequests
        self._stack = AsyncExitStack()

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path) -> AsyncIterator["Watched"]:
        async with AsyncExitStack() as stack:
            world = BotHarness(folder, options=simulated(**ENOUGH))
            counted = world.simulator.faults = CountedRequests()
            await stack.enter_async_context(world)
            links = SignedWatchLinks(KEY, None, 3600.0, world.clock)
            server = WebServer(
                world.sessions,
                world.sessions.services.event_bus,
                world.sessions.services.audiences,
                links,
                world.clock,
                host="127.0.0.1",
                port=0,
                media_sources=[],
                image_sources=[],
                readiness=lambda: asyncio.sleep(0, {}),
                registry=CollectorRegistry(),
                pictures=world.pictures,
            )
            links.public_url = await server.start()
            stack.push_async_callback(server.stop)
            client = await stack.enter_async_context(aiohttp.ClientSession(headers={"Origin": links.public_url}))
            running = await world.start()
            page = links.url(running.session.link_nonce)
            assert page is not None
            watched = cls(world, running, page, client)
            watched.faults = counted
            yield await stack.enter_async_context(watched)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def viewer(self) -> Viewer:
        viewer = await self._stack.enter_async_context(Viewer(self.client, self.page))
        await self.world.until(lambda: viewer.told)
        return viewer

    async def do(self, *work: Awaitable[object]) -> None:
        """Let something happen that takes real sockets and perhaps time of the clock."""
        tasks = [asyncio.ensure_future(each) for each in work]
        await self.world.until(lambda: all(task.done() for task in tasks))
        for task in tasks:
            task.result()

    async def watch(self, *viewers: Viewer, seconds: float) -> None:
        """Let some people watch for a while, each at a moment of their own."""
        for _ in range(round(seconds)):
            for viewer in viewers:
                await self.do(viewer.look())
                await self.world.pass_time(1.0 / len(viewers))

    @property
    def segments(self) -> dict[str, int]:
        """How often each segment was asked for at the provider."""
        return {name: count for name, count in self.faults.files.items() if name.endswith(".m4s")}

    @property
    def requests_under_way(self) -> int:
        """How many requests the relay waits for."""
        (picture,) = self.world.sessions.services.pictures._open.values()
        assert isinstance(picture.source, HlsRelay)
        playlists = picture.source._playlists.values()
        return len(picture.source._files._tasks) + sum(len(playlist._tasks) for playlist in playlists)

    async def revoke(self) -> None:
        """Replace the random name of the session, in the row and in the process."""
        nonce = self.running.session.link_nonce
        self.world.sessions._by_link["another"] = self.world.sessions._by_link.pop(nonce)
        async with self.world.store._connections.begin() as connection:
            change = sa.update(tables.sessions).where(tables.sessions.c.link_nonce == nonce)
            await connection.execute(change.values(link_nonce="another"))


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with Watched.started(tmp_path) as watched:
        yield watched


async def test_three_watch_and_each_segment_is_fetched_once(watched: Watched) -> None:
    viewers = [await watched.viewer() for _ in range(3)]
    await watched.watch(*viewers, seconds=20)
    for viewer in viewers:
        assert len(viewer.seen) >= 18
        assert set(viewer.statuses) == {200}
        assert "127.0.0.1" not in str(viewer.told["hls_url"])
    assert len(watched.segments) >= 18
    assert set(watched.segments.values()) == {1}
    # As many as a segment is long, and perhaps one more to see when the next one comes: not three times that.
    playlists = sum(count for name, count in watched.faults.files.items() if name.endswith(".m3u8"))
    assert playlists <= 45


async def test_the_picture_follows_the_session_to_its_next_stream(watched: Watched) -> None:
    viewer = await watched.viewer()
    await watched.watch(viewer, seconds=5)
    first = viewer.picture
    assert first is not None
    await watched.world.write(long("story"))
    await watched.world.until(lambda: watched.running.view().speaking)
    await watched.world.type("/avatar interrupt")
    await watched.world.write("and on we go")
    await watched.world.until(lambda: viewer.picture not in (None, first))
    assert not watched.world.sessions.services.pictures._open, "what showed the stream before has ended with it"
    before = len(viewer.seen)
    await watched.watch(viewer, seconds=5)
    assert len(viewer.seen) > before + 3
    assert viewer.close_code is None
    await watched.do(viewer.get(first))
    assert viewer.statuses[-1] == 404


async def test_a_revoked_link_ends_the_picture_within_five_seconds(watched: Watched) -> None:
    viewer = await watched.viewer()
    await watched.watch(viewer, seconds=3)
    await watched.revoke()
    await watched.do(viewer.look())
    assert viewer.statuses[-1] == 404
    await watched.do(viewer.get(list(viewer.seen)[-1]))
    assert viewer.statuses[-1] == 404
    await watched.world.pass_time(5.0)
    assert viewer.close_code == 4404


async def test_the_end_of_the_session_ends_the_picture(watched: Watched) -> None:
    viewer = await watched.viewer()
    await watched.watch(viewer, seconds=3)
    picture = viewer.picture
    assert picture is not None
    await watched.world.sessions.stop(watched.running, EndReason.STOPPED, ANA)
    await watched.world.until(watched.running.closed.is_set)
    assert viewer.picture is None
    await watched.do(viewer.get(picture))
    assert viewer.statuses[-1] == 404


async def test_with_the_last_viewer_gone_nothing_is_fetched_any_more(watched: Watched) -> None:
    viewer = await watched.viewer()
    await watched.watch(viewer, seconds=3)
    requests = watched.faults.files.total()
    await watched.world.pass_time(UNWATCHED_TIMEOUT + 30)
    assert watched.faults.files.total() == requests
    assert not watched.world.sessions.services.pictures._open
    await watched.watch(viewer, seconds=3)
    assert watched.faults.files.total() > requests


async def test_without_a_viewer_nothing_is_fetched(watched: Watched) -> None:
    await watched.world.pass_time(60)
    assert watched.faults.files.total() == 0


HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
TROUBLES: dict[str, dict[str, Any]] = {
    "not found": {"effect": Effect.STATUS, "status": 404},
    "its own failure": {"effect": Effect.STATUS, "status": 500},
    "cut off": {"effect": Effect.LOST_REPLY},
    "not a picture": {"effect": Effect.GARBAGE},
    "nothing": {"effect": Effect.EMPTY},
    "an endless playlist": {"effect": Effect.STATUS, "status": 200, "body": HEAD + "#EXTINF:1,\na.m4s\n" * 50_000},
    "a file of this machine": {
        "effect": Effect.STATUS,
        "status": 200,
        "body": HEAD + "#EXTINF:1,\nfile:///etc/passwd\n",
    },
    "a private address": {"effect": Effect.STATUS, "status": 200, "body": HEAD + "#EXTINF:1,\nhttp://10.0.0.1/a.m4s\n"},
    "a place that tells of the machine": {
        "effect": Effect.STATUS,
        "status": 200,
        "body": HEAD + "#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data/\n",
    },
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("files", ["*.m3u8", "*.m4s"])
async def test_what_the_provider_does_wrong_passes(watched: Watched, files: str, trouble: dict[str, Any]) -> None:
    viewer = await watched.viewer()
    await watched.watch(viewer, seconds=3)
    watched.faults.add(path=f"{STREAM}/{files}", times=None, **trouble)
    await watched.watch(viewer, seconds=10)
    assert set(viewer.statuses) <= {200, 404, 503}
    assert not any(b"root:" in body for body in viewer.seen.values())
    await watched.world.write("and nobody else has any trouble")
    await watched.world.until(lambda: "and nobody else has any trouble" in watched.world.spoken)
    watched.faults.clear()
    before = len(viewer.seen)
    await watched.watch(viewer, seconds=4)
    assert len(viewer.seen) >= before + 3
    assert viewer.close_code is None


@pytest.mark.parametrize("files", ["*.m3u8", "*.m4s"])
async def test_a_provider_that_stalls_is_given_up_and_comes_back(
    watched: Watched, files: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((relayed_files, "SEGMENT_BOUNDS"), (source, "PLAYLIST_BOUNDS")):
        monkeypatch.setattr(module, name, Bounds(1 << 20, 0.2))
    viewer = await watched.viewer()
    await watched.watch(viewer, seconds=3)
    watched.faults.add(Effect.HANG, path=f"{STREAM}/{files}", times=None)
    looking = asyncio.create_task(viewer.look())
    await watched.world.pass_time(2.0)
    await watched.world.wait_for_timeouts(lambda: looking.done() and not watched.requests_under_way)
    watched.faults.clear()
    before = len(viewer.seen)
    await watched.watch(viewer, seconds=4)
    assert len(viewer.seen) >= before + 3
