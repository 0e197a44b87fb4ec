"""The servers the set-up commands talk to."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from tests.fakes.discord import FakeDiscord
from tests.fakes.slack import FakeSlack
from tests.harness.livekit import livekit_program, livekit_server
from tests.platforms.running_bot import KEY


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The avatar services."""
    async with Simulator(SimulatorOptions(api_key=SecretStr(KEY)), SystemClock()) as simulator:
        yield simulator


@pytest.fixture
async def discord() -> AsyncIterator[FakeDiscord]:
    """A Discord with one server and one channel, whose bot has a token of the form real ones have."""
    async with FakeDiscord(token="MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.Gtwin.of-a-bot") as twin:
        yield twin


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    """A Slack with one workspace that has the app."""
    async with FakeSlack() as twin:
        yield twin


__all__ = ["discord", "livekit_program", "livekit_server", "simulator", "slack"]
