"""Two programs on one database while people write, brought into the middle of their work; what becomes of them then is
the business of the tests.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests import options
from tests.scenario.member import Member
from tests.scenario.processes_under_load import Cluster

ROUNDS = 20 if options.is_every_point() else 1

TAKEN_OVER = 75
"""The exit code of a program whose place another one has taken."""

NEXT_PIECE = 8.0
"""Seconds in which the next piece of a long message is due."""

WITHOUT_DEADLINE = "import bot.cluster.membership as membership\nmembership.MAY_ACT_FOR = 1e9\n"


class Pair:
    """Both of them, and all around."""

    def __init__(self, cluster: Cluster, first: Member, second: Member) -> None:
        self.cluster, self.first, self.second = cluster, first, second

    async def violations(self) -> list[str]:
        """What was not right until now."""
        return await self.cluster.violations([self.first, self.second])

    async def settle(self) -> list[str]:
        """Let everything come to its end: what was not right."""
        return await self.cluster.settle([self.first, self.second])

    async def end_well(self, *members: Member) -> None:
        """Stop those that are there, and see that they leave nothing open."""
        await self.cluster.end_well(*members)


@asynccontextmanager
async def pair_at(folder: Path, url: str, seed: int, changed: str | None) -> AsyncIterator[Pair]:
    """The first one has all sessions, and is in the middle of a long message; `changed` is in it alone."""
    async with Cluster(folder, url, channels=4, seed=seed) as cluster:
        first = await cluster.start("first", changed=changed)
        await cluster.start_avatars()
        second = await cluster.start("second")
        await cluster.write(cluster.channels[0], parts=20)
        cluster.talk()
        await _some_pieces(cluster)
        yield Pair(cluster, first, second)


@asynccontextmanager
async def equals_at(
    folder: Path, url: str, seed: int, *, first: str | None = None, second: str | None = None
) -> AsyncIterator[Pair]:
    """Both have sessions, each is in the middle of a long message. first, second: what is changed in them."""
    async with Cluster(folder, url, channels=6, seed=seed) as cluster:
        members = await cluster.start("first", changed=first), await cluster.start("second", changed=second)
        await cluster.start_avatars()
        pids = list((await cluster.owners()).values())
        assert sorted(pids.count(member.pid) for member in members) == [3, 3], pids
        # One of each: the commands went to both by turns.
        for channel in cluster.channels[:2]:
            await cluster.write(channel, parts=6)
        cluster.talk(but=2)
        await _some_pieces(cluster)
        yield Pair(cluster, *members)


async def _some_pieces(cluster: Cluster) -> None:
    """Until some pieces of what is long are said, and a random moment."""
    await asyncio.sleep(4.0 + cluster.chance.uniform(0.0, 3.0))
