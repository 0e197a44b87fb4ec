"""A channel in a local Slack with the real bot in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.platforms.slack import SlackDriver


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    """Socket Mode, and otherwise what a fresh installation has."""
    async with SlackDriver(tmp_path) as driver:
        yield driver
