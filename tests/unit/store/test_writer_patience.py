"""What the group-commit writer keeps while a server is away, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.errors import OwnershipLost, StoreUnavailable
from bot.core.models import UtteranceState
from bot.store.writer import MAX_DELAY, TRY_EVERY
from tests.harness.clock import settle
from tests.unit.store.written_to import Ground, ground_at, sending, soon

SENDING, SPEAKING, SPOKEN = UtteranceState.SENDING, UtteranceState.SPEAKING, UtteranceState.SPOKEN
QUEUED, INTERRUPTED = UtteranceState.QUEUED, UtteranceState.INTERRUPTED

AWAY = StoreUnavailable("the server is away")
PATIENCE = 10.0


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground_at(tmp_path, patience=PATIENCE) as ground:
        yield ground


async def until_tried(ground: Ground) -> None:
    """Wait until one more transaction has been tried."""
    ground.gate.begun.clear()
    await ground.gate.begun.wait()
    await settle()


async def test_what_is_patient_is_written_in_its_order_when_the_server_is_back(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = AWAY
    errors = soon(ground, utterance, SPEAKING)
    waits = asyncio.create_task(ground.advance(utterance, SENDING, "again", is_patient=True))
    await until_tried(ground)
    for _ in range(3):
        await asyncio.gather(until_tried(ground), ground.clock.advance(TRY_EVERY))
    assert not waits.done()
    soon(ground, utterance, SPOKEN)
    ground.gate.failure = None
    await ground.clock.advance(TRY_EVERY)
    await waits
    await ground.writer.close()
    assert await ground.states() == {"x": (SPOKEN, "again")}
    assert errors == []


async def test_what_is_kept_goes_before_what_came_while_it_was_tried(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = AWAY
    ground.gate.opened.clear()
    ground.gate.begun.clear()
    waits = asyncio.create_task(ground.advance(utterance, SENDING, "again", is_patient=True))
    await ground.gate.begun.wait()
    soon(ground, utterance, SPOKEN)
    ground.gate.opened.set()
    await settle()
    ground.gate.failure = None
    await ground.clock.advance(TRY_EVERY)
    await waits
    await ground.writer.close()
    assert await ground.states() == {"x": (SPOKEN, "again")}


async def test_everything_else_fails_at_once(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = AWAY
    errors = soon(ground, utterance, SPEAKING)
    with pytest.raises(StoreUnavailable):
        await ground.accept("message")
    with pytest.raises(StoreUnavailable):
        await ground.advance(utterance, INTERRUPTED)
    assert errors == []


async def test_what_is_kept_does_not_wait_where_another_write_comes(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = AWAY
    soon(ground, utterance, SPOKEN)
    await asyncio.gather(until_tried(ground), ground.clock.advance(MAX_DELAY))
    ground.gate.failure = None
    assert await ground.accept("message")
    assert (await ground.states())["x"] == (SPOKEN, None)
    assert ground.clock.due == []


async def test_patience_ends(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = AWAY
    waits = asyncio.create_task(ground.advance(utterance, QUEUED, is_patient=True))
    await until_tried(ground)
    while ground.clock.monotonic() < PATIENCE - TRY_EVERY:
        await asyncio.gather(until_tried(ground), ground.clock.advance(TRY_EVERY))
    assert not waits.done()
    await ground.clock.advance(TRY_EVERY)
    with pytest.raises(StoreUnavailable, match="away"):
        await waits


async def test_who_was_taken_over_keeps_nothing(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = OwnershipLost("taken over")
    with pytest.raises(OwnershipLost):
        await ground.advance(utterance, QUEUED, is_patient=True)


async def test_what_nobody_waits_for_any_more_is_not_kept(ground: Ground) -> None:
    """Whoever was cancelled has given the utterance its end by another write, which may have failed."""
    utterance = await sending(ground)
    ground.gate.failure = AWAY
    waits = asyncio.create_task(ground.advance(utterance, QUEUED, is_patient=True))
    await until_tried(ground)
    waits.cancel()
    await asyncio.gather(until_tried(ground), ground.clock.advance(TRY_EVERY))
    ground.gate.failure = None
    await ground.writer.close()
    assert await ground.states() == {"x": (SENDING, None)}


async def test_closing_keeps_nothing(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = AWAY
    errors = soon(ground, utterance, SPOKEN)
    await ground.writer.close()
    assert [str(error) for error in errors] == ["the server is away"]
