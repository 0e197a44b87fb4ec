"""A session goes from one process to another: what is being said is said to the end, what waits is said by the next
one, over the same stream."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import sentences
from bot.core.models import UtteranceState
from bot.sessions.registry import SETTLE_TIME
from bot.store import tables
from tests.harness.bot import PROVIDERS, BotHarness

LONG = "this is being said while the session is handed over, and it takes a good while until the last word is said"
ENDLESS = ". ".join([LONG] * 8)


@pytest.fixture(params=PROVIDERS)
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[BotHarness]:
    async with BotHarness(tmp_path, request.param) as world:
        yield world


async def hand_over(world: BotHarness) -> None:
    """As the process that has the session; the next one is in the same place."""
    sessions = list(world.sessions)
    await world.sessions.settle(sessions)
    await world.sessions.release(sessions)
    assert len(world.sessions) == 0


async def test_what_is_being_said_is_said_to_the_end_and_what_waits_by_the_next(world: BotHarness) -> None:
    await world.start()
    await world.write(LONG)
    await world.until(lambda: world.states(LONG)[-1:] == [UtteranceState.SPEAKING])
    await world.write("second")
    handing_over = asyncio.create_task(hand_over(world))
    await world.pass_time(1)
    assert not handing_over.done()
    await world.write("third")
    await world.until(lambda: world.ended_as(LONG, UtteranceState.SPOKEN))
    await world.until(handing_over.done)
    await handing_over
    await world.pass_time(5)
    rows = {row.text: row.state for row in await world.rows(tables.utterances)}
    assert (rows["second"], rows["third"]) == (UtteranceState.QUEUED, UtteranceState.QUEUED)
    recovery = await world.recover()
    assert (recovery.adopted, recovery.unknown_utterances) == (1, 0)
    await world.until(lambda: world.ended_as("third", UtteranceState.SPOKEN))
    assert world.heard[-3:] == [LONG, "second", "third"]


async def test_what_takes_too_long_is_told_as_unknown(world: BotHarness) -> None:
    await world.start()
    await world.write(ENDLESS)
    await world.until(lambda: world.states(ENDLESS)[-1:] == [UtteranceState.SPEAKING])
    handing_over = asyncio.create_task(hand_over(world))
    await world.pass_time(SETTLE_TIME + 1)
    assert handing_over.done()
    await handing_over
    recovery = await world.recover()
    assert (recovery.adopted, recovery.unknown_utterances) == (1, 1)


async def test_silent_session_goes_at_once_and_one_that_closes_is_closed(world: BotHarness) -> None:
    running = await world.start()
    await world.pass_time(10)
    settling = asyncio.create_task(world.sessions.settle([running]))
    await world.until(settling.done)
    await world.type("/avatar stop")
    await world.sessions.release([running])
    assert world.sessions.serves(running.session.id)
    await world.until(running.closed.is_set)
    assert await world.store.sessions.all_open() == []


async def test_process_that_leaves_opens_no_session(world: BotHarness) -> None:
    world.sessions.is_leaving = True
    reply = await world.type("/avatar start")
    assert reply is not None
    assert reply.text == sentences.RESTARTING
    assert await world.store.sessions.all_open() == []
