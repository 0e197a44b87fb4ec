"""What waits, waits in the order of acceptance, and can be reworded, withdrawn and dropped until it is taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from bot.core.errors import StoreError
from bot.core.models import Mode, UtteranceState
from bot.core.ports import ChatTurn
from bot.core.tasks import TaskSet
from bot.speaking.answers import Conversation
from bot.speaking.chunks import Chunker
from bot.speaking.queue import SpeechQueue
from bot.telemetry import metrics
from tests.harness.clock import settle
from tests.unit.speaking.fixtures import SpeakingHarness
from tests.unit.speaking.providers import capabilities

DROPPED = UtteranceState.DROPPED


class Stubborn:
    """A chat model that does not stop at once."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def answer(self, knowledge: str, turns: Sequence[ChatTurn]) -> AsyncIterator[str]:
        yield "Well"
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_end.wait()


@pytest.fixture
def queue(ground: SpeakingHarness) -> SpeechQueue:
    pieces = Chunker(capabilities(), Conversation(None, ""), TaskSet(), lambda: None)
    return SpeechQueue(ground.store, pieces, ground.states)


def texts(queue: SpeechQueue) -> list[str]:
    return [line.utterance.text for line in queue]


def counted() -> float:
    return metrics.waiting_utterances._value.get()


async def test_lines_wait_in_the_order_of_acceptance_whichever_comes_first(
    queue: SpeechQueue, ground: SpeakingHarness
) -> None:
    first, second, third = [await ground.line(text) for text in ("one", "two", "three")]
    for line in (third, first, second):
        queue.add(line)
    assert texts(queue) == ["one", "two", "three"]
    assert queue.first is first


async def test_a_line_put_back_is_next(queue: SpeechQueue, ground: SpeakingHarness) -> None:
    for text in ("one", "two"):
        queue.add(await ground.line(text))
    queue.requeue(queue.take())
    assert texts(queue) == ["one", "two"]


async def test_an_empty_queue_has_no_first(queue: SpeechQueue) -> None:
    assert queue.first is None
    assert not queue


async def test_a_message_is_reworded_in_its_place(queue: SpeechQueue, ground: SpeakingHarness) -> None:
    lines = [await ground.line(text, message_id=text) for text in ("one", "two", "three")]
    for line in lines:
        queue.add(line)
    lines[1].chunks.append("two")
    await queue.edit("two", "zwei")
    assert texts(queue) == ["one", "zwei", "three"]
    assert not lines[1].chunks
    assert ground.row(lines[1]) == ("zwei", "queued")
    assert ground.told == [("zwei", UtteranceState.QUEUED)]


async def test_what_its_row_says_has_begun_keeps_its_words(queue: SpeechQueue, ground: SpeakingHarness) -> None:
    line = await ground.line("one", message_id="one")
    await ground.states.advance(line, UtteranceState.SENDING)
    queue.requeue(line)
    await queue.edit("one", "eins")
    assert texts(queue) == ["one"]
    assert ground.row(line) == ("one", "sending")


async def test_a_withdrawn_message_is_dropped_and_the_others_wait(queue: SpeechQueue, ground: SpeakingHarness) -> None:
    lines = [await ground.line(text, message_id=text) for text in ("one", "two", "three")]
    for line in lines:
        queue.add(line)
    await queue.delete("two")
    assert texts(queue) == ["one", "three"]
    assert ground.row(lines[1]) == ("two", "dropped")
    assert ground.told == [("two", DROPPED)]


async def test_a_withdrawn_message_waits_until_its_answer_is_stopped(ground: SpeakingHarness) -> None:
    model, tasks = Stubborn(), TaskSet()
    chunker = Chunker(capabilities(), Conversation(model, ""), tasks, lambda: None)
    queue = SpeechQueue(ground.store, chunker, ground.states)
    line = await ground.line("one", message_id="one", mode=Mode.CHAT)
    chunker.load(line)
    queue.add(line)
    withdrawing = asyncio.create_task(queue.delete("one"))
    await settle()
    # The session is asked to end in this moment: what waits still has to be told.
    withdrawing.cancel()
    await settle()
    assert withdrawing.done()
    assert texts(queue) == ["one"]
    model.may_end.set()
    await tasks.close()


async def test_clearing_drops_all_in_their_order(queue: SpeechQueue, ground: SpeakingHarness) -> None:
    lines = [await ground.line(text) for text in ("one", "two")]
    for line in lines:
        queue.add(line)
    await queue.clear()
    assert not queue
    assert ground.told == [("one", DROPPED), ("two", DROPPED)]
    assert [ground.row(line) for line in lines] == [("one", "dropped"), ("two", "dropped")]


async def test_clearing_in_a_broken_database_goes_on_where_it_stopped(
    queue: SpeechQueue, ground: SpeakingHarness
) -> None:
    for text in ("one", "two"):
        queue.add(await ground.line(text))
    ground.break_down()
    for left in (["two"], []):
        with pytest.raises(StoreError):
            await queue.clear()
        assert texts(queue) == left
    assert ground.told == [("one", DROPPED), ("two", DROPPED)]


async def test_the_first_line_that_is_meant_is_taken_past_others(queue: SpeechQueue, ground: SpeakingHarness) -> None:
    for text in ("one", "two", "three"):
        queue.add(await ground.line(text))
    before = counted()
    taken = queue.take_first(lambda line: line.utterance.text != "one")
    assert taken is not None
    assert (taken.utterance.text, texts(queue)) == ("two", ["one", "three"])
    assert counted() == before - 1
    assert queue.take_first(lambda line: line.utterance.text == "two") is None


async def test_metric_counts_what_waits(queue: SpeechQueue, ground: SpeakingHarness) -> None:
    before = counted()
    for text in ("one", "two", "three", "four"):
        queue.add(await ground.line(text, message_id=text))
    assert counted() == before + 4
    queue.requeue(queue.take())
    assert counted() == before + 4
    await queue.delete("two")
    assert counted() == before + 3
    queue.take()
    assert counted() == before + 2
    await queue.clear()
    assert counted() == before
