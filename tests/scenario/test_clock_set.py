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
from tests.harness.deployment import SlackDeployment
from tests.harness.forkserver import ForkServer
from tests.platforms.slack import text_of

pytestmark = pytest.mark.slow

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
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as fork_server:
        yield fork_server


@asynccontextmanager
async def deployment_of(
    fork_server: ForkServer, folder: Path, provider: str, **settings: str
) -> AsyncIterator[SlackDeployment]:
    """A deployment of one channel, with an avatar that is live."""
    limits = {
        "SESSION_IDLE_TIMEOUT": f"{IDLE:g}",
        "SESSION_IDLE_WARNING": "10",
        "SESSION_MAX_DURATION": f"{LONGEST:g}",
        "STREAM_LINGER": "3600",
    }
    options = SimulatorOptions(auto_viewer=True)
    async with SlackDeployment(fork_server, folder, provider, options, channels=1, **limits, **settings) as deployment:
        await deployment.start()
        await deployment.command(deployment.channels[0], "/avatar start")
        await until_said(deployment, "live")
        yield deployment


async def until_said(deployment: SlackDeployment, fragment: str) -> None:
    """Wait until some message of the program in the channel says it."""
    await deployment.until(
        lambda: any(fragment in text_of(message) for message in deployment.slack.messages(deployment.channels[0]))
    )


def state_of(deployment: SlackDeployment, text: str) -> UtteranceState | None:
    """What has become of a message; None if it has not been taken yet."""
    states = [row["state"] for row in deployment.rows("SELECT text, state FROM utterances") if row["text"] == text]
    return UtteranceState(states[-1]) if states else None


async def write_and_wait(deployment: SlackDeployment, text: str, *states: UtteranceState) -> None:
    await deployment.write(deployment.channels[0], text)
    await deployment.until(lambda: state_of(deployment, text) in states)


async def until_all_is_over(deployment: SlackDeployment) -> None:
    """Wait until the avatar has left by itself."""
    await deployment.until(
        lambda: not deployment.open_streams and not deployment.rows("SELECT id FROM sessions WHERE state != 'closed'")
    )


def reasons(deployment: SlackDeployment) -> list[str]:
    """Why each session ended, the oldest first. Ids are made by the time of day, rows are not."""
    return [row["end_reason"] for row in deployment.rows("SELECT end_reason FROM sessions ORDER BY rowid")]


def only_stream(deployment: SlackDeployment) -> StreamView:
    (stream,) = deployment.simulator.streams()
    return stream


# --- the time of day is set ------------------------------------------------------------------------------------------


@on_every_provider
@BACK_AND_FORTH
async def test_everything_is_said_once_and_in_order_and_the_avatar_leaves_in_time(
    fork_server: ForkServer, tmp_path: Path, provider: str, jump: float
) -> None:
    async with deployment_of(fork_server, tmp_path, provider) as deployment:
        await write_and_wait(deployment, LONG, UtteranceState.SPEAKING, UtteranceState.SPOKEN)
        await write_and_wait(deployment, BEFORE, UtteranceState.QUEUED, UtteranceState.SENDING)
        deployment.clock_offset.jump(jump)
        await write_and_wait(deployment, AFTER, UtteranceState.SPOKEN)
        said = deployment.clock.monotonic()
        await until_all_is_over(deployment)
        assert deployment.heard == [LONG, BEFORE, AFTER]
        assert deployment.clock.monotonic() - said > IDLE - LATE
        assert reasons(deployment) == [EndReason.IDLE]
        told = "\n".join(map(text_of, deployment.slack.messages(deployment.channels[0])))
        assert not re.search(r"(?m)(^|\s)-\d", told), told
        await deployment.stop()


