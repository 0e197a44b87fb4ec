"""A line's state is written, noted and told, in this order."""

import pytest

from bot.core.errors import StoreError, StoreUnavailable
from bot.core.models import UtteranceState
from bot.speaking.item import greeting
from bot.store.writer import MAX_DELAY
from tests.unit.speaking.fixtures import SpeakingHarness


async def test_a_state_is_written_and_told(ground: SpeakingHarness) -> None:
    line = await ground.line("Hello.")
    await ground.states.advance(line, UtteranceState.SENDING)
    assert ground.row(line) == ("Hello.", "sending")
    assert ground.told == [("Hello.", UtteranceState.SENDING)]


async def test_a_state_that_cannot_be_written_is_not_told(ground: SpeakingHarness) -> None:
    line = await ground.line()
    ground.break_down()
    with pytest.raises(StoreError):
        await ground.states.advance(line, UtteranceState.SENDING)
    assert line.utterance.state is UtteranceState.QUEUED
    assert ground.told == []


async def test_an_end_is_told_although_it_cannot_be_written(ground: SpeakingHarness) -> None:
    line = await ground.line("Hello.")
    ground.break_down()
    with pytest.raises(StoreError):
        await ground.states.finish(line, UtteranceState.INTERRUPTED)
    assert ground.told == [("Hello.", UtteranceState.INTERRUPTED)]


async def test_what_nothing_waits_for_is_told_at_once_and_its_error_is_not_lost(ground: SpeakingHarness) -> None:
    line = await ground.line("Hello.")
    ground.break_down()
    await ground.states.advance(line, UtteranceState.SPEAKING)
    await ground.states.finish(line, UtteranceState.SPOKEN)
    assert ground.told == [("Hello.", UtteranceState.SPEAKING), ("Hello.", UtteranceState.SPOKEN)]
    assert ground.unwritten == []
    await ground.pass_time(MAX_DELAY)
    assert [type(error) for error in ground.unwritten] == [StoreUnavailable] * 2


async def test_a_line_whose_row_says_so_from_the_first_is_only_told(ground: SpeakingHarness) -> None:
    line = await ground.line("Hello.", state=UtteranceState.SENDING)
    ground.break_down()
    await ground.states.advance(line, UtteranceState.SENDING)
    assert ground.told == [("Hello.", UtteranceState.SENDING)]


async def test_only_an_end_counts_as_the_last_end(ground: SpeakingHarness) -> None:
    line = await ground.line()
    await ground.pass_time(5.0)
    await ground.states.advance(line, UtteranceState.SENDING)
    assert ground.states.finished_at == 0.0
    await ground.states.finish(line, UtteranceState.SPOKEN)
    assert ground.states.finished_at == 5.0


async def test_a_greeting_is_neither_written_nor_told(ground: SpeakingHarness) -> None:
    line = greeting("session", "Hi.", ground.clock)
    ground.break_down()
    await ground.states.finish(line, UtteranceState.SPOKEN)
    assert line.utterance.state is UtteranceState.SPOKEN
    assert ground.told == []


async def test_a_line_that_people_know_to_wait_is_tried_again_in_silence(ground: SpeakingHarness) -> None:
    line = await ground.line("Hello.")
    for _ in range(20):
        await ground.states.advance(line, UtteranceState.SENDING)
        await ground.states.advance(line, UtteranceState.QUEUED)
    assert ground.row(line) == ("Hello.", "queued")
    assert ground.told == [("Hello.", UtteranceState.SENDING), ("Hello.", UtteranceState.QUEUED)]

    await ground.states.advance(line, UtteranceState.SENDING)
    await ground.states.advance(line, UtteranceState.SPEAKING)
    assert ground.told[2:] == [("Hello.", UtteranceState.SPEAKING)]
