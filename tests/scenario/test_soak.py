"""Two hundred channels talk for an hour while things go wrong at random: the memory of the program stays flat, no task
and no file is left over, nothing is said twice, and what the provider has open is what the rows say.

The program is a process of its own between a local Slack and the avatar service (`town`), with a clock that is fast.
The hour is a short one, in fewer channels, in an ordinary run; HYPOTHESIS_PROFILE=thorough takes all of it, on every
provider.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.simulator import SimulatorOptions
from bot.core.models import StreamState, UtteranceState
from tests.fakes.slack import Channel
from tests.harness.bot import PROVIDERS
from tests.harness.deployment import Town
from tests.harness.forkserver import Nursery
from tests.harness.simulator_faults import FAULTS

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
CHANNELS = 200 if THOROUGH else 30
ROUNDS = 120 if THOROUGH else 12
ROUND = 30.0
"""Seconds of simulated time."""

WARM_UP = ROUNDS // 2
SPEED = 5.0 if THOROUGH else 10.0
"""Seconds of the program per second of the machine: what two cores can do for so many channels. A program that is out
of breath hears of the end of speech seconds late."""

GROWTH = 1.05
"""How much more memory the end may take than the end of the warm-up."""

KEPT_ALIVE = 32.0
"""Seconds of the machine after which a connection that nobody uses has been closed: aiohttp looks every 15 for those
that have not been used for 15."""

COMMANDS = ("stop", "interrupt", "skip", "clear", "status", "queue", "keep", "idle 120", "mode repeat", "ask how so?")


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery(speed=SPEED) as nursery:
        yield nursery


@pytest.fixture(params=PROVIDERS if THOROUGH else PROVIDERS[:1])
async def town(request: pytest.FixtureRequest, nursery: Nursery, tmp_path: Path) -> AsyncIterator[Town]:
    options = SimulatorOptions(
        v1_concurrency=2 * CHANNELS,
        v3_concurrency=2 * CHANNELS,
        liveavatar_concurrency=2 * CHANNELS,
        liveavatar_rate=10_000,
        auto_viewer=True,
        kept_closed=1_000_000,
    )
    limits = {"SESSION_IDLE_TIMEOUT": "60", "SESSION_IDLE_WARNING": "10", "SESSION_MAX_DURATION": "600"}
    async with Town(nursery, tmp_path, request.param, options, channels=CHANNELS, USER_RATE="0", **limits) as town:
        await town.start()
        yield town


class Talk:
    """What people do in all channels, from a seed."""

    def __init__(self, town: Town, seed: int) -> None:
        self._town = town
        self._chance = random.Random(seed)
        self._written = 0

    async def round(self) -> None:
        """Half a minute in which anything may go wrong."""
        town, chance = self._town, self._chance
        for fault in chance.choices(list(FAULTS.values()), k=3):
            town.simulator.faults.add(**fault, times=chance.randint(1, 2))
        there = {row["channel"] for row in town.rows("SELECT channel FROM sessions WHERE state != 'closed'")}
        async with asyncio.TaskGroup() as group:
            for channel in town.channels:
                group.create_task(self._live(channel, channel.id in there, chance.random()))
            if town.open_streams and chance.random() < 0.5:
                town.simulator.drop_stream(chance.choice(sorted(town.open_streams)))
        await town.pass_time(ROUND / 2)

    async def _live(self, channel: Channel, has_avatar: bool, pause: float) -> None:
        """What happens in one channel in half a round, beginning after a `pause`, a share of it."""
        town, chance = self._town, self._chance
        await town.pass_time(pause * ROUND / 2)
        if not has_avatar:
            await town.command(channel, "/avatar start")
        for _ in range(chance.randint(0, 1)):
            self._written += 1
            await town.write(channel, f"message {self._written}" + " word" * chance.randint(1, 8))
        if chance.random() < 0.2:
            await town.command(channel, f"/avatar {chance.choice(COMMANDS)}")


def out_of_step(town: Town) -> set[str]:
    """Streams that only one side has open, the provider or the rows."""
    there = town.open_streams
    rows = town.rows("SELECT state, upstream_id FROM streams WHERE state IN ('open', 'closing')")
    held = {row["upstream_id"] for row in rows if row["state"] == StreamState.OPEN}
    return (there - {row["upstream_id"] for row in rows}) | (held - town.open_streams)


async def until_in_step(town: Town) -> None:
    """Wait until whatever is out of step now has been mended, by the program or, where it never learnt of a stream, by
    the provider's own idle limit."""
    wrong = out_of_step(town)

    def are_mended() -> bool:
        wrong.intersection_update(out_of_step(town))
        return not wrong

    await town.until(are_mended, every=0.2)


async def rest_everywhere(town: Town) -> dict[str, float]:
    """Every session comes to its end by being idle, and with it everything that was opened for it. Returns what the
    program says of itself then."""
    town.simulator.faults.clear()
    await town.until(lambda: not town.open_streams and not town.rows("SELECT id FROM sessions WHERE state != 'closed'"))
    return await town.measure()


@pytest.mark.timeout(2400 if THOROUGH else 240)
async def test_an_hour_of_talk_and_trouble_leaves_nothing_behind(town: Town) -> None:
    talk = Talk(town, seed=4711)
    warm: dict[str, float] = {}
    for number in range(ROUNDS):
        await talk.round()
        if number % 3 == 2:
            town.simulator.faults.clear()
            await until_in_step(town)
        if number == WARM_UP:
            warm = await rest_everywhere(town)
    await rest_everywhere(town)
    await asyncio.sleep(KEPT_ALIVE)
    cold = await town.measure()
    assert cold["process_resident_memory_bytes"] < warm["process_resident_memory_bytes"] * GROWTH
    assert cold["avatar_relay_tasks"] <= warm["avatar_relay_tasks"]
    assert cold["process_open_fds"] <= warm["process_open_fds"]
    assert cold["avatar_relay_open_streams"] == cold["avatar_relay_open_sessions"] == 0
    await town.stop()
    check_the_books(town)


def check_the_books(town: Town) -> None:
    """After the end: every message has come to its own, most were said, and none was said twice."""
    rows = town.rows("SELECT text, state FROM utterances WHERE text LIKE 'message %'")
    states = Counter(UtteranceState(row["state"]) for row in rows)
    assert all(state.is_final for state in states), states
    assert states[UtteranceState.SPOKEN] > len(rows) / 3, states
    heard = Counter(text for text in town.heard if text.startswith("message"))
    twice = {text for text, times in heard.items() if times > 1}
    assert not twice, [text for view in town.simulator.streams() for text in view.spoken if text.asked.strip() in twice]
    assert {row["text"] for row in rows if row["state"] == "spoken"} <= set(heard)
