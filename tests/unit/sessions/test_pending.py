"""Utterances that are being written down have their place already."""

import asyncio

import pytest

from bot.sessions.pending import PendingUtterances
from tests.harness.clock import settle


async def test_whoever_waits_for_the_last_row_waits_for_all_that_are_being_written() -> None:
    pending = PendingUtterances()
    with pending.reserve():
        with pending.reserve():
            assert len(pending) == 2
            waiting = asyncio.create_task(pending.wait_persisted())
            await settle()
        await settle()
        assert not waiting.done()
    await waiting
    assert len(pending) == 0


async def test_a_row_that_cannot_be_written_is_not_waited_for() -> None:
    pending = PendingUtterances()
    with pytest.raises(ValueError, match="no"), pending.reserve():
        raise ValueError("no")
    await pending.wait_persisted()


async def test_nothing_is_waited_for_where_nothing_is_written() -> None:
    await PendingUtterances().wait_persisted()
