"""What a line says goes out in pieces that a provider can take."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import AnswerError, AnswerTrouble
from bot.core.models import Mode
from bot.core.ports import Capabilities, ChatTurn
from bot.core.tasks import TaskSet
from bot.speaking.answers import Conversation
from bot.speaking.chunks import PIECE_IN_A_FLOW, Chunker, append_chunks
from bot.speaking.item import SpeechItem
from tests.builders import a_session, an_utterance
from tests.unit.speaking.providers import capabilities

texts = st.text(st.sampled_from("ab c,.!?«»…。你好 吗 한국 д é🙂"), max_size=80)

LONG = " ".join(f"This is sentence number {number}." for number in range(40))


class Slowpoke:
    """A chat model that says half of its answer, and the rest when it may go on."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.turns: Sequence[ChatTurn] = ()
        self.go_on = asyncio.Event()

    async def answer(self, knowledge: str, turns: Sequence[ChatTurn]) -> AsyncIterator[str]:
        self.asked.append(turns[-1].text)
        self.turns = turns
        yield "Well, let me "
        await self.go_on.wait()
        yield "think."


@pytest.fixture
def model() -> Slowpoke:
    return Slowpoke()


class Sourced:
    """A source of pieces, and how often it said that an answer grew."""

    def __init__(self, model: Slowpoke, can: Capabilities) -> None:
        self.tasks = TaskSet()
        self.on_chunk = asyncio.Event()
        self.pieces = Chunker(can, Conversation(model, ""), self.tasks, self.on_chunk.set)

    async def growth(self) -> None:
        await self.on_chunk.wait()
        self.on_chunk.clear()


def a_line(text: str, mode: Mode = Mode.REPEAT) -> SpeechItem:
    return SpeechItem(an_utterance(a_session(), text=text, mode=mode))


@given(texts, st.integers(1, 20))
def test_pieces_in_a_flow_join_to_the_text_again(text: str, limit: int) -> None:
    pieces = append_chunks(text, limit)
    folded = " ".join(text.split())
    behind = " " if pieces and text[-1].isspace() else ""
    assert "".join(pieces) == (folded + behind if pieces else "")
    assert all(len(piece.rstrip()) <= limit for piece in pieces)


def test_a_message_is_cut_to_what_the_provider_takes_at_once(model: Slowpoke) -> None:
    line = a_line(LONG)
    Sourced(model, capabilities(max_text=300)).pieces.load(line)
    assert len(line.chunks) > 1
    assert all(len(piece) <= 300 for piece in line.chunks)
    assert " ".join(line.chunks) == LONG


def test_pieces_that_can_be_appended_are_short_whatever_the_provider_takes(model: Slowpoke) -> None:
    line = a_line(LONG)
    Sourced(model, capabilities(max_text=10_000, appends=True)).pieces.load(line)
    assert all(len(piece.rstrip()) <= PIECE_IN_A_FLOW for piece in line.chunks)
    assert "".join(line.chunks) == LONG


def test_a_message_is_put_in_once(model: Slowpoke) -> None:
    line = a_line("Hello there.")
    sourced = Sourced(model, capabilities())
    for _ in range(2):
        sourced.pieces.load(line)
        assert list(line.chunks) == ["Hello there."]
    line.chunks.clear()
    line.sent = True
    sourced.pieces.load(line)
    assert not line.chunks


async def test_an_answer_comes_as_it_is_written_and_is_asked_for_once(model: Slowpoke) -> None:
    line = a_line("How are you?", Mode.CHAT)
    sourced = Sourced(model, capabilities())
    sourced.pieces.load(line)
    assert not line.is_complete
    await sourced.growth()
    sourced.pieces.load(line)
    assert list(line.chunks) == ["Well, let"]
    model.go_on.set()
    await sourced.tasks.drained()
    sourced.pieces.load(line)
    assert "".join(line.chunks).replace(" ", "") == "Well,letmethink."
    assert line.is_last_chunk is False
    assert model.asked == ["How are you?"]


async def test_an_answer_that_nobody_will_hear_is_stopped(model: Slowpoke) -> None:
    line = a_line("How are you?", Mode.CHAT)
    sourced = Sourced(model, capabilities())
    sourced.pieces.load(line)
    await sourced.growth()
    await sourced.pieces.stop(line)
    await sourced.tasks.drained()
    assert not len(sourced.tasks)


@pytest.mark.parametrize(("was_heard", "turns"), [(True, 3), (False, 1)])
async def test_what_was_not_heard_of_an_answer_is_not_remembered(model: Slowpoke, was_heard: bool, turns: int) -> None:
    line, next_line = a_line("How are you?", Mode.CHAT), a_line("And now?", Mode.CHAT)
    sourced = Sourced(model, capabilities())
    sourced.pieces.load(line)
    await sourced.growth()
    line.sent = was_heard
    await sourced.pieces.stop(line)
    sourced.pieces.load(next_line)
    await sourced.growth()
    assert len(model.turns) == turns
    await sourced.tasks.close()


async def test_an_answer_that_is_broken_off_is_all_there_is_of_it(model: Slowpoke) -> None:
    line = a_line("How are you?", Mode.CHAT)
    sourced = Sourced(model, capabilities())
    sourced.pieces.load(line)
    await sourced.growth()
    error = AnswerError("too slow", why=AnswerTrouble.TIME)
    await sourced.pieces.break_off(line, error)
    sourced.pieces.load(line)
    assert list(line.chunks) == ["Well, let me"]
    assert (line.is_last_chunk, line.answer_error) == (True, error)


def test_a_provider_that_answers_by_itself_gets_the_question(model: Slowpoke) -> None:
    line = a_line("How are you?", Mode.CHAT)
    sourced = Sourced(model, capabilities(chat=True))
    assert not sourced.pieces.needs_answer(line.utterance.mode)
    sourced.pieces.load(line)
    assert list(line.chunks) == ["How are you?"]
    assert model.asked == []
