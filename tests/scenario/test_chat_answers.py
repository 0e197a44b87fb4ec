"""Answers: by the provider where it can, by the operator's chat model where it cannot."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.avatars.simulator import Effect
from bot.model import Mode, UtteranceChanged, UtteranceState
from tests.world import World, with_policy

QUESTION = "who are you?"
COMPLETIONS = "/v1/chat/completions"


@pytest.fixture
async def realtime(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


def answer_to(world: World, question: str) -> str:
    answers = [e.answer for e in world.events if isinstance(e, UtteranceChanged) and e.utterance.text == question]
    return answers[-1] or ""


async def test_an_answer_is_spoken_as_it_is_written_in_several_fragments(realtime: World) -> None:
    await realtime.start()
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.until(lambda: realtime.ended_as(QUESTION, UtteranceState.SPOKEN))
    said = realtime.heard
    assert len(said) > 1
    assert " ".join(said) == answer_to(realtime, QUESTION).strip()
    assert "simulator" in " ".join(said)


async def test_the_words_of_an_answer_do_not_run_together(realtime: World) -> None:
    await realtime.start()
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.until(lambda: realtime.ended_as(QUESTION, UtteranceState.SPOKEN))
    posted = "".join(text.asked for view in realtime.simulator.streams() for text in view.spoken)
    assert answer_to(realtime, QUESTION).strip() in posted


async def test_questions_and_messages_keep_their_order(realtime: World) -> None:
    await realtime.start()
    await realtime.type("/avatar say before")
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.type("/avatar say after")
    await realtime.until(lambda: realtime.ended_as("after", UtteranceState.SPOKEN))
    assert realtime.heard[0] == "before"
    assert realtime.heard[-1] == "after"


@pytest.mark.parametrize(
    "trouble",
    [
        {"effect": Effect.STATUS, "status": 500},
        {"effect": Effect.STATUS, "status": 401},
        {"effect": Effect.GARBAGE, "after_work": False},
        {"effect": Effect.EMPTY, "after_work": False},
        {"effect": Effect.REFUSED_BEFORE},
    ],
    ids=lambda trouble: str(trouble["effect"]),
)
async def test_a_model_that_fails_gets_one_sentence_and_the_queue_goes_on(
    realtime: World, trouble: dict[str, object]
) -> None:
    await realtime.start()
    realtime.simulator.faults.add(**trouble, path=COMPLETIONS, times=None)  # type: ignore[arg-type]  # checked there
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.type("/avatar say after")
    await realtime.until(lambda: realtime.ended_as("after", UtteranceState.SPOKEN))
    assert realtime.states(QUESTION)[-1:] == [UtteranceState.FAILED]
    told = [notice for notice in realtime.notices if "could not think of an answer" in notice]
    assert len(told) == 1
    assert realtime.heard == ["after"]


async def test_an_interrupt_stops_an_answer_in_the_middle(realtime: World) -> None:
    await realtime.start()
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.until(lambda: UtteranceState.SPEAKING in realtime.states(QUESTION))
    await realtime.type("/avatar interrupt")
    await realtime.until(lambda: realtime.ended_as(QUESTION, UtteranceState.INTERRUPTED))
    await realtime.pass_time(10)
    assert len(realtime.open_streams) == 0
    await realtime.type("/avatar say and now this")
    await realtime.until(lambda: realtime.ended_as("and now this", UtteranceState.SPOKEN))


async def test_without_a_model_asking_is_refused_before_it_costs_anything(tmp_path: Path) -> None:
    async with World(tmp_path, chat_model=False) as world:
        await world.start()
        for line in (f"/avatar ask {QUESTION}", "/avatar mode chat"):
            reply = await world.type(line)
            assert reply.text.startswith("This avatar can repeat, but it has no mind to answer with yet.")
        await world.type("/avatar stop")
        await world.until(lambda: world.running is None)
        assert (await world.type("/avatar start mode=chat")).text.startswith("This avatar can repeat")
        assert len(world.simulator.streams()) == 1


async def test_v1_answers_by_itself(tmp_path: Path) -> None:
    policy = with_policy(mode=Mode.CHAT)
    async with World(tmp_path, "heygen-streaming", chat_model=False, policy=policy) as world:
        await world.start()
        await world.write(QUESTION)
        await world.until(lambda: world.ended_as(QUESTION, UtteranceState.SPOKEN))
        (text,) = world.simulator.streams()[0].spoken
        assert text.asked == QUESTION
        assert "simulator" in text.text
