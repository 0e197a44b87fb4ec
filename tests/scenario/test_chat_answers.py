"""The avatar answers: a chat model writes while the avatar already speaks (v3), or the provider does it all (v1)."""

from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect
from adapters.simulator.llm.answers import answer_to
from bot import sentences
from bot.core.errors import AnswerError
from bot.core.events import UtteranceChanged
from bot.core.models import Mode, UtteranceState
from tests.harness.bot import BotHarness, simulated, with_policy

MODEL: dict[str, Any] = {"method": "POST", "path": "/v1/chat/completions"}
QUESTION = "what is the weather like on the other side of the mountains today?"
BROKE_OFF = sentences.answer_broke_off(AnswerError(""))[0].partition(" (ref ")[0]
NOT_SET_UP = "The chat model is not set up right."
NO_ANSWER = sentences.failure(AnswerError(""))[0].partition(" (ref ")[0]


def answers(world: BotHarness, question: str) -> list[str]:
    """What the channel saw of the answer, as it grew."""
    changes = [event for event in world.events if isinstance(event, UtteranceChanged)]
    return [change.answer for change in changes if change.utterance.text == question and change.answer]


def said(world: BotHarness) -> str:
    """Everything the avatar was given to say after its greeting, joined as a stream joins it."""
    (stream,) = world.simulator.streams()
    return "".join(text.asked for text in stream.spoken[1:])


async def test_an_answer_is_spoken_while_it_is_written_and_every_word_arrives(realtime: BotHarness) -> None:
    await realtime.start()
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.until(lambda: realtime.ended_as(QUESTION, UtteranceState.SPOKEN))
    (stream,) = realtime.simulator.streams()
    assert len(stream.spoken[1:]) > 2
    assert said(realtime).strip() == answer_to(QUESTION)
    assert answers(realtime, QUESTION)[-1] == answer_to(QUESTION)


async def test_the_avatar_begins_before_the_model_is_done(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=simulated(answer_delay=1.0)) as world:
        await world.start()
        await world.type(f"/avatar ask {QUESTION}")
        await world.until(lambda: UtteranceState.SPEAKING in world.states(QUESTION))
        assert 0 < len(said(world)) < len(answer_to(QUESTION)) / 2
        await world.until(lambda: world.ended_as(QUESTION, UtteranceState.SPOKEN))
        assert said(world).strip() == answer_to(QUESTION)


async def test_an_answer_waits_for_its_turn_and_so_does_what_comes_after_it(realtime: BotHarness) -> None:
    await realtime.start()
    await realtime.write("before it")
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.write("after it")
    await realtime.until(lambda: realtime.ended_as("after it", UtteranceState.SPOKEN))
    assert said(realtime).split() == ["before", "it", *answer_to(QUESTION).split(), "after", "it"]


async def test_earlier_turns_are_remembered(realtime: BotHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[tuple[str, bool]]] = []
    model: Any = realtime.sessions.services.chat_model
    ask = model.answer

    def noted(knowledge: str, turns: Any) -> Any:
        seen.append([(turn.text, turn.from_avatar) for turn in turns])
        return ask(knowledge, turns)

    monkeypatch.setattr(model, "answer", noted)
    await realtime.start()
    for question in ("who are you?", "and what can you do?"):
        await realtime.type(f"/avatar ask {question}")
        await realtime.until(lambda question=question: realtime.ended_as(question, UtteranceState.SPOKEN))
    first = ("who are you?", False)
    assert seen == [[first], [first, (answer_to("who are you?"), True), ("and what can you do?", False)]]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"effect": Effect.STATUS, "status": 500}, NO_ANSWER),
        ({"effect": Effect.STATUS, "status": 401}, NOT_SET_UP),
        ({"effect": Effect.STATUS, "status": 402}, "The chat model has too much to do, or its account has no credit. "),
        ({"effect": Effect.REFUSED_BEFORE}, "The chat model "),
        ({"effect": Effect.STATUS, "status": 200, "body": ""}, NOT_SET_UP),
        (
            {"effect": Effect.STATUS, "status": 200, "body": "<html>this is not the JSON you are looking for"},
            NOT_SET_UP,
        ),
        ({"effect": Effect.STATUS, "status": 200, "body": {"choices": 42}}, NOT_SET_UP),
    ],
    ids=["500", "401", "402", "refused", "empty", "html", "choices"],
)
async def test_a_model_that_fails_is_told_once_and_the_queue_goes_on(
    realtime: BotHarness, trouble: dict[str, Any], said: str
) -> None:
    await realtime.start()
    realtime.simulator.faults.add(**MODEL, **trouble, times=None)
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.write("life goes on")
    await realtime.until(lambda: realtime.ended_as("life goes on", UtteranceState.SPOKEN))
    assert realtime.ended_as(QUESTION, UtteranceState.FAILED)
    assert sum(notice.startswith(said) for notice in realtime.notices) == 1
    assert realtime.heard == ["life goes on"]
    realtime.simulator.faults.clear()
    await realtime.type("/avatar ask and now?")
    await realtime.until(lambda: realtime.ended_as("and now?", UtteranceState.SPOKEN))


