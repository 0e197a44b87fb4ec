"""Messages that are edited or deleted after they were written: what waits follows, what has begun is said as it was."""

import asyncio
from pathlib import Path

import pytest

from adapters.simulator import Effect
from adapters.simulator.llm.answers import answer_to
from bot.core.models import Mode, UtteranceState
from bot.relay import MAX_MESSAGE_LENGTH, Message, Receipt
from bot.store import tables
from tests.harness.bot import ADA, ANA, CHANNEL, BotHarness, simulated

LONG = "this takes so long to be said that everything that is written meanwhile has to wait for its end, please"
QUESTION = "what is the weather like on the other side of the mountains today?"
EDITED_QUESTION = "who are you, and what can you do for all of us here?"


async def write(world: BotHarness, text: str, message_id: str, mode: Mode | None = None) -> Receipt:
    return await world.relay.receive(Message(CHANNEL, ANA, text, (message_id,), message_id, mode=mode))


async def edit(world: BotHarness, message_id: str, text: str) -> None:
    await world.relay.edit(CHANNEL, message_id, text, {})


async def busy(world: BotHarness) -> None:
    """Start an avatar and give it something to say that takes a while; what follows waits."""
    await world.start()
    await write(world, LONG, "long")
    await world.until(lambda: world.states(LONG)[-1:] == [UtteranceState.SPEAKING])


async def rows_by_text(world: BotHarness) -> dict[str, UtteranceState]:
    return {row.text: UtteranceState(row.state) for row in await world.rows(tables.utterances)}


# --- what waits ------------------------------------------------------------------------------------------------------


async def test_an_edit_of_a_message_that_waits_is_what_is_said(world: BotHarness) -> None:
    await busy(world)
    await write(world, "good mornign", "greeting")
    await edit(world, "greeting", "good morning")
    await world.until(lambda: world.ended_as("good morning", UtteranceState.SPOKEN))
    assert world.heard == [LONG, "good morning"]
    assert await rows_by_text(world) == {LONG: UtteranceState.SPOKEN, "good morning": UtteranceState.SPOKEN}


async def test_an_edit_keeps_the_place_in_the_queue(world: BotHarness) -> None:
    await busy(world)
    for name in ("one", "two", "three"):
        await write(world, name, name)
    await edit(world, "one", "one, edited")
    await edit(world, "two", "two, edited")
    await world.until(lambda: world.ended_as("three", UtteranceState.SPOKEN))
    assert world.heard == [LONG, "one, edited", "two, edited", "three"]


async def test_of_several_edits_the_last_one_counts(world: BotHarness) -> None:
    await busy(world)
    await write(world, "first", "message")
    await asyncio.gather(*(edit(world, "message", f"version {number}") for number in range(5)))
    await world.until(lambda: world.ended_as("version 4", UtteranceState.SPOKEN))
    assert world.heard == [LONG, "version 4"]


async def test_an_edit_is_cleaned_like_a_message(world: BotHarness) -> None:
    await busy(world)
    await write(world, "hello", "message")
    await world.relay.edit(CHANNEL, "message", "**Hello** <@7>, see https://example.com/x", {"<@7>": "Bo"})
    await world.until(lambda: len(world.heard) == 2)
    assert world.heard[1] == "Hello Bo, see a link"


async def test_the_queue_shows_a_message_as_it_reads_now(world: BotHarness) -> None:
    await busy(world)
    await write(world, "good mornign", "greeting")
    await edit(world, "greeting", "good morning")
    await world.rest()
    assert (await world.type("/avatar queue")).text.splitlines()[1] == "1. good morning (Ana)"


@pytest.mark.parametrize(
    "text",
    ["", "   ", "**", "\x00", "word " * MAX_MESSAGE_LENGTH],
    ids=["nothing", "blanks", "markup", "control characters", "too long"],
)
async def test_an_edit_that_leaves_nothing_that_can_be_said_drops_the_message(world: BotHarness, text: str) -> None:
    await busy(world)
    await write(world, "hello", "message")
    await write(world, "the next one", "next")
    await edit(world, "message", text)
    await world.until(lambda: world.ended_as("the next one", UtteranceState.SPOKEN))
    assert world.ended_as("hello", UtteranceState.DROPPED)
    assert world.heard == [LONG, "the next one"]


async def test_a_deleted_message_is_not_said(world: BotHarness) -> None:
    await busy(world)
    await write(world, "oh no", "message")
    await write(world, "the next one", "next")
    await world.relay.delete(CHANNEL, "message")
    await world.until(lambda: world.ended_as("the next one", UtteranceState.SPOKEN))
    assert world.ended_as("oh no", UtteranceState.DROPPED)
    assert world.heard == [LONG, "the next one"]


