"""Worlds for scenario tests, and the avatar service of those that run the real program."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.bot import PROVIDERS, BotHarness
from tests.harness.programs import Service


@pytest.fixture(params=PROVIDERS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A bot on each provider."""
    async with BotHarness(tmp_path, request.param) as world:
        yield world


@pytest.fixture
async def realtime(tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A bot on HeyGen's v3 API."""
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        yield world


@pytest.fixture
async def streaming(tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A bot on HeyGen's v1 API."""
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        yield world


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of a file."""
    with Service.running(tmp_path_factory.mktemp("simulator")) as service:
        yield service


@pytest.fixture
def service(simulator: Service) -> Iterator[Service]:
    """The avatar service, with nothing open and nothing broken."""
    yield simulator
    simulator.mend()
    simulator.end_streams()


@pytest.fixture
def new_url(new_postgres_url: Callable[[], str]) -> Callable[[], Awaitable[str]]:
    """Makes an empty database and returns its URL, for a test that runs in a loop of its own."""
    return lambda: asyncio.to_thread(new_postgres_url)
