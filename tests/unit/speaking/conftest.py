from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store import migrate
from bot.store.store import Store
from tests.harness.clock import ManualClock
from tests.unit.speaking.fixtures import SpeakingHarness


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[SpeakingHarness]:
    """A session with a database of its own."""
    file, clock = tmp_path / "relay.db", ManualClock()
    await migrate.upgrade(f"sqlite:///{file}")
    async with await Store.open(f"sqlite:///{file}", clock) as store:
        ground = SpeakingHarness(store, file, clock)
        await ground.open()
        yield ground
