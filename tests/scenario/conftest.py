"""Worlds for scenario tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import PROVIDERS, World


@pytest.fixture(params=PROVIDERS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A bot on each provider."""
    async with World(tmp_path, request.param) as world:
        yield world


@pytest.fixture
async def realtime(tmp_path: Path) -> AsyncIterator[World]:
    """A bot on HeyGen's v3 API."""
    async with World(tmp_path, "heygen-realtime") as world:
        yield world


@pytest.fixture
async def streaming(tmp_path: Path) -> AsyncIterator[World]:
    """A bot on HeyGen's v1 API."""
    async with World(tmp_path, "heygen-streaming") as world:
        yield world
