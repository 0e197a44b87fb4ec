"""Two hundred channels talk for an hour while things go wrong at random: the memory of the program stays flat, no task
and no file is left over, nothing is said twice, and what the provider has open is what the rows say.

The program is a process of its own between a local Slack and the avatar service (`deployment`), with a clock that is
fast. The hour is a short one, in fewer channels, in an ordinary run; `--hypothesis-profile=thorough` takes all of it,
on every provider.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.simulator import SimulatorOptions, SpokenText
from bot.core.models import StreamState, UtteranceState
from tests import options
from tests.fakes.slack import Channel
from tests.harness.bot import PROVIDERS
from tests.harness.deployment import SlackDeployment
from tests.harness.forkserver import ForkServer
from tests.harness.simulator_faults import FAULTS

pytestmark = [pytest.mark.slow, pytest.mark.long]

THOROUGH = options.is_thorough()
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
def fork_server() -> Iterator[ForkServer]:
    with ForkServer(speed=SPEED) as fork_server:
        yield fork_server


@pytest.fixture(params=PROVIDERS if THOROUGH else PROVIDERS[:1])
async def deployment(
    request: pytest.FixtureRequest, fork_server: ForkServer, tmp_path: Path
) -> AsyncIterator[SlackDeployment]:
    options = SimulatorOptions(
        v1_concurrency=2 * CHANNELS,
        v3_concurrency=2 * CHANNELS,
        liveavatar_concurrency=2 * CHANNELS,
        liveavatar_rate=10_000,
        auto_viewer=True,
        kept_closed=1_000_000,
    )
    limits = {"SESSION_IDLE_TIMEOUT": "60", "SESSION_IDLE_WARNING": "10", "SESSION_MAX_DURATION": "600"}
    async with SlackDeployment(
        fork_server, tmp_path, request.param, options, channels=CHANNELS, USER_RATE="0", **limits
    ) as deployment:
        await deployment.start()
        yield deployment


class Talk:
    """What people do in all channels, from a seed."""

    def __init__(self, deployment: SlackDeployment, seed: int) -> None:
        self._deployment = deployment
        self._chance = random.Random(seed)
        self._written = 0

    async def round(self) -> None:
        """Half a minute in which anything may go wrong."""
        deployment, chance = self._deployment, self._chance
        for fault in chance.choices(list(FAULTS.values()), k=3):
            deployment.simulator.faults.add(**fault, times=chance.randint(1, 2))
        there = {row["channel"] for row in deployment.rows("SELECT channel FROM sessions WHERE state != 'closed'")}
        async with asyncio.TaskGroup() as group:
            for channel in deployment.channels:
                group.create_task(self._live(channel, channel.id in there, chance.random()))
            if deployment.open_streams and chance.random() < 0.5:
                deployment.simulator.drop_stream(chance.choice(sorted(deployment.open_streams)))
        await deployment.pass_time(ROUND / 2)

    async def _live(self, channel: Channel, has_avatar: bool, pause: float) -> None:
        """What happens in one channel in half a round, beginning after a `pause`, a share of it."""
        deployment, chance = self._deployment, self._chance
        await deployment.pass_time(pause * ROUND / 2)
        if not has_avatar:
            await deployment.command(channel, "/avatar start")
        for _ in range(chance.randint(0, 1)):
            self._written += 1
            await deployment.write(channel, f"message {self._written}" + " word" * chance.randint(1, 8))
        if chance.random() < 0.2:
            await deployment.command(channel, f"/avatar {chance.choice(COMMANDS)}")


def out_of_step(deployment: SlackDeployment) -> set[str]:
    """Streams that only one side has open, the provider or the rows."""
    there = deployment.open_streams
    rows = deployment.rows("SELECT state, upstream_id FROM streams WHERE state IN ('open', 'closing')")
    held = {row["upstream_id"] for row in rows if row["state"] == StreamState.OPEN}
    return (there - {row["upstream_id"] for row in rows}) | (held - deployment.open_streams)


async def until_in_step(deployment: SlackDeployment) -> None:
    """Wait until whatever is out of step now has been mended, by the program or, where it never learnt of a stream, by
    the provider's own idle limit."""
    wrong = out_of_step(deployment)

    def are_mended() -> bool:
        wrong.intersection_update(out_of_step(deployment))
        return not wrong

    await deployment.until(are_mended, every=0.2)


async def rest_everywhere(deployment: SlackDeployment) -> dict[str, float]:
    """Every session comes to its end by being idle, and with it everything that was opened for it. Returns what the
    program says of itself then."""
    deployment.simulator.faults.clear()
    await deployment.until(
        lambda: not deployment.open_streams and not deployment.rows("SELECT id FROM sessions WHERE state != 'closed'")
    )
    return await deployment.measure()


async def measure_at_rest(deployment: SlackDeployment, warm: dict[str, float]) -> dict[str, float]:
    """What the program says of itself once no more tasks are under way than when it was warm. What is done from time to
    time may be a task just now; one that is left over stays, and fails the test."""
    cold = await deployment.measure()
    for _ in range(20):
        if cold["avatar_relay_tasks"] <= warm["avatar_relay_tasks"]:
            break
        await asyncio.sleep(0.5)
        cold = await deployment.measure()
    return cold


@pytest.mark.timeout(2400 if THOROUGH else 240)
async def test_an_hour_of_talk_and_trouble_leaves_nothing_behind(deployment: SlackDeployment) -> None:
    talk = Talk(deployment, seed=4711)
    warm: dict[str, float] = {}
    for number in range(ROUNDS):
        await talk.round()
        if number % 3 == 2:
            deployment.simulator.faults.clear()
            await until_in_step(deployment)
        if number == WARM_UP:
            warm = await rest_everywhere(deployment)
    await rest_everywhere(deployment)
    await asyncio.sleep(KEPT_ALIVE)
    cold = await measure_at_rest(deployment, warm)
    assert cold["process_resident_memory_bytes"] < warm["process_resident_memory_bytes"] * GROWTH
    assert cold["avatar_relay_tasks"] <= warm["avatar_relay_tasks"]
    assert cold["process_open_fds"] <= warm["process_open_fds"]
    assert cold["avatar_relay_open_streams"] == cold["avatar_relay_open_sessions"] == 0
    await deployment.stop()
    check_the_books(deployment)


def check_the_books(deployment: SlackDeployment) -> None:
    """After the end: every message has come to its own, most were said, and none was said twice."""
    rows = deployment.rows("SELECT text, state FROM utterances WHERE text LIKE 'message %'")
    states = Counter(UtteranceState(row["state"]) for row in rows)
    assert all(state.is_final for state in states), states
    assert states[UtteranceState.SPOKEN] > len(rows) / 3, states
    heard = Counter(text for text in deployment.heard if text.startswith("message"))
    twice = {text for text, times in heard.items() if times > 1}
    assert not twice, at_the_provider(deployment, twice)
    spoken = {row["text"] for row in rows if row["state"] == "spoken"}
    missed = spoken - begun(deployment)
    assert not missed, (missed, at_the_provider(deployment, missed))


def begun(deployment: SlackDeployment) -> set[str]:
    """Texts of which people have heard a word, be it so short that a busy program need not know of it: one that does
    notes them as spoken."""
    texts = [text for view in deployment.simulator.streams() for text in view.spoken]
    return {text.asked.strip() for text in texts if text.state in ("speaking", "spoken", "interrupted")}


def at_the_provider(deployment: SlackDeployment, texts: set[str]) -> list[SpokenText]:
    """What became of these texts there."""
    return [text for view in deployment.simulator.streams() for text in view.spoken if text.asked.strip() in texts]
