"""A bot on LiveAvatar: speech through a room, answers in the channel, the seat of a page, and a restart."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.avatars.liveavatar.provider import LiveAvatar
from adapters.avatars.rooms.page_transport import PageTransport
from adapters.simulator.llm.answers import answer_to
from bot.core.errors import AvatarAway, Transient
from bot.core.events import LeftUnsaid, SessionChanged, UtteranceChanged, WordsSpoken
from bot.core.models import EndReason, UtteranceState
from bot.core.views import Phase
from bot.sessions.session import AvatarSession
from bot.store import tables
from bot.streams.page_bridge import PageBridge, seats_of
from tests.harness import bot as worlds
from tests.harness.bot import BotHarness, simulated

QUESTION = "what is the weather like today?"


@pytest.fixture
async def liveavatar(tmp_path: Path) -> AsyncIterator[BotHarness]:
    async with BotHarness(tmp_path, "liveavatar") as world:
        yield world


async def test_messages_are_spoken_in_order_with_captions(liveavatar: BotHarness) -> None:
    await liveavatar.start()
    await liveavatar.write("one two three.")
    await liveavatar.write("four five six.")

    await liveavatar.until(lambda: liveavatar.ended_as("four five six.", UtteranceState.SPOKEN))

    assert liveavatar.spoken == ["one two three.", "four five six."]
    words = [word.text for event in liveavatar.events if isinstance(event, WordsSpoken) for word in event.words]
    assert words == ["one", "two", "three.", "four", "five", "six."]


async def test_what_is_hidden_or_a_picture_is_neither_said_nor_in_the_captions(liveavatar: BotHarness) -> None:
    await liveavatar.start()
    await liveavatar.write("the killer is ||the butler||! 😀 𝓗𝓮𝓵𝓵𝓸")
    await liveavatar.until(lambda: liveavatar.spoken)

    assert liveavatar.spoken == ["the killer is spoiler! Hello"]
    words = [word.text for event in liveavatar.events if isinstance(event, WordsSpoken) for word in event.words]
    assert words == ["the", "killer", "is", "spoiler!", "Hello"]
    assert "butler" not in repr(liveavatar.events)
    assert "butler" not in repr(await liveavatar.rows(tables.utterances))


async def test_an_answer_of_the_avatars_own_is_shown_in_the_channel(liveavatar: BotHarness) -> None:
    await liveavatar.start()
    await liveavatar.type(f"/avatar ask {QUESTION}")

    await liveavatar.until(lambda: liveavatar.ended_as(QUESTION, UtteranceState.SPOKEN))

    answers = [event.answer for event in liveavatar.events if isinstance(event, UtteranceChanged) and event.answer]
    assert answers[-1] == answer_to(QUESTION)


async def test_an_interrupt_silences_and_keeps_what_waits(liveavatar: BotHarness) -> None:
    await liveavatar.start()
    await liveavatar.write("a long story about nothing at all. " * 10)
    await liveavatar.write("and then.")
    await liveavatar.pass_time(2)

    await liveavatar.type("/avatar skip")

    await liveavatar.until(lambda: liveavatar.ended_as("and then.", UtteranceState.SPOKEN))
    assert liveavatar.spoken == ["and then."]


async def test_what_was_sent_ahead_is_not_said_twice_where_an_interrupt_fails(
    liveavatar: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_upstream_id: str) -> None:
        raise Transient("the room is away", may_have_taken_effect=True)

    await liveavatar.start()
    await liveavatar.write("one two three four five six seven eight nine ten.")
    await liveavatar.write("and then.")
    await liveavatar.until(lambda: liveavatar.running is not None and liveavatar.running.speaker.ahead)
    monkeypatch.setattr(liveavatar.sessions.services.provider, "interrupt", fail)
    await liveavatar.type("/avatar skip")
    await liveavatar.write("the end.")

    await liveavatar.until(lambda: liveavatar.ended_as("the end.", UtteranceState.SPOKEN))
    assert liveavatar.spoken == ["one two three four five six seven eight nine ten.", "and then.", "the end."]
    assert liveavatar.ended_as("and then.", UtteranceState.UNKNOWN)


async def test_a_stop_closes_at_the_provider(liveavatar: BotHarness) -> None:
    await liveavatar.start()
    await liveavatar.type("/avatar stop")

    await liveavatar.until(lambda: liveavatar.running is None)

    assert liveavatar.open_streams == []


async def test_a_slot_that_is_freed_late_is_waited_for(tmp_path: Path) -> None:
    options = simulated(liveavatar_concurrency=1, liveavatar_slot_release=8)
    async with BotHarness(tmp_path, "liveavatar", options=options) as world:
        await world.start()
        await world.type("/avatar stop")
        await world.until(lambda: world.running is None)

        await world.start()

        assert len(world.open_streams) == 1


async def test_a_plan_with_short_sessions_is_found_out(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "liveavatar", options=simulated(liveavatar_max_duration=120)) as world:
        await world.start()

        assert len(world.open_streams) == 1


async def test_after_a_crash_the_room_is_closed_and_the_next_message_opens_another(liveavatar: BotHarness) -> None:
    await liveavatar.start()
    (before,) = liveavatar.open_streams
    await liveavatar.crash()

    await liveavatar.boot()
    await liveavatar.until(lambda: liveavatar.open_streams == [])
    await liveavatar.write("I am back.")

    await liveavatar.until(lambda: liveavatar.ended_as("I am back.", UtteranceState.SPOKEN))
    (after,) = liveavatar.open_streams
    assert after.id != before.id


@pytest.fixture
async def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BotHarness]:
    """Commands go through a page."""
    monkeypatch.setattr(worlds, "LiveAvatar", partial(LiveAvatar, make_transport=PageTransport))
    async with BotHarness(tmp_path, "liveavatar") as world:
        yield world


async def test_with_nobody_in_the_seat_the_queue_waits_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worlds, "LiveAvatar", partial(LiveAvatar, make_transport=PageTransport))
    async with BotHarness(tmp_path, "liveavatar") as world:
        running = await world.start()
        await world.write("is anybody there?")
        await world.until(lambda: running.view().phase is Phase.WAITING_FOR_VIEWER)
        provider: Any = world.sessions.services.provider
        seat = seats_of(provider).attach(running.stream.upstream_id or "") if running.stream.current else None
        assert seat is not None
        publications = aiter(seat.publications())

        await world.pass_time(3)
        publication = await anext(publications)
        seat.published(publication.id)

        assert publication.message.data["text"] == "is anybody there?"
        await world.until(lambda: running.view().phase is Phase.LIVE)


# --- an avatar that is not in its room -------------------------------------------------------------------------------

MISSING = "The avatar did not come into its room, so its stream was closed. Try again in a minute."


def phases(world: BotHarness) -> list[Phase]:
    """What people saw, one after the other."""
    return [event.view.phase for event in world.events if isinstance(event, SessionChanged)]


async def test_while_nobody_watches_what_becomes_of_a_message_is_told_once(carried: BotHarness) -> None:
    running = await carried.start()
    await carried.write("is anybody there?")
    await carried.until(lambda: running.view().phase is Phase.WAITING_FOR_VIEWER)
    told, shown = carried.states("is anybody there?"), len(phases(carried))
    assert told == [UtteranceState.SENDING, UtteranceState.QUEUED]

    await carried.pass_time(120)

    assert carried.states("is anybody there?") == told
    assert len(phases(carried)) == shown
    assert sum("waiting for a viewer" in notice for notice in carried.notices) == 1


@pytest.mark.parametrize("away", [1.0, 4.0, 29.0])
async def test_what_is_written_while_the_avatar_is_away_is_said_when_it_is_back(
    liveavatar: BotHarness, away: float
) -> None:
    await liveavatar.start()
    (stream,) = liveavatar.open_streams
    liveavatar.simulator.move_avatar(stream.id, is_here=False)
    await liveavatar.rest()
    await liveavatar.write("there you are.")
    await liveavatar.type("/avatar say and once more.")
    await liveavatar.pass_time(away)
    assert phases(liveavatar)[-1] is Phase.STARTING

    liveavatar.simulator.move_avatar(stream.id, is_here=True)

    await liveavatar.until(lambda: liveavatar.ended_as("and once more.", UtteranceState.SPOKEN))
    assert liveavatar.spoken == ["there you are.", "and once more."]
    assert phases(liveavatar)[-1] is Phase.LIVE
    assert not any("may not have been said" in notice for notice in liveavatar.notices)


async def test_an_avatar_that_stays_away_is_closed_and_told(liveavatar: BotHarness) -> None:
    running = await liveavatar.start()
    (stream,) = liveavatar.open_streams
    liveavatar.simulator.move_avatar(stream.id, is_here=False)
    await liveavatar.rest()
    await liveavatar.type("/avatar say is anybody there?")
    await liveavatar.pass_time(29)
    assert not running.stop.is_set

    await liveavatar.pass_time(2)

    assert running.closed.is_set()
    assert running.session.end_reason is EndReason.FAILED
    assert liveavatar.notices[-1].startswith(MISSING)
    assert liveavatar.open_streams == []
    (left,) = [event for event in liveavatar.events if isinstance(event, LeftUnsaid)]
    assert "left before it said your message “is anybody there?”" in left.people[0].reply.text


@pytest.mark.parametrize("is_written", [False, True])
async def test_an_avatar_that_a_page_never_finds_in_its_room_is_closed_and_told(
    carried: BotHarness, *, is_written: bool
) -> None:
    running = await carried.start()
    seats, upstream_id = carried_by(running)
    if is_written:
        await carried.write("is anybody there?")
        await carried.until(lambda: running.view().phase is Phase.WAITING_FOR_VIEWER)

    seats.see(upstream_id, is_here=False)
    await carried.pass_time(29)
    assert running.view().phase is Phase.STARTING
    assert not running.stop.is_set
    await carried.pass_time(2)

    assert running.closed.is_set()
    assert carried.notices[-1].startswith(MISSING)
    assert carried.open_streams == []


async def test_an_avatar_that_comes_late_stays(carried: BotHarness) -> None:
    running = await carried.start()
    seats, upstream_id = carried_by(running)
    for _ in range(3):
        seats.see(upstream_id, is_here=False)
        await carried.pass_time(20)
        seats.see(upstream_id, is_here=True)
        await carried.pass_time(20)
    assert not running.stop.is_set
    assert running.view().phase is Phase.LIVE


async def test_where_nobody_looks_no_avatar_is_missing(carried: BotHarness) -> None:
    """The page that did not find it has left: it may have come since, and waits for a viewer."""
    running = await carried.start()
    seats, upstream_id = carried_by(running)
    await carried.write("is anybody there?")
    seats.see(upstream_id, is_here=False)
    await carried.pass_time(10)
    seats.see(upstream_id, is_here=None)
    await carried.pass_time(60)
    assert not running.stop.is_set
    assert running.view().phase is Phase.WAITING_FOR_VIEWER


async def test_an_avatar_that_does_not_come_into_a_later_stream_is_closed_and_told(
    liveavatar: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    async def start(upstream_id: str) -> None:
        attempts.append(upstream_id)
        raise AvatarAway("it does not come")

    running = await liveavatar.start()
    (stream,) = liveavatar.open_streams
    monkeypatch.setattr(liveavatar.sessions.services.provider, "start", start)
    liveavatar.simulator.drop_stream(stream.id)
    await liveavatar.type("/avatar say is anybody there?")

    await liveavatar.until(running.closed.is_set)
    assert len(attempts) == 1
    assert running.session.end_reason is EndReason.FAILED
    assert liveavatar.notices[-1].startswith(MISSING)
    assert liveavatar.ended_as("is anybody there?", UtteranceState.DROPPED)
    (left,) = [event for event in liveavatar.events if isinstance(event, LeftUnsaid)]
    assert "left before it said your message “is anybody there?”" in left.people[0].reply.text
    assert liveavatar.open_streams == []


def carried_by(running: AvatarSession) -> tuple[PageBridge, str]:
    """The seats of the provider, and the session's room among them."""
    assert running.stream.current is not None
    return seats_of(running._services.provider), running.stream.upstream_id or ""
