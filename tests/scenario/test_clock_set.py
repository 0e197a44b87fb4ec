"""The real program while somebody sets the clock of its machine, while summer time begins and ends, and after it has
stood still: sessions last as long as they should, nothing is said twice, nothing stays open.

Each case of it, moment by moment, is in `test_clock_jumps.py`, with the bot in the process of the test.
"""

import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.simulator import SimulatorOptions, StreamView
from bot.core.models import EndReason, UtteranceState
from tests.harness.bot import PROVIDERS
from tests.harness.deployment import Town
from tests.harness.forkserver import Nursery
from tests.platforms.slack import text_of

HOUR, DAY = 3600.0, 86_400.0
IDLE, LONGEST = 60.0, 600.0
"""Seconds of `SESSION_IDLE_TIMEOUT` and `SESSION_MAX_DURATION`."""

LONG = "this one is being said for quite a while, and it is followed by others that wait for their turn behind it"
BEFORE, AFTER, AGAIN = "this was written before", "this was written after", "all is well again"
BACK_AND_FORTH = pytest.mark.parametrize("jump", [-HOUR, 400 * DAY], ids=["back", "forth"])

LATE = 5.0
"""Seconds of the program by which a look of the test at it may be late: a quarter of a second of the machine."""

on_every_provider = pytest.mark.parametrize("provider", PROVIDERS)
on_one_provider = pytest.mark.parametrize("provider", PROVIDERS[:1])


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@asynccontextmanager
async def town_of(nursery: Nursery, folder: Path, provider: str, **settings: str) -> AsyncIterator[Town]:
    """A town of one channel, with an avatar that is live."""
    limits = {
        "SESSION_IDLE_TIMEOUT": f"{IDLE:g}",
        "SESSION_IDLE_WARNING": "10",
        "SESSION_MAX_DURATION": f"{LONGEST:g}",
    }
    options = SimulatorOptions(auto_viewer=True)
    async with Town(nursery, folder, provider, options, channels=1, **limits, **settings) as town:
        await town.start()
        await town.command(town.channels[0], "/avatar start")
        await until_said(town, "live")
        yield town


async def until_said(town: Town, fragment: str) -> None:
    """Wait until some message of the program in the channel says it."""
    await town.until(lambda: any(fragment in text_of(message) for message in town.slack.messages(town.channels[0])))


def state_of(town: Town, text: str) -> UtteranceState | None:
    """What has become of a message; None if it has not been taken yet."""
    states = [row["state"] for row in town.rows("SELECT text, state FROM utterances") if row["text"] == text]
    return UtteranceState(states[-1]) if states else None


async def write_and_wait(town: Town, text: str, *states: UtteranceState) -> None:
    await town.write(town.channels[0], text)
    await town.until(lambda: state_of(town, text) in states)


async def until_all_is_over(town: Town) -> None:
    """Wait until the avatar has left by itself."""
    await town.until(lambda: not town.open_streams and not town.rows("SELECT id FROM sessions WHERE state != 'closed'"))


def reasons(town: Town) -> list[str]:
    """Why each session ended, the oldest first. Ids are made by the time of day, rows are not."""
    return [row["end_reason"] for row in town.rows("SELECT end_reason FROM sessions ORDER BY rowid")]


def only_stream(town: Town) -> StreamView:
    (stream,) = town.simulator.streams()
    return stream


# --- the time of day is set ------------------------------------------------------------------------------------------


@on_every_provider
@BACK_AND_FORTH
async def test_everything_is_said_once_and_in_order_and_the_avatar_leaves_in_time(
    nursery: Nursery, tmp_path: Path, provider: str, jump: float
) -> None:
    async with town_of(nursery, tmp_path, provider) as town:
        await write_and_wait(town, LONG, UtteranceState.SPEAKING, UtteranceState.SPOKEN)
        await write_and_wait(town, BEFORE, UtteranceState.QUEUED, UtteranceState.SENDING)
        town.dial.jump(jump)
        await write_and_wait(town, AFTER, UtteranceState.SPOKEN)
        said = town.clock.monotonic()
        await until_all_is_over(town)
        assert town.heard == [LONG, BEFORE, AFTER]
        assert town.clock.monotonic() - said > IDLE - LATE
        assert reasons(town) == [EndReason.IDLE]
        told = "\n".join(map(text_of, town.slack.messages(town.channels[0])))
        assert not re.search(r"(?m)(^|\s)-\d", told), told
        await town.stop()


