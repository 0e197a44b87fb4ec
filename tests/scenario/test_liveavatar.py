"""A bot on LiveAvatar: speech through a room, answers in the channel, the seat of a page, and a restart."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.avatars.liveavatar import LiveAvatar
from adapters.avatars.rooms.page import PageCarrier
from adapters.avatars.simulator.answers import answer_to
from bot.errors import Transient
from bot.model import UtteranceState
from bot.presentation import Phase, UtteranceChanged, WordsSpoken
from bot.rooms import seats_of
from bot.store import tables
from tests import world as worlds
from tests.world import World, simulated

QUESTION = "what is the weather like today?"


@pytest.fixture
async def liveavatar(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path, "liveavatar") as world:
        yield world


async def test_messages_are_spoken_in_order_with_captions(liveavatar: World) -> None:
    await liveavatar.start()
    await liveavatar.write("one two three.")
    await liveavatar.write("four five six.")

    await liveavatar.until(lambda: liveavatar.ended_as("four five six.", UtteranceState.SPOKEN))

    assert liveavatar.spoken == ["one two three.", "four five six."]
    words = [word.text for event in liveavatar.events if isinstance(event, WordsSpoken) for word in event.words]
    assert words == ["one", "two", "three.", "four", "five", "six."]


async def test_what_is_hidden_or_a_picture_is_neither_said_nor_in_the_captions(liveavatar: World) -> None:
    await liveavatar.start()
    await liveavatar.write("the killer is ||the butler||! 😀 𝓗𝓮𝓵𝓵𝓸")
    await liveavatar.until(lambda: liveavatar.spoken)

    assert liveavatar.spoken == ["the killer is spoiler! Hello"]
    words = [word.text for event in liveavatar.events if isinstance(event, WordsSpoken) for word in event.words]
    assert words == ["the", "killer", "is", "spoiler!", "Hello"]
    assert "butler" not in repr(liveavatar.events)
    assert "butler" not in repr(await liveavatar.rows(tables.utterances))


async def test_an_answer_of_the_avatars_own_is_shown_in_the_channel(liveavatar: World) -> None:
    await liveavatar.start()
    await liveavatar.type(f"/avatar ask {QUESTION}")

    await liveavatar.until(lambda: liveavatar.ended_as(QUESTION, UtteranceState.SPOKEN))

    answers = [event.answer for event in liveavatar.events if isinstance(event, UtteranceChanged) and event.answer]
    assert answers[-1] == answer_to(QUESTION)


async def test_an_interrupt_silences_and_keeps_what_waits(liveavatar: World) -> None:
    await liveavatar.start()
    await liveavatar.write("a long story about nothing at all. " * 10)
    await liveavatar.write("and then.")
    await liveavatar.pass_time(2)

    await liveavatar.type("/avatar skip")

    await liveavatar.until(lambda: liveavatar.ended_as("and then.", UtteranceState.SPOKEN))
    assert liveavatar.spoken == ["and then."]


async def test_what_was_sent_ahead_is_not_said_twice_where_an_interrupt_fails(
    liveavatar: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_upstream_id: str) -> None:
        raise Transient("the room is away", may_have_taken_effect=True)

    await liveavatar.start()
    await liveavatar.write("one two three four five six seven eight nine ten.")
    await liveavatar.write("and then.")
    await liveavatar.until(lambda: liveavatar.running is not None and liveavatar.running.speech.ahead)
    monkeypatch.setattr(liveavatar.sessions.house.provider, "interrupt", fail)
    await liveavatar.type("/avatar skip")
    await liveavatar.write("the end.")

    await liveavatar.until(lambda: liveavatar.ended_as("the end.", UtteranceState.SPOKEN))
    assert liveavatar.spoken == ["one two three four five six seven eight nine ten.", "and then.", "the end."]
    assert liveavatar.ended_as("and then.", UtteranceState.UNKNOWN)


async def test_a_stop_closes_at_the_provider(liveavatar: World) -> None:
    await liveavatar.start()
    await liveavatar.type("/avatar stop")

    await liveavatar.until(lambda: liveavatar.running is None)

    assert liveavatar.open_streams == []


async def test_a_slot_that_is_freed_late_is_waited_for(tmp_path: Path) -> None:
    options = simulated(liveavatar_concurrency=1, liveavatar_slot_release=8)
    async with World(tmp_path, "liveavatar", options=options) as world:
        await world.start()
        await world.type("/avatar stop")
        await world.until(lambda: world.running is None)

        await world.start()

        assert len(world.open_streams) == 1


async def test_a_plan_with_short_sessions_is_found_out(tmp_path: Path) -> None:
    async with World(tmp_path, "liveavatar", options=simulated(liveavatar_max_duration=120)) as world:
        await world.start()

        assert len(world.open_streams) == 1


async def test_after_a_crash_the_room_is_closed_and_the_next_message_opens_another(liveavatar: World) -> None:
    await liveavatar.start()
    (before,) = liveavatar.open_streams
    await liveavatar.crash()

    await liveavatar.boot()
    await liveavatar.until(lambda: liveavatar.open_streams == [])
    await liveavatar.write("I am back.")

    await liveavatar.until(lambda: liveavatar.ended_as("I am back.", UtteranceState.SPOKEN))
    (after,) = liveavatar.open_streams
    assert after.id != before.id


async def test_with_nobody_in_the_seat_the_queue_waits_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worlds, "LiveAvatar", partial(LiveAvatar, carrier=PageCarrier))
    async with World(tmp_path, "liveavatar") as world:
        running = await world.start()
        await world.write("is anybody there?")
        await world.until(lambda: running.view().phase is Phase.WAITING_FOR_VIEWER)
        provider: Any = world.sessions.house.provider
        seat = seats_of(provider).sit(running.stream.upstream_id or "") if running.stream else None
        assert seat is not None
        publications = aiter(seat.publications())

        await world.pass_time(3)
        publication = await anext(publications)
        seat.published(publication.id)

        assert publication.message.data["text"] == "is anybody there?"
        await world.until(lambda: running.view().phase is Phase.LIVE)
