"""Two programs on machines of their own, each with its own network, of which one fails while people write: as in
`tests/scenario/test_failures_of_processes.py`, where a proxy stands for the network between them and the database.

The last test is of a program without the deadline at the provider: it must break a rule, or the first one proves
nothing.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness.machine import Machine
from tests.scenario.member import Member
from tests.scenario.pair_of_programs import NEXT_PIECE, TAKEN_OVER, WITHOUT_DEADLINE, Pair
from tests.scenario.processes_under_load import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.postgres, pytest.mark.timeout(180)]


class Failing(Pair):
    """The first one, on the machine that fails, has all sessions and is in the middle of a long message."""

    def __init__(self, machine: Machine, cluster: Cluster, first: Member, second: Member) -> None:
        super().__init__(cluster, first, second)
        self.machine = machine

    async def fail(self, failure: str) -> None:
        """Have the first one fail, and wait until the second one has its sessions."""
        match failure:
            case "kill":
                self.first.send(signal.SIGKILL)
            case "stop":
                self.first.send(signal.SIGSTOP)
            case "database silent":
                self.machine.aside.cut()
            case "database unreachable":
                self.machine.aside.refuse()
            case "everything silent":
                self.machine.cut()
        await self.cluster.until_owned_by(self.second)

    async def go_on(self, failure: str) -> None:
        """Let the first one go on, and see that it ends."""
        match failure:
            case "kill":
                return
            case "stop":
                self.first.send(signal.SIGCONT)
            case _:
                await asyncio.sleep(NEXT_PIECE)
                self.machine.heal()
        assert await self.first.end() == TAKEN_OVER


@asynccontextmanager
async def failing_at(folder: Path, url: str, changed: str = "") -> AsyncIterator[Failing]:
    with Machine() as machine:
        async with Cluster(folder, url, channels=3, seed=0, host=machine.here) as cluster:
            first = await cluster.start("first", changed=machine.enter + changed, database_at=machine.aside.here)
            await cluster.start_avatars()
            second = await cluster.start("second")
            await cluster.write(cluster.channels[0], parts=20)
            cluster.talk()
            # Some pieces of it are said by then.
            await asyncio.sleep(4.0)
            yield Failing(machine, cluster, first, second)


@pytest.mark.parametrize("failure", ["kill", "stop", "database silent", "database unreachable", "everything silent"])
async def test_what_was_taken_is_said_once_or_in_doubt_and_by_its_owner(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], failure: str
) -> None:
    async with failing_at(tmp_path, await new_url()) as failing:
        await failing.fail(failure)
        await failing.go_on(failure)
        assert await failing.settle() == []
        await failing.end_well(failing.second)


@pytest.mark.parametrize("failure", ["database silent", "database unreachable"])
async def test_without_the_deadline_who_is_cut_off_says_the_next_piece(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], failure: str
) -> None:
    async with failing_at(tmp_path, await new_url(), WITHOUT_DEADLINE) as failing:
        await failing.fail(failure)
        await asyncio.sleep(NEXT_PIECE)
        said = await failing.violations()
        assert any(violation.startswith("first said ") for violation in said), said