async def test_a_model_that_breaks_off_has_its_beginning_said_and_the_rest_told(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=simulated(answer_delay=0.5)) as world:
        await world.start()
        world.simulator.faults.add(**MODEL, effect=Effect.CUT_AFTER, seconds=4)
        await world.type(f"/avatar ask {QUESTION}")
        await world.until(lambda: world.ended_as(QUESTION, UtteranceState.FAILED))
        assert answer_to(QUESTION).startswith(said(world).strip())
        assert sum(notice.startswith(BROKE_OFF) for notice in world.notices) == 1
        await world.write("life goes on")
        await world.until(lambda: world.ended_as("life goes on", UtteranceState.SPOKEN))


async def test_an_answer_of_marks_alone_is_no_answer(realtime: BotHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = realtime.sessions.services.chat_model

    async def marks(knowledge: str, turns: Any) -> Any:
        yield "** "
        yield "``` #"

    monkeypatch.setattr(model, "answer", marks)
    await realtime.start()
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.write("life goes on")
    await realtime.until(lambda: realtime.ended_as("life goes on", UtteranceState.SPOKEN))
    assert realtime.ended_as(QUESTION, UtteranceState.FAILED)
    assert realtime.notices[-1].startswith(NO_ANSWER)


async def test_a_mistake_in_a_model_is_told_and_holds_nobody(
    realtime: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = realtime.sessions.services.chat_model

    async def broken(knowledge: str, turns: Any) -> Any:
        yield "one moment, "
        raise ZeroDivisionError

    monkeypatch.setattr(model, "answer", broken)
    await realtime.start()
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.write("life goes on")
    await realtime.until(lambda: realtime.ended_as("life goes on", UtteranceState.SPOKEN))
    assert realtime.ended_as(QUESTION, UtteranceState.FAILED)
    assert realtime.notices[-1].startswith(BROKE_OFF)
    realtime.log.clear()


async def test_a_slow_model_lets_v3_close_and_its_answer_opens_the_next_stream(tmp_path: Path) -> None:
    async with BotHarness(tmp_path) as world:
        await world.start()
        world.simulator.faults.add(**MODEL, effect=Effect.LATENCY, seconds=45)
        await world.type(f"/avatar ask {QUESTION}")
        await world.pass_time(40)
        assert world.open_streams == []
        await world.until(lambda: world.ended_as(QUESTION, UtteranceState.SPOKEN))
        assert "".join(text.asked for text in world.simulator.streams()[1].spoken).strip() == answer_to(QUESTION)
        assert world.greetings == 1


async def test_no_word_of_an_answer_is_lost_where_the_provider_does_not_take_its_beginning_at_once(
    realtime: BotHarness,
) -> None:
    await realtime.start()
    realtime.simulator.faults.add(
        Effect.STATUS, method="POST", path="/v3/avatar-realtime/*/text", status=429, retry_after=3, times=2
    )
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.until(lambda: realtime.ended_as(QUESTION, UtteranceState.SPOKEN))
    assert said(realtime).strip() == answer_to(QUESTION)


@pytest.mark.parametrize("verb", ["interrupt", "skip", "stop"])
async def test_whoever_cuts_an_answer_stops_the_model(verb: str, tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=simulated(answer_delay=1.0)) as world:
        running = await world.start()
        await world.type(f"/avatar ask {QUESTION}")
        await world.until(lambda: UtteranceState.SPEAKING in world.states(QUESTION))
        (answering,) = [task for task in running._tasks._tasks if task.get_name() == "answer"]
        await world.type(f"/avatar {verb}")
        await world.rest()
        assert answering.done()
        assert world.ended_as(QUESTION, UtteranceState.INTERRUPTED)
        written = answers(world, QUESTION)[-1]
        await world.pass_time(30)
        assert answers(world, QUESTION)[-1] == written
        assert written != answer_to(QUESTION)


async def test_clear_stops_the_model_of_an_answer_that_waits_to_be_sent_again(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=simulated(answer_delay=1.0)) as world:
        running = await world.start()
        world.simulator.faults.add(
            Effect.STATUS, method="POST", path="/v3/avatar-realtime/*/text", status=429, retry_after=30
        )
        await world.type(f"/avatar ask {QUESTION}")
        await world.pass_time(5)
        await world.type("/avatar clear")
        await world.rest()
        assert world.ended_as(QUESTION, UtteranceState.DROPPED)
        assert [task for task in running._tasks._tasks if task.get_name() == "answer"] == []


async def test_v1_answers_by_itself(streaming: BotHarness) -> None:
    await streaming.start()
    await streaming.type(f"/avatar ask {QUESTION}")
    await streaming.until(lambda: streaming.ended_as(QUESTION, UtteranceState.SPOKEN))
    (stream,) = streaming.simulator.streams()
    (task,) = stream.spoken
    assert (task.kind, task.asked, task.text) == ("chat", QUESTION, answer_to(QUESTION))


async def test_a_question_from_before_a_restart_without_a_model_is_told(tmp_path: Path) -> None:
    async with BotHarness(tmp_path) as world:
        await world.start()
        await world.write("this is being said while the power goes off, and there is a question behind it")
        await world.type(f"/avatar ask {QUESTION}")
        await world.rest()
        await world.crash()
        world._with_chat_model = False
        await world.boot()
        await world.until(lambda: world.ended_as(QUESTION, UtteranceState.FAILED))
        assert world.notices[-1].startswith(NO_ANSWER)


async def test_nothing_is_opened_for_a_chat_that_nothing_can_answer(tmp_path: Path) -> None:
    policy = with_policy(mode=Mode.CHAT)
    async with BotHarness(tmp_path, "heygen-realtime", policy=policy, chat_model=False) as world:
        reply = await world.type("/avatar start")
        assert "answering is not set up yet" in reply.text
        assert "CHAT_API_URL" in reply.text
        assert not world.simulator.streams()
        assert (await world.type("/avatar start mode=repeat")).text.startswith("Starting")


MARKDOWN = """# Berlin

**Berlin** is the [capital](https://example.com/c). See https://example.com/x.

| City | People |
|---|---|
| New York | 8 million |

- ~~no~~ _yes_, the killer is ||the butler||! 🎉
"""
SPOKEN = "Berlin Berlin is the capital. See a link. City, People. New York, 8 million. no yes, the killer is spoiler!"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_marks_of_an_answer_reach_no_voice_however_it_is_cut(
    realtime: BotHarness, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    model: Any = realtime.sessions.services.chat_model

    async def formatted(knowledge: str, turns: Any) -> Any:
        for at in range(0, len(MARKDOWN), size):
            yield MARKDOWN[at : at + size]

    monkeypatch.setattr(model, "answer", formatted)
    await realtime.start()
    await realtime.type(f"/avatar ask {QUESTION}")
    await realtime.until(lambda: realtime.ended_as(QUESTION, UtteranceState.SPOKEN))
    assert " ".join(said(realtime).split()) == SPOKEN
    assert answers(realtime, QUESTION)[-1] == MARKDOWN
