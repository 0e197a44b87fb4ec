"""The platforms the scenarios run on."""

import importlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.platforms.platform_driver import Driver

DRIVERS = {
    "console": ("tests.platforms.console", "ConsoleDriver"),
    "discord": ("tests.platforms.discord", "DiscordDriver"),
    "slack": ("tests.platforms.slack", "SlackDriver"),
}


@pytest.fixture(params=DRIVERS)
async def chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """A channel of each platform with the bot in it."""
    module, name = DRIVERS[request.param]
    driver: Driver = getattr(importlib.import_module(module), name)(tmp_path)
    async with driver:
        yield driver
