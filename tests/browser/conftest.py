"""A real Chromium on the watch page, and a real HLS stream from the simulator behind it.

One browser and one event loop serve all browser tests. Without Chromium they are skipped with a line that says so,
unless `--require=browser` asks for a failure instead.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from tests import options
from tests.browser.visit import Visit
from tests.harness.clock import ManualClock
from tests.unit.web.fixtures import Watching

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> str:
    """Where the system's Chromium is."""
    return options.program(pytestconfig, "browser")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        await browser.close()


class Streams:
    """Opens streams at the simulator and hands out their HLS addresses."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.source = "{0.scheme}://{0.netloc}".format(urlsplit(base))

    async def open(self) -> str:
        """A new stream that can be played; returns its HLS address."""
        headers = {"X-Api-Key": "simulator"}
        async with aiohttp.ClientSession(self.base, headers=headers) as client:
            looks = await self._get(client, "/v3/avatars/looks")
            voices = await self._get(client, "/v3/voices")
            wanted = {
                "type": "text_stream",
                "avatar_id": looks["data"][0]["id"],
                "voice_id": voices["data"][0]["voice_id"],
                "text": "Good morning. " * 200,
            }
            async with client.post("/v3/avatar-realtime", json=wanted) as response:
                assert response.status == 201, await response.text()
                stream_id = (await response.json())["data"]["stream_id"]
            async with asyncio.timeout(20):
                while True:
                    hls_url = (await self._get(client, f"/v3/avatar-realtime/{stream_id}"))["data"]["hls_url"]
                    if hls_url is not None:
                        return str(hls_url)
                    await asyncio.sleep(0.05)

    @staticmethod
    async def _get(client: aiohttp.ClientSession, path: str) -> dict[str, Any]:
        async with client.get(path) as response:
            assert response.status == 200, await response.text()
            body = await response.json()
            assert isinstance(body, dict)
            return body


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def streams() -> AsyncIterator[Streams]:
    simulator = Simulator(SimulatorOptions(v3_idle=300, v3_concurrency=10, v3_pending=0.1), SystemClock())
    base = await simulator.start()
    yield Streams(base)
    await simulator.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hls_url(streams: Streams) -> str:
    """A stream that runs through all tests."""
    return await streams.open()


@pytest_asyncio.fixture(loop_scope="session")
async def watching(streams: Streams) -> AsyncIterator[Watching]:
    """A server in real time."""
    watching = Watching(SystemClock(), media_sources=("https:", streams.source))
    await watching.start()
    yield watching
    await watching.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture(loop_scope="session")
async def still(clock: ManualClock) -> AsyncIterator[Watching]:
    """A server whose time the test moves."""
    watching = Watching(clock)
    await watching.start()
    yield watching
    await watching.stop()


Visitor = Callable[..., Awaitable[Visit]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visitor]:
    """Opens pages; afterwards none of them may have complained about anything that the test did not expect."""
    visits: list[Visit] = []

    async def open_page(url: str, **context: Any) -> Visit:
        visits.append(await Visit.open(browser, url, **context))
        return visits[-1]

    yield open_page
    for opened in visits:
        await opened.close()
        assert opened.unexpected() == []
        assert opened.device_requests == []


@pytest.fixture
def pictures(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """Where screenshots go."""
    folder = Path(pytestconfig.getoption("--screenshots") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
