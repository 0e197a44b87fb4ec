from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store.store import Store
from tests.harness.blank_database import make_database
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults
from tests.unit.speaking.fixtures import SpeakingHarness


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[SpeakingHarness]:
    """A session with a database of its own."""
    file, clock = tmp_path / "relay.db", ManualClock()
    await make_database(f"sqlite:///{file}")
    faults = WriteFaults()
    async with await Store.open(f"sqlite:///{file}", clock, wrap_begin=faults.wrap) as store:
        ground = SpeakingHarness(store, file, clock, faults)
        await ground.open()
        yield ground
