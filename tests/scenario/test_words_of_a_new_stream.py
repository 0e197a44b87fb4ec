"""v3 opens a stream with words, which it begins to say: where the bot then loses sight of the stream, they may have
been heard, so that they are not said again."""

from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect
from bot.cluster.fenced import fence
from bot.core.models import UtteranceState
from tests.harness.bot import BotHarness
from tests.scenario.test_linger import fall_asleep, lingering
from tests.scenario.test_trouble import fault

WORDS = "These are the words that the next stream is opened with."

LOST_SIGHT: dict[str, dict[str, Any]] = {
    "too many requests": {"effect": Effect.STATUS, "status": 429, "retry_after": 2, "times": None},
    "server errors": {"effect": Effect.STATUS, "status": 500, "times": None},
    "garbage": {"effect": Effect.GARBAGE, "times": None},
    "wrong types": {"effect": Effect.WRONG_TYPE, "times": None},
    "unreachable": {"effect": Effect.REFUSED_BEFORE, "times": None},
}


def heard(world: BotHarness) -> int:
    """How many streams were given the words."""
    return sum(text.asked.strip() == WORDS for stream in world.simulator.streams() for text in stream.spoken)


@pytest.mark.parametrize("trouble", LOST_SIGHT)
async def test_what_a_stream_was_opened_with_is_not_said_again_by_the_next_one(tmp_path: Path, trouble: str) -> None:
    async with lingering(tmp_path, "heygen-realtime", 0.0) as (world, running):
        await fall_asleep(world, running)
        fault(world, "start", **LOST_SIGHT[trouble])
        await world.write(WORDS)
        await world.wait_for_timeouts(lambda: world.ended_as(WORDS, UtteranceState.UNKNOWN))
        world.simulator.faults.clear()
        await world.write("And this is said as ever.")
        await world.until(lambda: world.ended_as("And this is said as ever.", UtteranceState.SPOKEN))
        assert heard(world) == 1


async def test_what_a_stream_began_to_say_that_ended_before_it_was_seen_is_not_said_again(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-realtime", 0.0) as (world, running):
        await fall_asleep(world, running)
        await world.write(WORDS)
        await world.until(lambda: heard(world))
        world.simulator.drop_stream(world.open_streams[-1].id)
        await world.until(lambda: world.states(WORDS)[-1].is_final)
        assert world.ended_as(WORDS, UtteranceState.UNKNOWN)
        await world.pass_time(10)
        assert heard(world) == 1


async def test_a_right_to_act_that_is_confirmed_late_costs_no_stream_that_has_begun_to_speak(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-realtime", 0.0) as (world, running):
        await fall_asleep(world, running)
        provider = running._services.provider
        may_act = True
        fence(provider, lambda: may_act)
        create = provider.create

        async def create_and_lose_the_right(*arguments: Any) -> str:
            nonlocal may_act
            upstream_id = await create(*arguments)
            may_act = False
            return upstream_id

        provider.create = create_and_lose_the_right  # type: ignore[method-assign, assignment]
        await world.write(WORDS)
        await world.until(lambda: heard(world))
        await world.pass_time(3)
        may_act = True
        await world.until(lambda: world.ended_as(WORDS, UtteranceState.SPOKEN))
        assert heard(world) == 1
