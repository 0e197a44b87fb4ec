"""A running web server on a clock that stands still, and a client that shows every answer as it is."""

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.harness.clock import ManualClock
from tests.unit.web.fixtures import Watching


@pytest_asyncio.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def watching(clock: ManualClock) -> AsyncIterator[Watching]:
    watching = Watching(clock)
    await watching.start()
    yield watching
    await watching.stop()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=True) as session:
        yield session
