"""The bot crashes at any instant, before or after any write and any request: the next start looks after
everything."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect
from bot import sentences
from bot.core.events import LeftUnsaid, UtteranceChanged
from bot.core.models import EndReason, SessionState, UtteranceState
from bot.store import tables
from tests import options
from tests.harness.bot import CHANNEL, PROVIDERS, BotHarness

TEXTS = ("first message of the story", "second message, a bit longer than the first one", "third")
INSTANTS = {"heygen-realtime": 84, "heygen-streaming": 68, "liveavatar": 80}
"""A few more than there are in the story below: one before and one after each write and each request."""
EVERY = 1 if options.is_thorough() else 3
"""Of so many instants one is tried, another one at each provider."""


async def tell_the_story(world: BotHarness) -> None:
    """Start, three messages, an interrupt in the middle, and the end."""
    await world.type("/avatar start")
    for place, text in enumerate(TEXTS):
        await world.write(text, key=f"story-{place}")
    await world.pass_time(6)
    await world.type("/avatar interrupt")
    await world.pass_time(1)
    await world.type("/avatar skip")
    await world.pass_time(12)
    await world.type("/avatar stop")
    await world.pass_time(3)


async def story_until(world: BotHarness, instant: int) -> None:
    """The story, with a crash at `instant`; people notice only that nobody answers."""

    async def boot_and_tell() -> None:
        await world.boot(crash_at=instant)
        await tell_the_story(world)

    await world.crash()
    await until_crash(world, boot_and_tell())


async def until_crash(world: BotHarness, living: Coroutine[None, None, None]) -> None:
    """Let a bot live until it crashes, or to the end."""
    life = asyncio.create_task(living)
    await asyncio.sleep(0)
    crash = asyncio.create_task(world.crash_injector.gone.wait())
    await asyncio.wait([life, crash], return_when=asyncio.FIRST_COMPLETED)
    for task in (life, crash):
        task.cancel()
    await asyncio.gather(life, crash, return_exceptions=True)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_story_is_shorter_than_the_instants_that_are_tried(provider: str, tmp_path: Path) -> None:
    async with BotHarness(tmp_path, provider) as world:
        await tell_the_story(world)
        assert world.crash_injector.instants <= INSTANTS[provider]
        assert await world.store.sessions.all_open() == []
        assert world.open_streams == []


@pytest.mark.parametrize(
    ("provider", "instant"),
    [
        (provider, instant)
        for place, provider in enumerate(PROVIDERS)
        for instant in range(1 + place, INSTANTS[provider] + 1, EVERY)
    ],
)
async def test_after_a_power_cut_nothing_leaks_nothing_is_lost_and_nothing_is_said_twice(
    provider: str, instant: int, tmp_path: Path
) -> None:
    async with BotHarness(tmp_path, provider) as world:
        await story_until(world, instant)
        accepted = [row.text for row in await fresh_rows(world)]
        await settle(world)

        rows = await world.rows(tables.utterances)
        assert [row.text for row in rows] == accepted
        assert all(UtteranceState(row.state).is_final for row in rows)
        assert len(world.heard) == len(set(world.heard)), world.heard
        said = {row.text for row in rows if row.state == UtteranceState.SPOKEN}
        assert said <= set(world.heard)
        known = {row.upstream_id for row in await world.rows(tables.streams)}
        assert all(view.id in known or view.ended is not None for view in world.simulator.streams())
        assert world.open_streams == []

        running = await world.start()
        await world.write("all is well again")
        await world.until(lambda: world.ended_as("all is well again", UtteranceState.SPOKEN))
        assert running.session.state is SessionState.LIVE


async def fresh_rows(world: BotHarness) -> list[Any]:
    """What the next bot finds in the database."""
    await world.crash()
    await world.boot()
    return await world.rows(tables.utterances)


async def settle(world: BotHarness) -> None:
    """The next bot goes on, then somebody stops the avatar, and what nobody owns ends by itself at the provider."""
    await world.type("/avatar skip")
    await world.pass_time(40)
    await world.type("/avatar stop")
    await world.pass_time(430)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BotHarness]:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        yield world


async def test_the_watch_link_stays_the_same_after_a_restart(world: BotHarness) -> None:
    before = (await world.start()).view().watch_url
    await world.crash()
    await world.boot()
    running = world.sessions.in_channel(CHANNEL)
    assert running is not None
    assert running.view().watch_url == before


async def test_what_was_queued_is_said_once_and_what_was_in_flight_is_not_said_again(world: BotHarness) -> None:
    await world.start()
    long = "a sentence that is being said at the very moment when the power goes off for everybody"
    for text in (long, "queued one", "queued two"):
        await world.write(text)
    await world.until(lambda: world.states(long)[-1:] == [UtteranceState.SPEAKING])
    await world.crash()
    await world.boot()
    assert world.recovery.adopted == 1
    assert world.recovery.unknown_utterances == 1
    await world.until(lambda: world.ended_as("queued two", UtteranceState.SPOKEN))
    assert world.heard == [long, "queued one", "queued two"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_waited_counts_as_spoken_only_once_the_voice_has_come_to_it(provider: str, tmp_path: Path) -> None:
    """The next bot did not hear how far the voice is with what the dead one gave it."""
    async with BotHarness(tmp_path, provider) as world:
        await world.start()
        await world.write(SPEECH)
        await world.write("a short one")
        await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
        await world.crash()
        await world.boot()
        await world.until(lambda: world.ended_as("a short one", UtteranceState.SPOKEN))
        texts = [text for view in world.simulator.streams() for text in view.spoken]
        assert [text.state for text in texts if text.asked.strip() == "a short one"] == ["spoken"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_the_dead_bot_left_in_the_stream_can_be_cut(provider: str, tmp_path: Path) -> None:
    async with BotHarness(tmp_path, provider) as world:
        await world.start()
        await world.write(SPEECH)
        await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
        await world.pass_time(1)
        await world.crash()
        await world.boot()
        assert (await world.type("/avatar interrupt")).text.startswith("Quiet.")
        await world.pass_time(1)
        texts = [text for view in world.simulator.streams() for text in view.spoken]
        assert [text.state for text in texts if text.asked.strip() == SPEECH] == ["interrupted"]


async def test_a_start_that_was_cut_short_is_told_and_the_channel_can_start_again(world: BotHarness) -> None:
    await world.type("/avatar start")
    await world.crash()
    await world.boot()
    await world.until(lambda: any("was restarted while the avatar was starting" in notice for notice in world.notices))
    await world.until(lambda: world.sessions.in_channel(CHANNEL) is None)
    assert (await world.start()).is_live


async def test_a_stop_that_the_shell_asked_for_meanwhile_is_obeyed(world: BotHarness) -> None:
    running = await world.start()
    await world.crash()
    await world.boot()
    await world.crash()
    store = await type(world.store).open(world.url, world.clock)
    await store.sessions.request_stop(running.session.id, "shell:operator")
    await store.close()
    await world.boot()
    await world.until(lambda: not world.open_streams)
    assert await world.store.sessions.all_open() == []


async def test_a_close_that_was_not_confirmed_before_the_power_cut_is_gone_on_with_after_it(world: BotHarness) -> None:
    running = await world.start()
    await world.write("this is dropped")
    world.simulator.faults.add(
        Effect.STATUS, method="POST", path="/v3/avatar-realtime/*/cancel", status=500, times=None
    )
    await world.type("/avatar stop")
    await world.pass_time(2)
    await world.crash()
    await world.boot()
    await world.pass_time(2)
    session = await world.store.sessions.get(running.session.id)
    assert session is not None
    assert (session.state, session.end_reason) == (SessionState.CLOSING, EndReason.STOPPED)
    assert (await world.type("/avatar start")).text == sentences.CLOSING
    world.simulator.faults.clear()
    await world.until(lambda: world.sessions.in_channel(CHANNEL) is None)
    assert world.open_streams == []
    assert world.notices[-1].startswith("The avatar has left after")
    assert all(UtteranceState(row.state).is_final for row in await world.rows(tables.utterances))
    assert (await world.start()).is_live


async def test_a_queue_that_was_held_by_an_interrupt_is_said_once_after_a_restart(world: BotHarness) -> None:
    await world.start()
    for text in (SPEECH, "held one", "held two"):
        await world.write(text)
    await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
    await world.type("/avatar interrupt")
    await world.rest()
    await world.crash()
    await world.boot()
    await world.until(lambda: world.ended_as("held two", UtteranceState.SPOKEN))
    assert [text for text in world.heard if text != SPEECH] == ["held one", "held two"]


async def test_what_waited_in_a_session_whose_start_was_cut_short_is_dropped_and_told(world: BotHarness) -> None:
    await world.type("/avatar start")
    await world.write("early bird")
    await world.crash()
    await world.boot()
    await world.until(lambda: world.ended_as("early bird", UtteranceState.DROPPED))
    (row,) = await world.rows(tables.utterances)
    assert row.state == UtteranceState.DROPPED


async def speak_and_crash(world: BotHarness) -> None:
    await world.start()
    await world.write(SPEECH)
    await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
    await world.crash()


async def test_what_is_in_doubt_is_told_wherever_a_bot_dies_that_recovers(world: BotHarness) -> None:
    """Each bot crashes one instant later in its recovery, until one lives that has told."""
    await speak_and_crash(world)
    told = len(world.states(SPEECH))
    for instant in count(1):
        world.is_shown = False
        await until_crash(world, world.boot(crash_at=instant))
        is_whole = not world.crash_injector.has_crashed
        await world.crash()
        if is_whole:
            break
    assert instant > 3
    states = set(world.states(SPEECH)[told:])
    assert states == {UtteranceState.UNKNOWN}, "the last one told, but nobody could read it"
    assert await told_by_the_next_bot(world) == [UtteranceState.UNKNOWN]
    await world.crash()
    assert await told_by_the_next_bot(world) == []
    await world.crash()
    assert await rows_of(world, "doubts") == []


async def test_what_is_in_doubt_is_told_although_its_session_is_over(world: BotHarness) -> None:
    await speak_and_crash(world)
    world.is_shown = False
    await world.boot()
    await world.type("/avatar stop")
    await world.until(lambda: world.sessions.in_channel(CHANNEL) is None)
    await world.crash()
    assert await told_by_the_next_bot(world) == [UtteranceState.UNKNOWN]
    await world.crash()
    assert await rows_of(world, "doubts") == []


async def test_a_doubt_of_which_it_cannot_be_noted_that_people_were_told_is_told_again(world: BotHarness) -> None:
    await speak_and_crash(world)
    world.is_shown = False
    await world.boot()
    await world.rest()
    world.unwritable = {0}
    release_all(world)
    await world.rest()
    assert await rows_of(world, "doubts") != []
    await world.crash()
    assert await told_by_the_next_bot(world) == [UtteranceState.UNKNOWN]


async def told_by_the_next_bot(world: BotHarness) -> list[UtteranceState]:
    """What people read of the speech from a bot that starts now, and can show it."""
    world.is_shown = True
    told = len(world.states(SPEECH))
    await world.boot()
    await world.rest()
    return world.states(SPEECH)[told:]


def release_all(world: BotHarness) -> None:
    """People can read what has been told so far."""
    for event in world.events:
        if isinstance(event, UtteranceChanged | LeftUnsaid) and event.delivery is not None:
            event.delivery.release()


async def rows_of(world: BotHarness, table: str) -> list[object]:
    """What is in a table, also where no bot runs."""
    with closing(sqlite3.connect(world.url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names


async def test_a_session_that_runs_here_is_not_taken_up_once_more(world: BotHarness) -> None:
    """Where a failover of the database has lost that it was claimed, it is nobody's again."""
    running = await world.start()
    for text in (SPEECH, "queued one"):
        await world.write(text)
    await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
    recovery = await world.recover()
    assert recovery.sessions == []
    assert world.running is running
    await world.until(lambda: world.ended_as("queued one", UtteranceState.SPOKEN))
    assert world.ended_as(SPEECH, UtteranceState.SPOKEN)
    assert world.heard == [SPEECH, "queued one"]


async def test_a_restart_while_the_provider_does_not_answer_does_not_wait_for_it(world: BotHarness) -> None:
    await world.start()
    await world.type("/avatar stop")
    world.simulator.faults.add(Effect.HANG, times=None)
    await world.crash()
    await world.boot()
    assert world.recovery.closed == 1
    world.simulator.faults.clear()
    await world.crash()
    await world.boot()
    await world.until(lambda: world.sessions.in_channel(CHANNEL) is None)
    assert world.open_streams == []


SPEECH = "a sentence that is being said at the very moment when the power goes off for everybody"
