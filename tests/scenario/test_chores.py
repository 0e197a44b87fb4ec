"""What is done once in a while for all sessions, whoever they are of."""

from datetime import timedelta
from pathlib import Path

import pytest

from bot.sessions import jobs
from tests.harness.bot import CHANNEL, BotHarness


async def test_what_was_kept_for_a_session_and_nobody_handles_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FORGET_EVERY", 1.0)
    monkeypatch.setattr(jobs, "KEEP_PARCELS", timedelta(seconds=5))
    async with BotHarness(tmp_path, jobs=True) as world:
        await world.store.parcels.put(CHANNEL, "of a platform that is gone", "hello")
        await world.pass_time(4.5)
        assert len(await world.store.parcels.waiting(homeless=True)) == 1
        await world.pass_time(2.0)
        assert await world.store.parcels.waiting(homeless=True) == []