async def test_an_edit_after_the_deletion_brings_nothing_back(world: BotHarness) -> None:
    await busy(world)
    await write(world, "oh no", "message")
    await world.relay.delete(CHANNEL, "message")
    await edit(world, "message", "still here")
    await write(world, "the next one", "next")
    await world.until(lambda: world.ended_as("the next one", UtteranceState.SPOKEN))
    assert world.heard == [LONG, "the next one"]
    assert (await rows_by_text(world))["oh no"] is UtteranceState.DROPPED


async def test_a_message_held_back_by_an_interrupt_can_be_edited(world: BotHarness) -> None:
    await busy(world)
    await write(world, "before", "message")
    await world.type("/avatar interrupt")
    await edit(world, "message", "after")
    await world.type("/avatar skip")
    await world.until(lambda: world.ended_as("after", UtteranceState.SPOKEN))
    assert "before" not in world.heard


async def test_an_edit_holds_over_a_restart(world: BotHarness) -> None:
    await busy(world)
    await write(world, "before", "message")
    await edit(world, "message", "after")
    await world.rest()
    await world.crash()
    await world.boot()
    await world.until(lambda: world.ended_as("after", UtteranceState.SPOKEN))
    assert "before" not in world.heard


async def test_a_message_that_waited_over_a_restart_can_be_edited(world: BotHarness) -> None:
    await busy(world)
    await write(world, "the one before it", "first")
    await write(world, "before", "message")
    await world.crash()
    await world.boot()
    await edit(world, "message", "after")
    await world.until(lambda: world.ended_as("after", UtteranceState.SPOKEN))
    assert "before" not in world.heard


async def test_a_message_written_while_the_avatar_starts_can_be_edited_and_deleted(world: BotHarness) -> None:
    await world.type("/avatar start")
    await write(world, "before", "edited")
    await write(world, "oh no", "deleted")
    await edit(world, "edited", "after")
    await world.relay.delete(CHANNEL, "deleted")
    await world.until(lambda: world.ended_as("after", UtteranceState.SPOKEN))
    assert world.heard == ["after"]


# --- what has begun --------------------------------------------------------------------------------------------------


async def test_what_is_being_said_is_said_as_it_was(world: BotHarness) -> None:
    await busy(world)
    await edit(world, "long", "something else")
    await world.until(lambda: world.ended_as(LONG, UtteranceState.SPOKEN))
    assert world.heard == [LONG]
    assert await rows_by_text(world) == {LONG: UtteranceState.SPOKEN}


async def test_what_is_being_said_goes_on_when_it_is_deleted(world: BotHarness) -> None:
    await busy(world)
    await world.relay.delete(CHANNEL, "long")
    await world.until(lambda: world.ended_as(LONG, UtteranceState.SPOKEN))
    assert world.heard == [LONG]