@on_every_provider
@pytest.mark.parametrize(
    ("jump", "reason"), [(-30 * DAY, EndReason.IDLE), (30 * DAY, EndReason.MAX_DURATION)], ids=["back", "forth"]
)
async def test_a_clock_that_is_wrong_at_the_next_start_keeps_no_session_for_ever(
    nursery: Nursery, tmp_path: Path, provider: str, jump: float, reason: EndReason
) -> None:
    async with town_of(nursery, tmp_path, provider) as town:
        await town.kill()
        town.dial.jump(jump)
        await town.start()
        await until_all_is_over(town)
        assert reasons(town) == [reason]
        assert only_stream(town).seconds < LONGEST
        await town.command(town.channels[0], "/avatar start")
        await write_and_wait(town, AGAIN, UtteranceState.SPOKEN)
        await town.stop()
        assert town.open_streams == set()


# --- summer time -----------------------------------------------------------------------------------------------------


@on_one_provider
@pytest.mark.parametrize(
    "change",
    [datetime(2027, 3, 28, 1, 0, tzinfo=UTC), datetime(2027, 10, 31, 1, 0, tzinfo=UTC)],
    ids=["begins", "ends"],
)
async def test_summer_time_that_begins_or_ends_meanwhile_is_not_noticed(
    nursery: Nursery, tmp_path: Path, provider: str, change: datetime
) -> None:
    async with town_of(nursery, tmp_path, provider, TZ="Europe/Berlin") as town:
        town.dial.jump((change - town.clock.now()).total_seconds() - IDLE)
        await write_and_wait(town, BEFORE, UtteranceState.SPOKEN)
        said = town.clock.monotonic()
        while town.clock.monotonic() < said + 2 * IDLE:
            await town.write(town.channels[0], f"still here after {town.clock.monotonic() - said:.0f} seconds")
            await town.pass_time(IDLE / 4)
        await write_and_wait(town, AFTER, UtteranceState.SPOKEN)
        said = town.clock.monotonic()
        await until_all_is_over(town)
        assert town.clock.monotonic() - said > IDLE - LATE
        assert reasons(town) == [EndReason.IDLE]
        await town.stop()


# --- it stands still -------------------------------------------------------------------------------------------------


@on_every_provider
async def test_who_stood_still_for_longer_than_the_provider_waits_goes_on_without_saying_anything_twice(
    nursery: Nursery, tmp_path: Path, provider: str
) -> None:
    async with town_of(nursery, tmp_path, provider) as town:
        await write_and_wait(town, LONG, UtteranceState.SPEAKING, UtteranceState.SPOKEN)
        await write_and_wait(town, BEFORE, UtteranceState.QUEUED, UtteranceState.SENDING)
        town.bot.send(signal.SIGSTOP)
        await town.until(lambda: not town.open_streams)
        town.bot.send(signal.SIGCONT)
        await town.until(lambda: (state_of(town, BEFORE) or UtteranceState.QUEUED).is_final)
        await town.command(town.channels[0], "/avatar start")
        await write_and_wait(town, AGAIN, UtteranceState.SPOKEN)
        assert len(town.heard) == len(set(town.heard))
        assert town.heard[-1] == AGAIN
        await until_all_is_over(town)
        await town.stop()


@on_one_provider
async def test_a_nap_changes_nothing(nursery: Nursery, tmp_path: Path, provider: str) -> None:
    async with town_of(nursery, tmp_path, provider) as town:
        town.bot.send(signal.SIGSTOP)
        await town.pass_time(5)
        town.bot.send(signal.SIGCONT)
        await write_and_wait(town, AGAIN, UtteranceState.SPOKEN)
        assert town.heard == [AGAIN]
        assert only_stream(town).ended is None
        await town.stop()
        assert reasons(town) == [EndReason.SHUTDOWN]
