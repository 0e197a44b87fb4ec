"""A chat model that thinks aloud, is picky, breaks off or is waited for: what is said, what people read, and what goes
on meanwhile. Its API is `tests.fakes.chat_api`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot import sentences
from bot.core.errors import AnswerError, AnswerTrouble
from bot.core.events import UtteranceChanged
from bot.core.models import UtteranceState
from bot.speaking.scheduler import FIRST_WORD, NEXT_WORDS, TURN
from tests.fakes.chat_api import COMMENT, DONE, ChatApi, Script, delta, whole
from tests.harness.bot import BotHarness, with_policy

QUESTION = "what is the weather like?"
ANSWER = "Hello there, welcome back."
HALF = "The weather is fine, but the"


@asynccontextmanager
async def talking(folder: Path, **policy: float) -> AsyncIterator[tuple[BotHarness, ChatApi]]:
    """A world with a chat API of its own, and an avatar in it."""
    world = BotHarness(folder, policy=with_policy(**policy))
    async with ChatApi(world.clock) as api:
        world.chat_url = api.url
        async with world:
            await world.start()
            yield world, api


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[tuple[BotHarness, ChatApi]]:
    async with talking(tmp_path) as talk:
        yield talk


def said(world: BotHarness) -> str:
    """All that the avatars were given to say after the greeting."""
    return "".join(text.asked for view in world.simulator.streams() for text in view.spoken).partition("I am here.")[2]


def answer_shown(world: BotHarness) -> str | None:
    changes = [event for event in world.events if isinstance(event, UtteranceChanged)]
    return [change.answer for change in changes if change.utterance.text == QUESTION][-1]


async def ask(world: BotHarness, question: str, state: UtteranceState = UtteranceState.SPOKEN) -> None:
    await world.type(f"/avatar ask {question}")
    await world.until(lambda: world.ended_as(question, state))


def told(world: BotHarness) -> list[str]:
    """The troubles that the channel reads, without references."""
    return [notice.partition(" (ref ")[0] for notice in world.notices if "(ref " in notice]


def broke_off(why: AnswerTrouble) -> str:
    return sentences.answer_broke_off(AnswerError("", why=why))[0].partition(" (ref ")[0]


# --- what is an answer, and when it ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        [delta(f"<think>Say hello.</think>{ANSWER}"), delta(None, "stop"), DONE],
        [*map(delta, f"<think>Say hello.</think>{ANSWER}"), delta(None, "stop"), DONE],
        [delta(None, reasoning_content="Say hello."), delta("", reasoning="Hm."), *whole(ANSWER)],
        [delta([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": ANSWER}]), delta([], "stop"), DONE],
    ],
    ids=["thoughts", "thoughts-cut-anywhere", "thoughts-in-fields", "parts"],
)
async def test_the_answer_is_said_and_shown_without_the_thoughts(
    talk: tuple[BotHarness, ChatApi], answer: Script
) -> None:
    world, api = talk
    api.answers.append(answer)
    await ask(world, QUESTION)
    assert said(world).strip() == ANSWER
    assert answer_shown(world) == ANSWER
    assert not told(world)


async def test_finish_reason_ends_the_answer_although_the_stream_goes_on(talk: tuple[BotHarness, ChatApi]) -> None:
    world, api = talk
    comments: list[str | float] = [COMMENT, 5.0] * 20
    api.answers.append([delta(ANSWER), delta(None, "stop"), *comments])
    await world.type(f"/avatar ask {QUESTION}")
    await world.pass_time(10)
    assert world.ended_as(QUESTION, UtteranceState.SPOKEN)
    await world.pass_time(60)
    assert said(world).strip() == ANSWER
    assert not told(world)
    assert api.is_heard == 0, "the connection is closed"


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ([], AnswerTrouble.BROKEN_OFF),
        ([delta(None, "length"), DONE], AnswerTrouble.LENGTH),
        ([delta(None, "content_filter"), DONE], AnswerTrouble.FILTER),
        (["data: nonsense\n\n", 'data: {"error": {"message": "overloaded"}}\n\n'], AnswerTrouble.OTHER),
        ([COMMENT, 100.0], AnswerTrouble.TIME),
    ],
    ids=["end-of-stream", "length", "content-filter", "error", "silence"],
)
async def test_an_answer_that_breaks_off_is_said_as_far_as_it_came_and_told(
    talk: tuple[BotHarness, ChatApi], end: list[str | float], why: AnswerTrouble
) -> None:
    world, api = talk
    api.answers.append([delta(HALF), *end])
    await world.type(f"/avatar ask {QUESTION}")
    await world.write("life goes on")
    await world.until(lambda: world.ended_as("life goes on", UtteranceState.SPOKEN))
    assert world.ended_as(QUESTION, UtteranceState.FAILED)
    assert said(world).split() == [*HALF.split(), "life", "goes", "on"]
    assert answer_shown(world) == HALF
    assert told(world) == [broke_off(why)]


@pytest.mark.parametrize("end", [[], [delta(None, "length"), DONE], [COMMENT, 100.0]], ids=["end", "length", "silence"])
async def test_what_an_answer_was_about_to_hide_is_neither_said_nor_shown(
    talk: tuple[BotHarness, ChatApi], end: list[str | float]
) -> None:
    world, api = talk
    api.answers.append([delta("See [the plan](https://example.com/a): the killer is ||the but"), *end])
    await ask(world, QUESTION, UtteranceState.FAILED)
    assert said(world).split() == ["See", "the", "plan:", "the", "killer", "is", "spoiler"]
    assert answer_shown(world) == "See [the plan](https://example.com/a): the killer is ||the but||"


@pytest.mark.parametrize("verb", ["interrupt", "skip", "stop"])
async def test_what_a_cut_answer_was_about_to_hide_is_not_shown(talk: tuple[BotHarness, ChatApi], verb: str) -> None:
    world, api = talk
    api.answers.append([delta("I know now that the killer is ||the but"), 20.0])
    await world.type(f"/avatar ask {QUESTION}")
    await world.until(lambda: UtteranceState.SPEAKING in world.states(QUESTION))
    await world.type(f"/avatar {verb}")
    await world.until(lambda: world.ended_as(QUESTION, UtteranceState.INTERRUPTED))
    assert answer_shown(world) == "I know now that the killer is ||the but||"


async def test_whoever_cuts_an_answer_that_broke_off_cuts_it(talk: tuple[BotHarness, ChatApi]) -> None:
    world, api = talk
    api.answers.append([delta(f"{HALF} " * 5)])
    await world.type(f"/avatar ask {QUESTION}")
    await world.pass_time(2)
    await world.type("/avatar interrupt")
    await world.rest()
    assert world.ended_as(QUESTION, UtteranceState.INTERRUPTED)


# --- what is sent ----------------------------------------------------------------------------------------------------


async def test_a_model_that_wants_the_speakers_to_take_turns_answers_all_questions(
    talk: tuple[BotHarness, ChatApi],
) -> None:
    world, api = talk
    for number in range(10):
        await ask(world, f"question {number}")
    assert len(api.asked) == 10
    assert [message["content"] for message in api.asked[-1]][-3:] == ["question 8", "Yes.", "question 9"]


async def test_what_was_refused_cut_or_failed_leaves_a_conversation_that_every_model_takes(
    talk: tuple[BotHarness, ChatApi],
) -> None:
    world, api = talk
    failing: list[Script | int] = [400, [DONE], [delta(HALF), delta(None, "content_filter")], [delta("<think>hm")]]
    for number, trouble in enumerate(failing * 2):
        api.answers += [trouble]
        await ask(world, f"trouble {number}", UtteranceState.FAILED)
        api.answers.append([5.0])
        await world.type(f"/avatar ask cut {number}")
        await world.pass_time(1)
        await world.type("/avatar skip")
        await ask(world, f"question {number}")
    assert [message["content"] for message in api.asked[-1]][-3:] == ["question 6", "Yes.", "question 7"]
    assert any(message["content"] == HALF for message in api.asked[-1]), "what was heard of an answer is remembered"


# --- waiting ---------------------------------------------------------------------------------------------------------


def comments() -> list[str | float]:
    return [COMMENT, 3.0]


def thoughts() -> list[str | float]:
    return [delta(None, reasoning_content="hm"), delta("<think>hm"), 3.0]


@pytest.mark.parametrize("drip", [lambda: [1000.0], comments, thoughts], ids=["nothing", "comments", "thoughts"])
async def test_an_answer_that_never_comes_holds_nobody_up_and_ends_in_time(
    talk: tuple[BotHarness, ChatApi], drip: Script
) -> None:
    world, api = talk
    api.answers.append(drip)
    await world.type(f"/avatar ask {QUESTION}")
    await world.write("life goes on")
    await world.pass_time(TURN + 5)
    assert world.ended_as("life goes on", UtteranceState.SPOKEN)
    assert world.states(QUESTION)[-1:] != [UtteranceState.FAILED]
    await world.pass_time(FIRST_WORD - TURN - 5)
    assert world.ended_as(QUESTION, UtteranceState.FAILED)
    assert told(world) == [sentences.failure(AnswerError("", why=AnswerTrouble.TIME))[0].partition(" (ref ")[0]]
    assert api.is_heard == 0
    await ask(world, "and now?")


@pytest.mark.parametrize("drip", [comments, thoughts], ids=["comments", "thoughts"])
async def test_an_answer_that_is_waited_for_keeps_no_session_open(tmp_path: Path, drip: Script) -> None:
    async with talking(tmp_path, idle_timeout=20, idle_warning=5) as (world, api):
        api.answers.append(drip)
        await world.type(f"/avatar ask {QUESTION}")
        await world.pass_time(25)
        assert world.running is None
        assert world.open_streams == []
        assert api.is_heard == 0


async def test_an_answer_that_is_being_said_keeps_the_session_open(tmp_path: Path) -> None:
    async with talking(tmp_path, idle_timeout=20, idle_warning=5) as (world, api):
        api.answers.append([15.0, *whole("and on it goes " * 30)])
        await world.type(f"/avatar ask {QUESTION}")
        await world.pass_time(30)
        assert UtteranceState.SPEAKING in world.states(QUESTION)
        assert world.running is not None


async def test_an_answer_that_gave_its_turn_is_said_as_soon_as_it_comes(talk: tuple[BotHarness, ChatApi]) -> None:
    world, api = talk
    api.answers.append([TURN + 1, *whole(ANSWER)])
    await world.type(f"/avatar ask {QUESTION}")
    for text in ("one", "two"):
        await world.write(f"this is message number {text}, which takes some seconds to say to its end")
    await world.until(lambda: world.ended_as(QUESTION, UtteranceState.SPOKEN))
    await world.until(lambda: said(world).strip().endswith("to its end"))
    words = said(world).split()
    assert words.index("one,") < words.index("Hello") < words.index("two,")
    assert len(api.asked) == 1, "it was asked once"


async def test_the_order_is_kept_where_the_answer_comes_soon(talk: tuple[BotHarness, ChatApi]) -> None:
    world, api = talk
    api.answers.append([TURN - 1, *whole(ANSWER)])
    await world.type(f"/avatar ask {QUESTION}")
    await world.write("after it")
    await world.until(lambda: world.ended_as("after it", UtteranceState.SPOKEN))
    assert said(world).split() == [*ANSWER.split(), "after", "it"]


@pytest.mark.parametrize("verb", ["clear", "stop"])
async def test_an_answer_that_gave_its_turn_can_be_dropped(talk: tuple[BotHarness, ChatApi], verb: str) -> None:
    world, api = talk
    api.answers.append([1000.0])
    await world.type(f"/avatar ask {QUESTION}")
    await world.write(
        "this is a message that takes some seconds to say to its end, or so it is hoped by everybody here"
    )
    await world.pass_time(TURN + 2)
    await world.type(f"/avatar {verb}")
    await world.pass_time(1)
    assert world.ended_as(QUESTION, UtteranceState.DROPPED)
    assert api.is_heard == 0


async def test_words_that_trickle_are_said_until_they_stop(talk: tuple[BotHarness, ChatApi]) -> None:
    world, api = talk
    api.answers.append([delta("one, "), NEXT_WORDS - 5, delta("two, "), NEXT_WORDS - 5, *whole("three")])
    await ask(world, QUESTION)
    assert said(world).split() == ["one,", "two,", "three"]
