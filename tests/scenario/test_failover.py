"""PostgreSQL fails over to a standby while people write: with synchronous replication nothing is lost and nothing is
said twice; without it commits are lost, and what a process that lives has taken is said all the same, once.

The last test is of a machine that dies together with a primary that has not sent on its last commits: messages are said
twice, which is why docs/operations.md asks for synchronous replication, and why the first tests prove something.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.core.models import UtteranceState
from tests.harness.replicated_postgres import ReplicatedPostgres
from tests.scenario.member import Member
from tests.scenario.pair_of_programs import TAKEN_OVER, Pair
from tests.scenario.processes_under_load import Cluster, socket_of
from tests.scenario.setup.shell import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.postgres, pytest.mark.timeout(240)]

CHANNELS = 4
AWAY = 3.0
"""Seconds between the end of the primary and the promotion."""

BEHIND = 3.0
"""Seconds of talk that the standby does not get."""

UNFINISHED = tuple(f"ended as {state}" for state in UtteranceState if not state.is_final)


class Deployment(Pair):
    """Two programs, of which the first one has all sessions, and the two servers."""

    def __init__(self, servers: ReplicatedPostgres, cluster: Cluster, first: Member, second: Member) -> None:
        super().__init__(cluster, first, second)
        self.servers = servers

    async def fail_over(self, *, with_first: bool = False) -> None:
        """with_first: the first program dies with the primary, as on one machine."""
        if with_first:
            self.first.send(signal.SIGKILL)
        await asyncio.to_thread(self.servers.crash)
        await asyncio.sleep(AWAY)
        await asyncio.to_thread(self.servers.promote)
        self.cluster.url = self.servers.url
        for member in (self.first, self.second):
            member.wire.turn(socket_of(self.servers.url))

    async def until_said(self, numbers: set[int]) -> None:
        """Wait until these messages have begun to be said."""
        async with asyncio.timeout(PATIENCE):
            while not numbers <= set(self.cluster.said()):  # noqa: ASYNC110 - others say them
                await asyncio.sleep(0.05)

    async def numbers(self, url: str) -> set[int]:
        """Of the messages that a server knows of."""
        rows = await self.cluster.query("SELECT DISTINCT text FROM utterances", url=url)
        return {int(text.split()[1]) for (text,) in rows}


@asynccontextmanager
async def deployment_at(folder: Path, servers: ReplicatedPostgres) -> AsyncIterator[Deployment]:
    async with Cluster(folder, servers.url, channels=CHANNELS, seed=0) as cluster:
        first = await cluster.start("first")
        await cluster.start_avatars()
        second = await cluster.start("second")
        yield Deployment(servers, cluster, first, second)


@pytest.fixture
def synchronous() -> Iterator[ReplicatedPostgres]:
    with ReplicatedPostgres(is_synchronous=True) as servers:
        yield servers


@pytest.fixture
def asynchronous() -> Iterator[ReplicatedPostgres]:
    with ReplicatedPostgres(is_synchronous=False) as servers:
        yield servers


# --- synchronous -----------------------------------------------------------------------------------------------------


async def test_nothing_is_lost_and_each_process_keeps_its_sessions(
    tmp_path: Path, synchronous: ReplicatedPostgres
) -> None:
    async with deployment_at(tmp_path, synchronous) as deployment:
        cluster = deployment.cluster
        await cluster.write(cluster.channels[0], parts=5)
        cluster.talk()
        await asyncio.sleep(4.0)
        await deployment.fail_over()
        await asyncio.sleep(4.0)
        assert await deployment.settle() == []
        assert await cluster.owned_by([deployment.first, deployment.second]) == {"first": CHANNELS}
        assert await cluster.times_taken() == [1] * CHANNELS
        await deployment.end_well(deployment.first, deployment.second)


async def test_nothing_is_lost_where_a_process_dies_with_the_primary(
    tmp_path: Path, synchronous: ReplicatedPostgres
) -> None:
    async with deployment_at(tmp_path, synchronous) as deployment:
        cluster = deployment.cluster
        await cluster.write(cluster.channels[0], parts=20)
        cluster.talk()
        await asyncio.sleep(4.0)
        await deployment.fail_over(with_first=True)
        await cluster.until_owned_by(deployment.second)
        assert await deployment.settle() == []
        await deployment.end_well(deployment.second)


# --- asynchronous ----------------------------------------------------------------------------------------------------


async def test_lost_commits_are_said_all_the_same_and_once_by_a_process_that_lives(
    tmp_path: Path, asynchronous: ReplicatedPostgres
) -> None:
    async with deployment_at(tmp_path, asynchronous) as deployment:
        cluster = deployment.cluster
        await cluster.write(cluster.channels[0], parts=5)
        cluster.talk()
        await asyncio.sleep(4.0)
        await asyncio.to_thread(asynchronous.fall_behind)
        third = await cluster.start("third")
        await asyncio.sleep(BEHIND)
        lost = await deployment.numbers(asynchronous.url) - await deployment.numbers(asynchronous.standby_url)
        assert lost
        await deployment.fail_over()
        third.wire.turn(socket_of(asynchronous.url))
        # The servers do not know that it was ever there.
        assert await third.end() == TAKEN_OVER
        await cluster.fall_silent()
        await deployment.until_said(set(range(len(cluster.messages))))
        found = await cluster.violations([deployment.first, deployment.second, third])
        print(f"\n{len(lost)} of {len(cluster.messages)} messages lost their rows: {sorted(lost)}; then {found}")  # noqa: T201
        # What was said of the others is forgotten, too.
        assert {f"message {number} was taken 0 times" for number in lost} <= set(found)
        assert all(violation.endswith(("was taken 0 times", *UNFINISHED)) for violation in found), found
        assert await cluster.owned_by([deployment.first, deployment.second]) == {"first": CHANNELS}
        assert await cluster.times_taken() == [1] * CHANNELS
        await deployment.end_well(deployment.first, deployment.second)


async def test_commits_lost_with_the_process_that_made_them_are_said_again(
    tmp_path: Path, asynchronous: ReplicatedPostgres
) -> None:
    async with deployment_at(tmp_path, asynchronous) as deployment:
        cluster = deployment.cluster
        quiet = cluster.channels[0]
        await cluster.write(quiet, parts=3)
        number = await cluster.write(quiet)
        async with asyncio.timeout(30):
            while number not in await deployment.numbers(asynchronous.standby_url):  # noqa: ASYNC110 - others write
                await asyncio.sleep(0.05)
        await asyncio.to_thread(asynchronous.fall_behind)
        await deployment.until_said({number})
        await deployment.fail_over(with_first=True)
        await cluster.until_owned_by(deployment.second)
        cluster.talk()
        assert f"message {number} part 0 was said 2 times" in await deployment.settle()
