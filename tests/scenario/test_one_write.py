"""A message that is accepted while its session has nothing to do costs one write before its request, whose row says
`sending`. Whatever keeps its turn from coming, it is said once, in its order, or has an end; after a crash it is told.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapters.simulator import Effect
from bot.core.errors import Refused, StoreUnavailable
from bot.core.models import Mode, UtteranceState
from bot.relay import Message
from bot.sessions.session import AvatarSession
from bot.store import tables
from bot.store.writer import MAX_DELAY
from tests.harness.bot import ANA, CHANNEL, PROVIDERS, BotHarness, with_policy

QUEUED, SENDING = UtteranceState.QUEUED, UtteranceState.SENDING
SPOKEN, DROPPED, UNKNOWN = UtteranceState.SPOKEN, UtteranceState.DROPPED, UtteranceState.UNKNOWN
SPEAK = {
    "heygen-streaming": "/v1/streaming.task",
    "heygen-realtime": "/v3/avatar-realtime/*/text",
    "liveavatar": "/v1/sessions/*/speak",
}
LONG = "this takes so long to be said that everything that is written meanwhile has to wait for its end, please"


ON_POSTGRES = pytest.param("PostgreSQL", marks=pytest.mark.postgres)


@pytest.fixture(params=("heygen-realtime", "heygen-streaming", ON_POSTGRES))
def place(request: pytest.FixtureRequest) -> tuple[str, str | None]:
    """A provider, and the URL of a database that is no file."""
    if request.param == "PostgreSQL":
        return "heygen-realtime", request.getfixturevalue("postgres_url")
    return request.param, None


@pytest.fixture
async def world(place: tuple[str, str | None], tmp_path: Path) -> AsyncIterator[BotHarness]:
    provider, url = place
    async with BotHarness(tmp_path, provider, url=url) as world:
        await world.start()
        # Somebody watches by now.
        await world.pass_time(5)
        yield world


def running(world: BotHarness) -> AvatarSession:
    assert world.running is not None
    return world.running


async def write(world: BotHarness, text: str, mode: Mode | None = None) -> None:
    """Write a message whose id is its text. It is in line when this returns, and the session has not looked at it."""
    await world.relay.receive(Message(CHANNEL, ANA, text, (text,), text, mode=mode))


def provider_hangs(world: BotHarness) -> None:
    world.simulator.faults.add(Effect.HANG, method="POST", path=SPEAK[world.provider_name], times=None)


async def states(world: BotHarness) -> dict[str, UtteranceState]:
    """What the rows say in this moment, without what rides along."""
    before = world.clock.monotonic()
    found = await world.store._connections.read(lambda connection: connection.execute(tables.utterances.select()).all())
    assert world.clock.monotonic() == before
    return {row.text: UtteranceState(row.state) for row in found}


async def test_the_files_of_pictures_give_way_until_its_row_is_written(world: BotHarness) -> None:
    writing = asyncio.create_task(write(world, "Hello"))
    await asyncio.sleep(0)
    giving_way = asyncio.create_task(world.relay._sessions.services.precedence.give_way())
    await asyncio.sleep(0)
    assert not giving_way.done()
    await writing
    await giving_way


# --- how many --------------------------------------------------------------------------------------------------------


async def test_one_transaction_comes_before_the_request(world: BotHarness) -> None:
    provider_hangs(world)
    await world.pass_time(MAX_DELAY)
    before = world.transactions
    await write(world, "hello")
    assert world.transactions == before + 1
    assert await states(world) == {"hello": SENDING}
    await world.rest()
    current = running(world).speaker.current
    assert current is not None
    assert current.in_flight
    assert world.transactions == before + 1


async def test_what_follows_a_message_is_written_with_the_next_one(world: BotHarness) -> None:
    await world.pass_time(MAX_DELAY)
    before = world.transactions
    await write(world, "hello")
    await world.until(lambda: world.ended_as("hello", SPOKEN))
    await world.pass_time(MAX_DELAY)
    # Its acceptance, `speaking`, `spoken`; the last two may have come within 20 ms of one another.
    assert 2 <= world.transactions - before <= 3
    assert await states(world) == {"hello": SPOKEN}
    assert world.states("hello") == [SENDING, UtteranceState.SPEAKING, SPOKEN]


async def test_of_two_that_come_at_once_only_the_first_is_on_its_way(world: BotHarness) -> None:
    provider_hangs(world)
    first, second, third = (world.write(text) for text in ("one", "two", "three"))
    await asyncio.gather(first, second, third)
    assert await states(world) == {"one": SENDING, "two": QUEUED, "three": QUEUED}


async def test_what_comes_behind_another_waits(world: BotHarness) -> None:
    await write(world, LONG)
    await write(world, "at once behind it")
    await world.until(lambda: UtteranceState.SPEAKING in world.states(LONG))
    await write(world, "later")
    found = await states(world)
    assert (found["at once behind it"], found["later"]) == (QUEUED, QUEUED)
    await world.until(lambda: world.ended_as("later", SPOKEN))
    assert world.heard == [LONG, "at once behind it", "later"]


# --- what has to be waited for ----------------------------------------------------------------------------------------


async def test_what_comes_behind_a_queue_that_is_held_waits_behind_it(world: BotHarness) -> None:
    for text in (LONG, "held"):
        await write(world, text)
    await world.until(lambda: UtteranceState.SPEAKING in world.states(LONG))
    await world.type("/avatar interrupt")
    await world.rest()
    assert running(world).idle.is_set()
    await write(world, "behind")
    assert (await states(world))["behind"] is QUEUED
    await world.until(lambda: world.ended_as("behind", SPOKEN))
    assert [text for text in world.heard if text != LONG] == ["held", "behind"]


async def test_a_question_waits_for_the_chat_model(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        await world.start()
        await write(world, "why?", Mode.CHAT)
        assert await states(world) == {"why?": QUEUED}
        await world.until(lambda: world.ended_as("why?", SPOKEN))


async def test_what_comes_before_the_avatar_is_live_waits(world: BotHarness) -> None:
    await world.type("/avatar stop")
    await world.until(lambda: world.running is None)
    await world.type("/avatar start")
    await write(world, "early")
    assert await states(world) == {"early": QUEUED}
    await world.until(lambda: world.ended_as("early", SPOKEN))


async def test_what_comes_in_the_pause_after_an_attempt_waits(world: BotHarness) -> None:
    world.simulator.faults.add(
        Effect.STATUS, method="POST", path=SPEAK[world.provider_name], status=429, retry_after=30
    )
    await write(world, "refused for now")
    await world.rest()
    assert await states(world) == {"refused for now": QUEUED}
    await world.type("/avatar clear")
    await world.rest()
    await write(world, "behind")
    assert (await states(world))["behind"] is QUEUED
    await world.pass_time(1)
    assert world.heard == []
    await world.until(lambda: world.ended_as("behind", SPOKEN))


async def test_what_nobody_is_there_to_hear_waits_again(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        await world.start()
        await write(world, "hello")
        await world.rest()
        assert running(world).speaker.status.waits_for_viewer
        assert await states(world) == {"hello": QUEUED}
        await world.until(lambda: world.ended_as("hello", SPOKEN))
        assert world.heard == ["hello"]


async def test_a_stream_is_opened_for_it_after_its_row(tmp_path: Path) -> None:
    """On the provider whose streams do not outlive a silence."""
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        await world.start()
        await world.pass_time(40)
        assert world.open_streams == []
        world.lose_patience()
        world.simulator.faults.add(Effect.HANG, method="POST", path="/v3/avatar-realtime")
        await write(world, "hello again")
        assert await states(world) == {"hello again": SENDING}
        await world.rest()
        assert "creating" in [row.state for row in await world.rows(tables.streams)]


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["heygen-streaming", "liveavatar"])
async def test_what_waits_for_a_stream_to_be_opened_is_said_after_a_crash(provider: str, tmp_path: Path) -> None:
    """On the providers whose streams are opened without words: it takes seconds, and nobody was given the text."""
    async with BotHarness(tmp_path, provider, policy=with_policy(stream_linger=0.0)) as world:
        await world.start()
        await world.pass_time(70)
        assert world.open_streams == []
        world.simulator.faults.add(Effect.HANG, method="POST", path="/v1/*", times=None)
        await write(world, "hello again")
        await world.rest()
        assert "creating" in [row.state for row in await world.rows(tables.streams)]
        assert await states(world) == {"hello again": QUEUED}
        await world.crash()
        world.simulator.faults.clear()
        await world.boot()
        assert world.recovery.unknown_utterances == 0
        await world.until(lambda: world.ended_as("hello again", SPOKEN))
        assert world.heard == ["hello again"]


# --- what keeps its turn from coming ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "then", "fate", "heard"),
    [
        ("interrupt", lambda one: one.mailbox.post(one.speaker.interrupt), QUEUED, []),
        ("skip", lambda one: one.mailbox.post(one.speaker.skip), UtteranceState.INTERRUPTED, []),
        ("clear", lambda one: one.mailbox.post(one.speaker.clear), DROPPED, []),
        ("deletion", lambda one: one.mailbox.post(one.speaker.queue.delete, "hello"), DROPPED, []),
        ("edit of another", lambda one: one.mailbox.post(one.speaker.edit, "other", "hm"), SPOKEN, ["hello"]),
        ("end of the stream", lambda one: end_of_stream(one), SPOKEN, ["hello"]),
    ],
)
async def test_what_comes_right_behind_it_finds_it_in_line(
    world: BotHarness, what: str, then: Callable[[AvatarSession], None], fate: UtteranceState, heard: list[str]
) -> None:
    one = running(world)
    await write(world, "hello")
    then(one)
    await world.pass_time(15)
    assert world.heard == heard, what
    assert await states(world) == {"hello": fate}
    # The next one is not in its way, nor it in that of the next.
    await write(world, "next")
    await world.until(lambda: world.ended_as("next", SPOKEN))
    assert world.heard == [*(["hello"] if fate in (QUEUED, SPOKEN) else []), "next"]


def end_of_stream(one: AvatarSession) -> None:
    assert one.stream.current is not None
    one.mailbox.post(one.listener.stream_ended, one.stream.current.id, "a test ended it")


async def test_an_edit_right_behind_it_is_what_is_said(world: BotHarness) -> None:
    await write(world, "hello")
    await world.relay.edit(CHANNEL, "hello", "good morning", {})
    await world.until(lambda: world.ended_as("good morning", SPOKEN))
    assert world.heard == ["good morning"]
    await world.pass_time(MAX_DELAY)
    assert await states(world) == {"good morning": SPOKEN}


async def test_a_stop_right_behind_it_drops_it(world: BotHarness) -> None:
    one = running(world)
    await write(world, "hello")
    await world.type("/avatar stop")
    await world.until(one.closed.is_set)
    assert world.heard == []
    assert await states(world) == {"hello": DROPPED}


async def test_one_whose_turn_is_taken_by_another_waits_again(world: BotHarness) -> None:
    """That cannot happen by itself; the session does not rely on it."""
    one = running(world)
    await write(world, LONG)
    await world.until(lambda: UtteranceState.SPEAKING in world.states(LONG))
    await write(world, "hello")
    await world.rest()
    (waits,) = one.speaker.queue
    await world.store.utterances.advance(waits.utterance.id, SENDING)
    one.speaker.queue.take()
    one.speaker.enqueue(waits.utterance._replace(state=SENDING))
    await world.rest()
    assert (await states(world))["hello"] is QUEUED
    await world.until(lambda: world.ended_as("hello", SPOKEN))
    assert world.heard == [LONG, "hello"]


# --- after a crash, and with a database in trouble --------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_after_a_crash_between_the_row_and_the_request_it_is_told_and_not_said(
    provider: str, tmp_path: Path
) -> None:
    async with BotHarness(tmp_path, provider) as world:
        await world.start()
        await write(world, "hello")
        await world.crash()
        await world.boot()
        assert world.recovery.unknown_utterances == 1
        await world.pass_time(10)
        assert world.heard == []
        assert await states(world) == {"hello": UNKNOWN}
        assert world.states("hello")[-1] is UNKNOWN
        assert (await world.relay.receive(Message(CHANNEL, ANA, "hello", ("hello",), "hello"))).ignored


async def test_what_was_said_is_not_forgotten_by_a_crash_more_than_a_moment_later(world: BotHarness) -> None:
    await write(world, "hello")
    await world.until(lambda: world.ended_as("hello", SPOKEN))
    await world.pass_time(MAX_DELAY)
    await world.crash()
    await world.boot()
    assert world.recovery.unknown_utterances == 0
    assert await states(world) == {"hello": SPOKEN}


async def test_a_state_that_nothing_waited_for_and_that_is_not_written_ends_the_session(world: BotHarness) -> None:
    if world.store.is_shared:
        pytest.skip("a server may come back")
    one = running(world)
    await write(world, LONG)
    await world.until(lambda: UtteranceState.SPEAKING in world.states(LONG))
    world.unwritable = {0}
    await world.pass_time(MAX_DELAY)
    await world.until(one.closed.is_set)
    assert any("cannot write to its database" in notice for notice in world.notices)
    assert one.recorder.is_dirty
    await world.start()
    assert all(state.is_final for state in (await states(world)).values())


async def test_a_server_that_comes_back_is_told_what_was_said_meanwhile(world: BotHarness) -> None:
    if not world.store.is_shared:
        pytest.skip("a file does not go away and come back")
    one = running(world)
    await write(world, LONG)
    await world.until(lambda: UtteranceState.SPEAKING in world.states(LONG))
    world.unwritable = set(range(1000))
    await world.until(lambda: world.ended_as(LONG, SPOKEN))
    with pytest.raises(StoreUnavailable):
        await write(world, "not taken")
    await world.pass_time(10)
    assert not (await states(world))[LONG].is_final
    world.unwritable.clear()
    await write(world, "taken")
    await world.until(lambda: world.ended_as("taken", SPOKEN))
    await world.pass_time(MAX_DELAY)
    assert await states(world) == {LONG: SPOKEN, "taken": SPOKEN}
    assert running(world) is one


async def test_a_stream_that_ends_while_a_server_is_away_does_not_end_its_session(world: BotHarness) -> None:
    if not world.store.is_shared:
        pytest.skip("a file does not go away and come back")
    one = running(world)
    await write(world, LONG)
    await world.until(lambda: UtteranceState.SPEAKING in world.states(LONG))
    world.unwritable = set(range(1000))
    world.simulator.drop_stream(world.open_streams[0].id)
    await world.pass_time(20)
    world.unwritable.clear()
    await world.until(lambda: world.ended_as(LONG, UNKNOWN))
    await write(world, "taken")
    await world.until(lambda: world.ended_as("taken", SPOKEN))
    await world.pass_time(MAX_DELAY)
    assert await states(world) == {LONG: UNKNOWN, "taken": SPOKEN}
    assert running(world) is one
    assert len(world.open_streams) == 1


async def test_a_message_that_was_refused_is_not_taken_when_it_is_delivered_again(tmp_path: Path) -> None:
    async with BotHarness(tmp_path) as world:
        with pytest.raises(Refused, match="No avatar is in this channel"):
            await world.write("too early", key="one")
        await world.start()
        await world.write("in time", key="two")
        assert (await world.write("too early", key="one")).ignored == "delivered before"
        await world.until(lambda: world.ended_as("in time", UtteranceState.SPOKEN))
        assert world.heard == ["in time"]
