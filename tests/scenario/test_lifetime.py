"""How long a session stays, and what a dead bot costs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.model import UtteranceState
from tests.world import World, simulated, with_policy

IDLE = "Nobody has written for a while: the avatar leaves in 60 s unless somebody writes."


async def test_an_idle_session_is_warned_once_and_closed(world: World) -> None:
    running = await world.start()
    await world.pass_time(245)
    assert world.notices.count(IDLE) == 1
    assert not running.closed.is_set()
    await world.pass_time(60)
    assert running.closed.is_set()
    assert world.notices.count(IDLE) == 1
    assert world.notices[-1].startswith("Nobody wrote for a while, so the avatar has left after 5 min")
    assert world.open_streams == []


async def test_a_message_after_the_warning_keeps_the_avatar(world: World) -> None:
    running = await world.start()
    await world.pass_time(260)
    await world.write("stay")
    await world.pass_time(240)
    assert not running.closed.is_set()
    assert world.ended_as("stay", UtteranceState.SPOKEN)
    await world.pass_time(70)
    assert running.closed.is_set()


async def test_speech_counts_as_activity(tmp_path: Path) -> None:
    async with World(tmp_path, policy=with_policy(idle_timeout=30.0, idle_warning=10.0)) as world:
        running = await world.start()
        await world.write(" ".join(f"number {number}" for number in range(60)))
        await world.pass_time(50)
        assert not running.closed.is_set()


async def test_the_longest_stay_ends_a_busy_session(tmp_path: Path) -> None:
    async with World(tmp_path, policy=with_policy(max_duration=100.0)) as world:
        running = await world.start()
        for _ in range(10):
            await world.write("again and again")
            await world.pass_time(10)
        assert running.closed.is_set()
        assert any(notice.startswith("The avatar has stayed as long as it may") for notice in world.notices)
        assert world.open_streams == []


async def test_keep_alives_go_out_where_our_idle_time_outlasts_the_providers(tmp_path: Path) -> None:
    policy = with_policy(idle_timeout=5000.0, max_duration=6000.0)
    async with World(tmp_path, "heygen-streaming", policy=policy) as world:
        capabilities = world.sessions.house.provider.capabilities
        assert policy.keep_alive_every(capabilities, policy.asked_idle_timeout(capabilities)) == 1200.0
        assert with_policy().keep_alive_every(capabilities, with_policy().asked_idle_timeout(capabilities)) is None


async def test_a_session_that_is_kept_alive_outlives_the_longest_idle_time_of_the_provider(tmp_path: Path) -> None:
    policy = with_policy(idle_timeout=5000.0, max_duration=9000.0)
    options = simulated(v1_session_limit=10_000)
    async with World(tmp_path, "heygen-streaming", policy=policy, options=options) as world:
        running = await world.start()
        await world.pass_time(4900)
        assert len(world.open_streams) == 1
        await world.pass_time(110)
        assert running.closed.is_set()
        assert world.open_streams == []


async def test_no_keep_alive_is_sent_without_need_and_none_by_a_dead_bot(tmp_path: Path) -> None:
    policy = with_policy(idle_timeout=5000.0, max_duration=9000.0)
    options = simulated(v1_session_limit=10_000)
    async with World(tmp_path, "heygen-streaming", policy=policy, options=options) as world:
        await world.start()
        await world.pass_time(100)
        await world.crash()
        await world.pass_time(3601)
        assert world.open_streams == []


async def test_a_dead_bot_costs_no_more_than_the_idle_time_of_the_provider(world: World) -> None:
    await world.start()
    assert len(world.open_streams) == 1
    await world.crash()
    await world.pass_time(365)
    assert world.open_streams == []
    assert world.simulator.streams()[0].seconds <= 370
    await world.boot()
    await world.rest()
    assert await world.store.unsettled_streams() == []


async def test_v3_lets_a_silent_stream_go_and_the_next_message_opens_another_behind_the_same_link(
    realtime: World,
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
async def realtime(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path, "heygen-realtime") as world:
        yield world
