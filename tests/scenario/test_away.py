"""Every process was away for long, as over a night: what waited is not said out of the blue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.events import LeftUnsaid
from bot.core.models import UtteranceState
from tests.harness.bot import ADA, BotHarness, with_policy

SPEECH = "a sentence that is being said at the very moment when the power goes off for everybody"
AGE = 600.0
"""Seconds: `QUEUE_MAX_AGE`."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BotHarness]:
    async with BotHarness(tmp_path, policy=with_policy(queue_max_age=AGE)) as world:
        yield world


def told(world: BotHarness) -> list[str]:
    return [notice for notice in world.notices if "so I dropped it" in notice]


async def leave(world: BotHarness, seconds: float, *, after_absence: bool = True) -> None:
    """A bot that is killed with messages waiting, and the next one, so much later."""
    await world.start()
    for text in (SPEECH, "one", "two"):
        await world.write(text)
    await world.write("three", ADA)
    await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
    await world.crash()
    await world.pass_time(seconds)
    await world.boot(after_absence=after_absence)


async def test_what_waited_for_too_long_is_dropped_and_told_once(world: BotHarness) -> None:
    await leave(world, 4 * AGE)
    await world.until(lambda: world.ended_as("three", UtteranceState.DROPPED))
    assert [world.ended_as(text, UtteranceState.DROPPED) for text in ("one", "two")] == [True, True]
    assert told(world) == [
        "What Ana and Ada wrote could not be said for 10 min, so I dropped it, as whatever waits that long. "
        "Write it again if it still matters."
    ]
    await world.write("all is well again")
    await world.until(lambda: world.ended_as("all is well again", UtteranceState.SPOKEN))
    assert set(world.heard) <= {SPEECH, "all is well again"}


async def test_who_used_a_command_is_told_alone(world: BotHarness) -> None:
    await leave(world, AGE + 60)
    await world.until(lambda: world.ended_as("three", UtteranceState.DROPPED))
    people = [words for event in world.events if isinstance(event, LeftUnsaid) for words in event.people]
    assert [words.reply.text for words in people if words.name == "Ada"] == [
        "Your message “three” could not be said for 10 min and was dropped. Send it again if that still matters."
    ]


async def test_what_waited_less_is_said(world: BotHarness) -> None:
    await leave(world, AGE - 60)
    await world.until(lambda: world.ended_as("three", UtteranceState.SPOKEN))
    assert world.heard[-3:] == ["one", "two", "three"]
    assert told(world) == []


async def test_where_another_process_lived_until_now_no_time_of_day_is_looked_at(world: BotHarness) -> None:
    """That of its machine may be another one."""
    await leave(world, 4 * AGE, after_absence=False)
    await world.until(lambda: world.ended_as("three", UtteranceState.SPOKEN))
    assert world.heard[-3:] == ["one", "two", "three"]
    assert told(world) == []


async def test_what_waited_behind_others_is_said_after_a_restart(tmp_path: Path) -> None:
    """It was not the restart that it waited for."""
    async with BotHarness(tmp_path, policy=with_policy(queue_max_age=20.0)) as world:
        await world.start()
        texts = [f"message number {number} takes a while to be said, as all of them do" for number in range(12)]
        written = world.clock.now()
        for text in texts:
            await world.write(text)
        await world.until(lambda: world.ended_as(texts[6], UtteranceState.SPOKEN))
        assert (world.clock.now() - written).total_seconds() > 20
        await world.crash()
        await world.boot()
        await world.until(lambda: world.ended_as(texts[-1], UtteranceState.SPOKEN))
        assert told(world) == []


async def test_what_was_not_told_before_the_next_crash_is_dropped_by_the_one_after_it(world: BotHarness) -> None:
    """In the middle of the drops."""
    await world.start()
    for text in (SPEECH, "one", "two", "three"):
        await world.write(text)
    await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
    await world.crash()
    await world.pass_time(AGE)
    await world.boot()
    world.crash_injector.crash_in(3)
    await world.crash_injector.gone.wait()
    assert not world.ended_as("three", UtteranceState.DROPPED)
    await world.crash()
    await world.boot()
    await world.until(lambda: world.ended_as("three", UtteranceState.DROPPED))
    assert set(world.heard) <= {SPEECH}
