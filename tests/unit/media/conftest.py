"""A provider that the tests hold in their hands, and the relay's way to it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from adapters.media.relay.upstream import Upstream
from tests.harness.clock import ManualClock
from tests.unit.media.provider import Provider


@pytest_asyncio.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as provider:
        yield provider


@pytest_asyncio.fixture
async def upstream(provider: Provider) -> AsyncIterator[Upstream]:
    """The way to a provider that is itself addressed on this machine and over http."""
    async with Upstream(provider.url) as upstream:
        await upstream.look_up_provider()
        yield upstream
