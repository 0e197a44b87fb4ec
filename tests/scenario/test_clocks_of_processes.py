"""Programs on one PostgreSQL database whose clocks do not agree: the machine of one has been up for an hour longer, or
somebody sets the time of day while they run. Who takes over from whom, when, and the order of what is said do not
depend on it.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.harness.other_uptime import later_uptime
from tests.scenario.member import Member
from tests.scenario.pair_of_programs import TAKEN_OVER
from tests.scenario.processes_under_load import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.postgres, pytest.mark.timeout(180)]

PATIENT = {"SESSION_MAX_DURATION": "20000", "SESSION_IDLE_TIMEOUT": "20000"}
"""How long an avatar may stay is counted from the time of day at its start."""

CAN_BE_SET = """
import datetime, pathlib
import bot.core.clock as clock
now = clock.SystemClock.now
def set_now(self):
    wish = pathlib.Path("hours")
    return now(self) + datetime.timedelta(hours=float(wish.read_text()) if wish.exists() else 0.0)
clock.SystemClock.now = set_now
"""


def set_clock(member: Member, hours: int) -> None:
    """Set the time of day of a program, as a person or NTP does."""
    (member.folder / "hours.new").write_text(f"{hours}")
    (member.folder / "hours.new").rename(member.folder / "hours")


@pytest.mark.parametrize(("failure", "later"), [("stop", "first"), ("kill", "second")])
async def test_how_long_a_machine_has_been_up_does_not_matter(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], failure: str, later: str
) -> None:
    elsewhere = {later: later_uptime()}
    async with Cluster(tmp_path, await new_url(), channels=3, seed=0) as cluster:
        first = await cluster.start("first", changed=elsewhere.get("first"))
        await cluster.start_avatars()
        second = await cluster.start("second", changed=elsewhere.get("second"))
        await cluster.write(cluster.channels[0], parts=20)
        cluster.talk()
        # Longer than it takes to take over from one that seems to be dead.
        await asyncio.sleep(10.0)
        assert await cluster.owned_by([first, second]) == {"first": 3}
        first.send(signal.SIGSTOP if failure == "stop" else signal.SIGKILL)
        await cluster.until_owned_by(second)
        if failure == "stop":
            first.send(signal.SIGCONT)
            assert await first.end() == TAKEN_OVER
        assert await cluster.settle([first, second]) == []
        await cluster.end_well(second)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_clocks_that_are_set_in_the_middle_of_a_session_change_neither_owner_nor_order(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], hours: int
) -> None:
    """That of the owner by so much, that of the next one by as much the other way."""
    async with Cluster(tmp_path, await new_url(), channels=2, seed=hours) as cluster:
        first = await cluster.start("first", changed=CAN_BE_SET, **PATIENT)
        await cluster.start_avatars()
        second = await cluster.start("second", changed=CAN_BE_SET, **PATIENT)
        cluster.talk()
        quiet = cluster.channels[0]
        numbers = [await cluster.write(quiet, parts=parts) for parts in (12, 1)]
        set_clock(first, hours)
        set_clock(second, -hours)
        numbers += [await cluster.write(quiet) for _ in range(2)]
        # Longer than it takes to take over from one that seems to be dead.
        await asyncio.sleep(10.0)
        assert await cluster.owned_by([first, second]) == {"first": 2}
        taken = "SELECT count(*) FROM utterances WHERE text = ANY($1) AND state = 'queued'"
        await cluster.until_rows(taken, [f"Message {number} part 0." for number in numbers[1:]], number=3)
        first.send(signal.SIGKILL)
        await cluster.until_owned_by(second)
        later = await cluster.write(quiet)
        assert await cluster.settle([first, second]) == []
        assert cluster.said_in(quiet) == [*numbers, later]
