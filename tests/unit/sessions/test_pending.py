"""Utterances that are written down, or being written down, and have not got in line yet."""

import asyncio

import pytest

from bot.sessions.pending import PendingUtterances
from tests.builders import a_session, an_utterance
from tests.harness.clock import settle


def test_utterances_are_taken_in_the_order_in_which_they_arrived() -> None:
    arrivals, session = PendingUtterances(), a_session()
    one, two = an_utterance(session), an_utterance(session)
    for utterance in (two, one):
        arrivals.add(utterance)
    assert len(arrivals) == 2
    assert list(arrivals) == [two, one]
    assert [arrivals.take(), arrivals.take(), arrivals.take()] == [two, one, None]


async def test_whoever_waits_for_the_last_row_waits_for_all_that_are_being_written() -> None:
    arrivals = PendingUtterances()
    with arrivals.reserve():
        with arrivals.reserve():
            assert arrivals.expected == 2
            waiting = asyncio.create_task(arrivals.wait_persisted())
            await settle()
        await settle()
        assert not waiting.done()
    await waiting
    assert arrivals.expected == 0


async def test_a_row_that_cannot_be_written_is_not_waited_for() -> None:
    arrivals = PendingUtterances()
    with pytest.raises(ValueError, match="no"), arrivals.reserve():
        raise ValueError("no")
    await arrivals.wait_persisted()


async def test_nothing_is_waited_for_where_nothing_is_written() -> None:
    await PendingUtterances().wait_persisted()
