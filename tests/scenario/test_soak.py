"""Hundreds of channels talk for an hour while things go wrong at random: memory stays flat, no task is left over, and
what the provider has open is what the rows say.

The hour is a short one in an ordinary run; HYPOTHESIS_PROFILE=thorough takes all of it, on every provider.
"""

import asyncio
import gc
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.avatars.simulator import Effect, SimulatorOptions
from bot.errors import Refused
from bot.model import Actor, Channel, UtteranceState
from bot.store import tables
from tests.world import PROVIDERS, World, simulated, with_policy

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
CHANNELS = [Channel("test", f"workspace {number % 10}", f"channel {number}") for number in range(200)]
AT_ONCE = 200 if THOROUGH else 25
"""Channels that have a session at a time; the others come after them."""

ROUNDS = 120 if THOROUGH else 8
ROUND = 30.0
"""Seconds of simulated time."""

WARM_UP = ROUNDS // 2
GROWTH = 1.1
"""How much more memory the end may take than the end of the warm-up. What is kept on purpose (delivery keys in memory,
the simulator's ended streams) is bounded and made small here."""

CACHES = 500_000
"""What caches of the interpreter and of libraries may take besides."""

FAULTS: tuple[dict[str, Any], ...] = (
    {"effect": Effect.REFUSED_BEFORE},
    {"effect": Effect.STATUS, "status": 429, "retry_after": 1},
    {"effect": Effect.STATUS, "status": 500},
    {"effect": Effect.GARBAGE},
    {"effect": Effect.LATENCY, "seconds": 2.0},
    {"effect": Effect.LOST_REPLY},
)
COMMANDS = ("stop", "interrupt", "skip", "clear", "status", "queue", "keep", "idle 120", "mode repeat")


@pytest.fixture(params=PROVIDERS if THOROUGH else PROVIDERS[:1])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    options = simulated(v1_concurrency=300, v3_concurrency=300, liveavatar_concurrency=300, liveavatar_rate=10_000)
    policy = with_policy(idle_timeout=60.0, idle_warning=10.0, max_duration=600.0)
    async with World(
        tmp_path, request.param, policy=policy, options=few_kept(options), sweeper=True, chat_model=False
    ) as world:
        yield world


def few_kept(options: SimulatorOptions) -> SimulatorOptions:
    """A simulator that remembers few of the streams that have ended, so that its own memory is flat soon."""
    return replace(options, kept_closed=AT_ONCE)


class Talk:
    """What people do, from a seed."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._written = 0
        self._next = 0

    async def round(self) -> None:
        """Half a minute in all channels that are busy now."""
        world, chance = self._world, self._chance
        for _ in range(3):
            world.simulator.faults.add(**chance.choice(FAULTS), times=chance.randint(1, 2))
        busy = [CHANNELS[(self._next + number) % len(CHANNELS)] for number in range(AT_ONCE)]
        # The busy ones move on, so that every channel has its time.
        self._next += AT_ONCE
        for channel in busy:
            if world.sessions.in_channel(channel) is None:
                await world.type("/avatar start", channel=channel)
            for _ in range(chance.randint(0, 2)):
                await self._write(channel)
            if chance.random() < 0.3:
                await world.type(f"/avatar {chance.choice(COMMANDS)}", channel=channel)
        if world.open_streams and chance.random() < 0.5:
            world.simulator.drop_stream(chance.choice(world.open_streams).id)
        await world.pass_time(ROUND)
        # An hour of events is what the test asks for, not what it keeps.
        world.events.clear()
        mistakes = [entry for entry in world.log if "unforeseen" in entry["event"] or "task failed" in entry["event"]]
        assert mistakes == []
        world.log.clear()

    async def _write(self, channel: Channel) -> None:
        self._written += 1
        author = Actor("test", f"person {self._chance.randint(1, 50)}", "Somebody")
        text = f"message {self._written} " + "word " * self._chance.randint(1, 8)
        try:
            await self._world.write(text, author, channel, key=f"key {self._written}")
        except Refused:
            return


async def settle_and_check(world: World) -> None:
    """Nothing goes wrong any more for a moment; then the provider's open streams are the rows'."""
    world.simulator.faults.clear()
    await world.pass_time(15)
    rows = await world.rows(tables.streams)
    in_books = {row.upstream_id for row in rows if row.state in ("open", "closing")}
    lost = sum(row.state in ("creating", "lost") and row.upstream_id is None for row in rows)
    open_now = {view.id for view in world.open_streams}
    assert len(open_now - in_books) <= lost, (open_now - in_books, lost)
    running = {each.stream.upstream_id for each in world.sessions if each.stream is not None}
    assert running == {row.upstream_id for row in rows if row.state == "open"}
    assert {session.id for session in await world.store.open_sessions()} == {each.session.id for each in world.sessions}


def memory() -> int:
    """Bytes of everything that can hold something else. `tracemalloc` sees more, and makes the hour three times as
    long; what grows without a bound grows in some container."""
    gc.collect()
    return sum(map(sys.getsizeof, gc.get_objects()))


@pytest.mark.timeout(3600 if THOROUGH else 120)
async def test_an_hour_of_talk_and_trouble_leaves_nothing_behind(world: World) -> None:
    talk = Talk(world, seed=4711)
    after_warm_up, tasks = 0, Counter[str]()
    for number in range(ROUNDS):
        await talk.round()
        if number % 3 == 2:
            await settle_and_check(world)
        if number == WARM_UP:
            await rest_everywhere(world)
            after_warm_up, tasks = memory(), tasks_now()
    await rest_everywhere(world)
    at_the_end = memory()
    assert at_the_end < after_warm_up * GROWTH + CACHES, (after_warm_up, at_the_end)
    assert tasks_now() == tasks
    assert world.open_streams == []
    rows = await world.rows(tables.utterances)
    assert all(UtteranceState(row.state).is_final for row in rows)
    assert sum(row.state is UtteranceState.SPOKEN for row in rows) > len(rows) / 4


def tasks_now() -> Counter[str]:
    """How many tasks run what. Those of the simulator's server are as many as the connections that are kept open."""
    running = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
    del running["RequestHandler.start"]
    return running


async def rest_everywhere(world: World) -> None:
    """Every session comes to its end by being idle, and with it everything that was opened for it."""
    world.simulator.faults.clear()
    for _ in range(20):
        # A stream whose create was never answered ends at the provider, by its idle limit.
        if not len(world.sessions) and not world.open_streams:
            break
        await world.pass_time(50)
    await settle_and_check(world)
    assert len(world.sessions) == 0
    assert world.open_streams == []
    world.events.clear()
    world.log.clear()
