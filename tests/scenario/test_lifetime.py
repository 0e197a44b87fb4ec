"""How long a session stays, and what a dead bot costs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.errors import Transient
from bot.core.models import UtteranceState
from tests.harness.bot import BotHarness, simulated, with_policy

IDLE = "Nobody has written for a while: the avatar leaves in 60 s unless somebody writes."


async def test_an_idle_session_is_warned_once_and_closed(world: BotHarness) -> None:
    running = await world.start()
    await world.pass_time(245)
    assert world.notices.count(IDLE) == 1
    assert not running.closed.is_set()
    await world.pass_time(60)
    assert running.closed.is_set()
    assert world.notices.count(IDLE) == 1
    assert world.notices[-1].startswith("Nobody wrote for a while, so the avatar has left after 5 min")
    assert world.open_streams == []


async def test_a_message_after_the_warning_keeps_the_avatar(world: BotHarness) -> None:
    running = await world.start()
    await world.pass_time(260)
    await world.write("stay")
    await world.pass_time(240)
    assert not running.closed.is_set()
    assert world.ended_as("stay", UtteranceState.SPOKEN)
    await world.pass_time(70)
    assert running.closed.is_set()


async def test_speech_counts_as_activity(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, policy=with_policy(idle_timeout=30.0, idle_warning=10.0)) as world:
        running = await world.start()
        await world.write(" ".join(f"number {number}" for number in range(60)))
        await world.pass_time(50)
        assert not running.closed.is_set()


async def test_the_longest_stay_ends_a_busy_session(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, policy=with_policy(max_duration=100.0)) as world:
        running = await world.start()
        for _ in range(10):
            await world.write("again and again")
            await world.pass_time(10)
        assert running.closed.is_set()
        assert any(notice.startswith("The avatar has reached its time limit") for notice in world.notices)
        assert world.open_streams == []


async def test_a_session_that_is_kept_alive_outlives_the_longest_idle_time_of_the_provider(tmp_path: Path) -> None:
    policy = with_policy(idle_timeout=5000.0, max_duration=9000.0)
    options = simulated(v1_session_limit=10_000)
    async with BotHarness(tmp_path, "heygen-streaming", policy=policy, options=options) as world:
        running = await world.start()
        await world.pass_time(4900)
        assert len(world.open_streams) == 1
        await world.pass_time(110)
        assert running.closed.is_set()
        assert world.open_streams == []


@pytest.mark.parametrize(
    ("provider", "costs"), [("heygen-realtime", 30), ("heygen-streaming", 90), ("liveavatar", 300)]
)
@pytest.mark.parametrize("alive", [0, 20, 170])
async def test_a_dead_bot_costs_no_more_than_the_idle_time_it_asked_for(
    tmp_path: Path, provider: str, costs: float, alive: float
) -> None:
    async with BotHarness(tmp_path, provider) as world:
        await world.start()
        await world.pass_time(alive)
        await world.crash()
        died_after = world.simulator.streams()[-1].seconds
        await world.pass_time(costs + 1)
        assert world.open_streams == []
        assert world.simulator.streams()[-1].seconds <= died_after + costs
        await world.boot()
        await world.rest()
        assert await world.store.streams.unsettled() == []


@pytest.fixture(params=["heygen-streaming", "liveavatar"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A provider that can be kept from ending a silent stream, and a session that may stay silent for 1000 s."""
    policy = with_policy(idle_timeout=1000.0, max_duration=3000.0)
    options = simulated(v1_session_limit=3000, liveavatar_abandoned=None)
    async with BotHarness(tmp_path, request.param, policy=policy, options=options) as world:
        await world.start()
        yield world


async def stays_for_its_whole_idle_time(world: BotHarness) -> bool:
    """Whether a silent session keeps the one stream it has until its own idle time is over, and closes it then."""
    running = world.running
    assert running is not None
    await world.pass_time(990)
    has_stayed = len(world.open_streams) == len(world.simulator.streams()) == 1 and not running.stop.is_set
    await world.pass_time(20)
    return has_stayed and running.closed.is_set() and world.open_streams == []


async def test_a_silent_session_that_lives_stays_for_its_whole_idle_time(kept: BotHarness) -> None:
    assert await stays_for_its_whole_idle_time(kept)


async def test_a_lost_keep_alive_ends_nothing(kept: BotHarness) -> None:
    provider: Any = kept.sessions.services.provider
    keep_alive, sent = provider.keep_alive, 0

    async def every_other(upstream_id: str) -> None:
        nonlocal sent
        sent += 1
        if sent % 2:
            raise Transient("lost on its way", may_have_taken_effect=False)
        await keep_alive(upstream_id)

    provider.keep_alive = every_other
    assert await stays_for_its_whole_idle_time(kept)
    assert sent >= 9


async def test_a_keep_alive_without_an_answer_holds_up_neither_the_next_one_nor_a_message(kept: BotHarness) -> None:
    provider: Any = kept.sessions.services.provider
    keep_alive, sent = provider.keep_alive, 0

    async def first_hangs(upstream_id: str) -> None:
        nonlocal sent
        sent += 1
        if sent == 1:
            await asyncio.get_running_loop().create_future()
        await keep_alive(upstream_id)

    provider.keep_alive = first_hangs
    await kept.pass_time(101)
    assert sent >= 1
    await kept.write("still here")
    await kept.until(lambda: kept.ended_as("still here", UtteranceState.SPOKEN))
    assert await stays_for_its_whole_idle_time(kept)


async def test_a_stream_that_is_over_is_noticed_by_its_keep_alive(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        running = await world.start()
        world.simulator.drop_stream(world.open_streams[0].id)
        await world.pass_time(31)
        assert running.stream.current is None
        await world.write("are you there")
        await world.until(lambda: world.ended_as("are you there", UtteranceState.SPOKEN))


async def test_a_stream_that_was_taken_over_is_kept_alive_at_once(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        await world.start()
        await world.pass_time(10)
        await world.crash()
        await world.pass_time(75)
        await world.boot()
        assert world.recovery.adopted == 1
        await world.pass_time(80)
        assert len(world.open_streams) == len(world.simulator.streams()) == 1


async def test_v3_lets_a_silent_stream_go_and_the_next_message_opens_another_behind_the_same_link(
    realtime: BotHarness,
) -> None:
    running = await realtime.start()
    link = running.view().watch_url
    await realtime.pass_time(40)
    assert running.view().phase == "waiting_for_text"
    assert realtime.open_streams == []
    await realtime.write("good morning")
    await realtime.until(lambda: realtime.ended_as("good morning", UtteranceState.SPOKEN))
    assert running.view().watch_url == link
    assert realtime.greetings == 1
    assert len(realtime.simulator.streams()) == 2


@pytest.fixture
async def realtime(tmp_path: Path) -> AsyncIterator[BotHarness]:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        yield world