async def test_what_was_sent_ahead_is_said_once_and_as_it_was(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        await busy(world)
        running = world.running
        assert running is not None
        await write(world, "sent ahead", "ahead")
        await world.until(lambda: running.speaker.ahead is not None)
        await edit(world, "ahead", "too late")
        await world.until(lambda: world.ended_as("sent ahead", UtteranceState.SPOKEN))
        assert world.heard == [LONG, "sent ahead"]


async def test_what_has_been_said_stays_as_it_was(world: BotHarness) -> None:
    await world.start()
    await write(world, "hello", "message")
    await world.until(lambda: world.ended_as("hello", UtteranceState.SPOKEN))
    await edit(world, "message", "something else")
    await write(world, "the next one", "next")
    await world.until(lambda: world.ended_as("the next one", UtteranceState.SPOKEN))
    assert world.heard == ["hello", "the next one"]
    assert set(await rows_by_text(world)) == {"hello", "the next one"}


@pytest.mark.parametrize("delete", [False, True], ids=["edited", "deleted"])
async def test_a_question_whose_answer_is_being_written_is_answered_as_it_was_asked(
    tmp_path: Path, delete: bool
) -> None:
    async with BotHarness(tmp_path, "heygen-realtime", options=simulated(answer_delay=0.5)) as world:
        await world.start()
        await write(world, QUESTION, "question", Mode.CHAT)
        running = world.running
        assert running is not None
        await world.until(lambda: running.speaker.current is not None and running.speaker.current.answering is not None)
        if delete:
            await world.relay.delete(CHANNEL, "question")
        else:
            await edit(world, "question", EDITED_QUESTION)
        await world.until(lambda: world.ended_as(QUESTION, UtteranceState.SPOKEN))
        said = "".join(text.asked for stream in world.simulator.streams() for text in stream.spoken[1:])
        assert said.strip() == answer_to(QUESTION)


async def test_a_question_that_waits_is_answered_as_it_reads_now(realtime: BotHarness) -> None:
    await busy(realtime)
    await write(realtime, QUESTION, "question", Mode.CHAT)
    await edit(realtime, "question", EDITED_QUESTION)
    await realtime.until(lambda: realtime.ended_as(EDITED_QUESTION, UtteranceState.SPOKEN))
    (stream,) = realtime.simulator.streams()
    assert "".join(text.asked for text in stream.spoken[2:]).strip() == answer_to(EDITED_QUESTION)


# --- races and trouble -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 16])
async def test_an_edit_that_comes_while_the_message_is_being_written_down_counts(world: BotHarness, turns: int) -> None:
    await busy(world)
    writing = asyncio.create_task(write(world, "before", "message"))
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    await edit(world, "message", "after")
    await writing
    await world.until(lambda: world.ended_as("after", UtteranceState.SPOKEN))
    assert world.heard == [LONG, "after"]


async def test_a_deletion_that_comes_while_the_message_is_being_written_down_counts(world: BotHarness) -> None:
    await busy(world)
    writing = asyncio.create_task(write(world, "oh no", "message"))
    await asyncio.sleep(0)
    await world.relay.delete(CHANNEL, "message")
    await writing
    await world.until(lambda: world.ended_as("oh no", UtteranceState.DROPPED))
    assert world.heard == [LONG]


@pytest.mark.parametrize("turns", [*range(8), 12, 24])
async def test_a_message_edited_at_any_turn_of_its_sending_is_said_once_in_one_of_its_versions(
    world: BotHarness, turns: int
) -> None:
    await world.start()
    writing = asyncio.create_task(write(world, "version one", "message"))
    for _ in range(turns):
        await asyncio.sleep(0)
    await edit(world, "message", "version two")
    await writing
    await world.until(lambda: len(world.spoken) == 1 and world.running is not None and world.running.idle.is_set())
    assert world.heard in (["version one"], ["version two"])
    assert list(await rows_by_text(world)) == world.heard


async def test_an_edit_while_the_session_closes_changes_nothing_and_fails_nothing(world: BotHarness) -> None:
    await busy(world)
    running = world.running
    assert running is not None
    await write(world, "hello", "message")
    await world.type("/avatar stop")
    await edit(world, "message", "too late")
    await world.until(running.closed.is_set)
    await edit(world, "message", "much too late")
    assert (await rows_by_text(world))["hello"] is UtteranceState.DROPPED


async def test_an_edit_of_an_unknown_message_and_in_a_channel_without_an_avatar_is_none_of_our_business(
    world: BotHarness,
) -> None:
    await edit(world, "message", "hello")
    await world.relay.delete(CHANNEL, "message")
    await busy(world)
    await edit(world, "unknown", "hello")
    await world.relay.delete(CHANNEL, "unknown")
    await world.until(lambda: world.ended_as(LONG, UtteranceState.SPOKEN))
    assert world.heard == [LONG]


async def test_a_message_that_waits_for_a_viewer_can_be_edited(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", options=simulated(auto_viewer=False)) as world:
        await world.type("/avatar start")
        await write(world, "before", "message")
        await world.until(lambda: any("waiting for a viewer" in notice for notice in world.notices))
        await edit(world, "message", "after")
        await world.rest()
        assert [row.text for row in await world.rows(tables.utterances)] == ["after"]


async def test_a_message_the_service_could_not_take_yet_is_said_as_it_reads_by_then(realtime: BotHarness) -> None:
    await realtime.start()
    realtime.simulator.faults.add(
        effect=Effect.STATUS,
        status=429,
        retry_after=5,
        method="POST",
        path="/v3/avatar-realtime/*/text",
    )
    await write(realtime, "before", "message")
    await realtime.rest()
    await edit(realtime, "message", "after")
    await realtime.until(lambda: len(realtime.spoken) == 1)
    assert realtime.heard == ["after"]


# --- what an edit may not do -----------------------------------------------------------------------------------------


async def test_an_edit_of_somebody_who_was_blocked_meanwhile_is_not_said(world: BotHarness) -> None:
    await busy(world)
    await write(world, "harmless", "m1")
    await world.type("/avatar-admin block test:ana", ADA)
    await edit(world, "m1", "not harmless at all")
    await world.until(lambda: world.ended_as("harmless", UtteranceState.DROPPED))
    assert "not harmless at all" not in world.heard


async def test_an_edit_counts_the_characters_it_adds(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", user_characters=len(LONG) + 60) as world:
        await busy(world)
        await write(world, "short", "m1")
        await edit(world, "m1", "a little longer than before")
        await world.until(lambda: world.states("a little longer than before"))
        await edit(world, "m1", "very much longer than before, and more than anybody may write in a minute")
        await world.until(lambda: world.ended_as("a little longer than before", UtteranceState.DROPPED))
