"""Answers while they are written: what can be taken of them, and what is remembered."""

from collections.abc import AsyncIterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import AnswerError
from bot.core.ports import ChatTurn
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.speaking.answers import MAX_TURNS, AnswerStream, Conversation
from bot.text import make_speakable

texts = st.text(st.sampled_from("ab c,.!?«»…。你好 吗 한국 д é🙂"), max_size=40)


class Parrot:
    """A chat model that answers with given fragments, and notes what it was asked."""

    def __init__(self, *fragments: str, fails: bool = False) -> None:
        self._fragments = fragments
        self._fails = fails
        self.asked: list[list[ChatTurn]] = []

    async def answer(self, knowledge: str, turns: Sequence[ChatTurn]) -> AsyncIterator[str]:
        self.asked.append(list(turns))
        for fragment in self._fragments:
            yield fragment
        if self._fails:
            raise AnswerError("no more")


async def answered(conversation: Conversation, question: str) -> AnswerStream:
    tasks = TaskSet()
    answering = conversation.start(question, tasks, lambda: None)
    assert answering.task is not None
    await answering.task
    return answering


def test_the_last_word_is_kept_back_until_the_answer_is_done() -> None:
    answering = AnswerStream()
    answering.add("Good morn")
    assert answering.take() == "Good "
    answering.add("ing, dear ")
    assert answering.take() == "morning, "
    answering.finish(is_whole=True)
    assert answering.take() == "dear"


def test_a_script_without_blanks_can_be_taken_character_by_character() -> None:
    answering = AnswerStream()
    answering.add("你好吗")
    assert answering.take() == "你好"


def test_marks_of_formatting_are_not_spoken_and_not_kept_back_as_last_word() -> None:
    answering = AnswerStream()
    answering.add("**Very** good ")
    answering.add("`**`")
    assert answering.take() == "Very "
    answering.finish(is_whole=True)
    assert answering.take() == "good"
    assert answering.whole == "**Very** good `**`"


@given(st.lists(texts, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_nothing_of_an_answer_is_lost_or_said_twice(fragments: list[str], looks: list[bool]) -> None:
    answering, taken = AnswerStream(), ""
    for fragment, look in zip(fragments, looks, strict=False):
        answering.add(fragment)
        if look:
            taken += answering.take()
    before_the_end = taken
    answering.finish(is_whole=True)
    taken += answering.take()
    assert taken == make_speakable("".join(fragments))
    assert answering.is_empty == (not taken)
    assert not taken or taken[len(before_the_end) :], "the end of an answer must be known to be its end"


async def test_a_question_and_its_answer_are_remembered_for_the_next_question() -> None:
    model = Parrot("Hello ", "there.")
    conversation = Conversation(model, "")
    await answered(conversation, "hi")
    await answered(conversation, "again")
    assert [(turn.text, turn.from_avatar) for turn in model.asked[1]] == [
        ("hi", False),
        ("Hello there.", True),
        ("again", False),
    ]


async def test_a_long_conversation_is_bounded() -> None:
    model = Parrot("Yes.")
    conversation = Conversation(model, "")
    for number in range(30):
        await answered(conversation, f"question {number}")
    assert max(len(turns) for turns in model.asked) == MAX_TURNS
    assert model.asked[-1][-1].text == "question 29"


async def test_failures_are_kept_with_the_answer() -> None:
    for model in (Parrot("So ", fails=True), Parrot(), Parrot(" ", "\n"), Parrot("**"), Parrot("🎉"), None):
        answering = await answered(Conversation(model, ""), "why?")
        assert answering.done
        assert isinstance(answering.error, AnswerError)


async def test_what_was_written_of_an_answer_that_was_stopped_is_remembered() -> None:
    model = Parrot("Once upon ", "a time")
    conversation = Conversation(model, "")
    tasks = TaskSet()
    answering = conversation.start("tell me a story", tasks, lambda: None)
    answering.add("Once upon ")
    await conversation.stop(answering)
    await cancel_and_wait(answering.task)
    await answered(conversation, "and?")
    assert [turn.text for turn in model.asked[-1]] == ["tell me a story", "Once upon ", "and?"]
    await tasks.close()
