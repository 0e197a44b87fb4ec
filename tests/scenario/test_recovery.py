"""The power goes off at any instant, before or after any write and any request: the next start looks after
everything."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.model import SessionState, UtteranceState
from bot.store import tables
from tests.world import CHANNEL, PROVIDERS, World

TEXTS = ("first message of the story", "second message, a bit longer than the first one", "third")
INSTANTS = {"heygen-realtime": 40, "heygen-streaming": 44}
"""More than there are in the story below; `test_the_story_is_shorter_than_the_instants_that_are_tried` holds it."""


async def tell_the_story(world: World) -> None:
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


async def story_until(world: World, instant: int) -> None:
    """The story, with the power going off at `instant`; people notice only that nobody answers."""

    async def boot_and_tell() -> None:
        await world.boot(cut_at=instant)
        await tell_the_story(world)

    await world.crash()
    telling = asyncio.create_task(boot_and_tell())
    await asyncio.sleep(0)
    power = asyncio.create_task(world.mains.gone.wait())
    await asyncio.wait([telling, power], return_when=asyncio.FIRST_COMPLETED)
    for task in (telling, power):
        task.cancel()
    await asyncio.gather(telling, power, return_exceptions=True)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_story_is_shorter_than_the_instants_that_are_tried(provider: str, tmp_path: Path) -> None:
    async with World(tmp_path, provider) as world:
        await tell_the_story(world)
        assert world.mains.instants < INSTANTS[provider] * 4
        assert await world.store.open_sessions() == []
        assert world.open_streams == []


@pytest.mark.parametrize(
    ("provider", "instant"),
    [(provider, instant) for provider in PROVIDERS for instant in range(1, INSTANTS[provider] * 2, 2)],
)
async def test_after_a_power_cut_nothing_leaks_nothing_is_lost_and_nothing_is_said_twice(
    provider: str, instant: int, tmp_path: Path
) -> None:
    async with World(tmp_path, provider) as world:
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


async def fresh_rows(world: World) -> list[object]:
    """What the next bot finds in the database."""
    await world.crash()
    await world.boot()
    return await world.rows(tables.utterances)  # type: ignore[return-value]  # rows have the columns as attributes


async def settle(world: World) -> None:
    """The next bot goes on, then somebody stops the avatar, and what nobody owns ends by itself at the provider."""
    await world.type("/avatar skip")
    await world.pass_time(40)
    await world.type("/avatar stop")
    await world.pass_time(430)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path, "heygen-realtime") as world:
        yield world


async def test_the_watch_link_stays_the_same_after_a_restart(world: World) -> None:
    before = (await world.start()).view().watch_url
    await world.crash()
    await world.boot()
    running = world.sessions.in_channel(CHANNEL)
    assert running is not None
    assert running.view().watch_url == before


async def test_what_was_queued_is_said_once_and_what_was_in_flight_is_not_said_again(world: World) -> None:
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


async def test_a_start_that_was_cut_short_is_told_and_the_channel_can_start_again(world: World) -> None:
    await world.type("/avatar start")
    await world.crash()
    await world.boot()
    await world.until(lambda: any("was restarted while the avatar was starting" in notice for notice in world.notices))
    await world.until(lambda: world.sessions.in_channel(CHANNEL) is None)
    assert (await world.start()).is_live


async def test_a_stop_that_the_shell_asked_for_meanwhile_is_obeyed(world: World) -> None:
    running = await world.start()
    await world.crash()
    await world.boot()
    await world.crash()
    store = await type(world.store).open(world.url, world.clock)
    await store.request_stop(running.session.id, "shell:operator")
    await store.close()
    await world.boot()
    await world.until(lambda: not world.open_streams)
    assert await world.store.open_sessions() == []