@on_every_provider
@pytest.mark.parametrize(
    ("jump", "reason"), [(-30 * DAY, EndReason.IDLE), (30 * DAY, EndReason.MAX_DURATION)], ids=["back", "forth"]
)
async def test_a_clock_that_is_wrong_at_the_next_start_keeps_no_session_for_ever(
    fork_server: ForkServer, tmp_path: Path, provider: str, jump: float, reason: EndReason
) -> None:
    async with deployment_of(fork_server, tmp_path, provider) as deployment:
        await deployment.kill()
        deployment.clock_offset.jump(jump)
        await deployment.start()
        await until_all_is_over(deployment)
        assert reasons(deployment) == [reason]
        assert only_stream(deployment).seconds < LONGEST
        await deployment.command(deployment.channels[0], "/avatar start")
        await write_and_wait(deployment, AGAIN, UtteranceState.SPOKEN)
        await deployment.stop()
        assert deployment.open_streams == set()


# --- summer time -----------------------------------------------------------------------------------------------------


@on_one_provider
@pytest.mark.parametrize(
    "change",
    [datetime(2027, 3, 28, 1, 0, tzinfo=UTC), datetime(2027, 10, 31, 1, 0, tzinfo=UTC)],
    ids=["begins", "ends"],
)
async def test_summer_time_that_begins_or_ends_meanwhile_is_not_noticed(
    fork_server: ForkServer, tmp_path: Path, provider: str, change: datetime
) -> None:
    async with deployment_of(fork_server, tmp_path, provider, TZ="Europe/Berlin") as deployment:
        deployment.clock_offset.jump((change - deployment.clock.now()).total_seconds() - IDLE)
        await write_and_wait(deployment, BEFORE, UtteranceState.SPOKEN)
        said = deployment.clock.monotonic()
        while deployment.clock.monotonic() < said + 2 * IDLE:
            await deployment.write(
                deployment.channels[0], f"still here after {deployment.clock.monotonic() - said:.0f} seconds"
            )
            await deployment.pass_time(IDLE / 4)
        await write_and_wait(deployment, AFTER, UtteranceState.SPOKEN)
        said = deployment.clock.monotonic()
        await until_all_is_over(deployment)
        assert deployment.clock.monotonic() - said > IDLE - LATE
        assert reasons(deployment) == [EndReason.IDLE]
        await deployment.stop()


# --- it stands still -------------------------------------------------------------------------------------------------


@on_every_provider
async def test_who_stood_still_for_longer_than_the_provider_waits_goes_on_without_saying_anything_twice(
    fork_server: ForkServer, tmp_path: Path, provider: str
) -> None:
    async with deployment_of(fork_server, tmp_path, provider) as deployment:
        await write_and_wait(deployment, LONG, UtteranceState.SPEAKING, UtteranceState.SPOKEN)
        await write_and_wait(deployment, BEFORE, UtteranceState.QUEUED, UtteranceState.SENDING)
        deployment.bot.send(signal.SIGSTOP)
        await deployment.until(lambda: not deployment.open_streams)
        deployment.bot.send(signal.SIGCONT)
        await deployment.until(lambda: (state_of(deployment, BEFORE) or UtteranceState.QUEUED).is_final)
        await deployment.command(deployment.channels[0], "/avatar start")
        await write_and_wait(deployment, AGAIN, UtteranceState.SPOKEN)
        assert len(deployment.heard) == len(set(deployment.heard))
        assert deployment.heard[-1] == AGAIN
        await until_all_is_over(deployment)
        await deployment.stop()


@on_one_provider
async def test_a_nap_changes_nothing(fork_server: ForkServer, tmp_path: Path, provider: str) -> None:
    async with deployment_of(fork_server, tmp_path, provider) as deployment:
        deployment.bot.send(signal.SIGSTOP)
        await deployment.pass_time(5)
        deployment.bot.send(signal.SIGCONT)
        await write_and_wait(deployment, AGAIN, UtteranceState.SPOKEN)
        assert deployment.heard == [AGAIN]
        assert only_stream(deployment).ended is None
        await deployment.stop()
        assert reasons(deployment) == [EndReason.SHUTDOWN]
