"""Three programs on a PostgreSQL database, of which one dies while people write: the others share its sessions, and
each session goes to one of them; also where one joins, or stands still, in the middle of the takeover.

The last test is of programs that claim without a lock: they must take sessions twice, or the first one proves nothing.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.scenario.member import Member
from tests.scenario.pair_of_programs import TAKEN_OVER
from tests.scenario.processes_under_load import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.postgres, pytest.mark.timeout(180)]

CHANNELS = 6

TAKES_ITS_TIME = """
import time
from sqlalchemy import event
from sqlalchemy.engine import Engine
@event.listens_for(Engine, "before_cursor_execute")
def wait(connection, cursor, statement, *_):
    if statement.startswith("UPDATE sessions SET owner"):
        time.sleep(1.6)
"""
"""Between the look at what is free and the claim, so that two claims are at it at once; less than the 2 s for which the
server keeps a transaction open without a word."""

WITHOUT_LOCK = """
from sqlalchemy import event
from sqlalchemy.engine import Engine
@event.listens_for(Engine, "before_cursor_execute", retval=True)
def forget(connection, cursor, statement, parameters, *_):
    return statement.replace(" FOR UPDATE SKIP LOCKED", ""), parameters
"""

STANDS_STILL = """
import asyncio, os, pathlib, signal
from bot.store.sessions import SessionRepository
claim = SessionRepository.claim
async def stand_still(point):
    if (wish := pathlib.Path(point)).exists():
        is_whole = wish.read_text() == "all of it"
        wish.rename("stands still")
        if is_whole:
            os.kill(os.getpid(), signal.SIGSTOP)
        while not pathlib.Path("go on").exists():
            await asyncio.sleep(0.02)
async def watched(self, provider, among=None, limit=None):
    if limit != 0:
        await stand_still("before the claim")
    claimed = await claim(self, provider, among, limit)
    if claimed:
        await stand_still("after the claim")
    return claimed
SessionRepository.claim = watched
"""
"""Where its folder has a file of that name. It beats meanwhile, unless all of it is to stand still."""


@asynccontextmanager
async def talk_at(folder: Path, url: str) -> AsyncIterator[tuple[Cluster, Member]]:
    """A program with all sessions, in the middle of a long message."""
    async with Cluster(folder, url, channels=CHANNELS, seed=0) as cluster:
        first = await cluster.start("first")
        await cluster.start_avatars()
        await cluster.write(cluster.channels[0], parts=20)
        cluster.talk()
        yield cluster, first


async def test_two_takers_share_the_sessions_of_one_that_died(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with talk_at(tmp_path, await new_url()) as (cluster, first):
        second = await cluster.start("second", changed=TAKES_ITS_TIME, LOG_LEVEL="warning")
        third = await cluster.start("third", changed=TAKES_ITS_TIME, LOG_LEVEL="warning")
        first.send(signal.SIGKILL)
        await cluster.until_rows("SELECT count(*) FROM noted", number=2 * CHANNELS)
        assert await cluster.settle([first, second, third]) == []
        owned = await cluster.owned_by([second, third])
        assert sum(owned.values()) == CHANNELS
        assert owned.keys() == {"second", "third"}
        assert await cluster.times_taken() == [2] * CHANNELS
        assert (second.log + third.log).count("another process is dead") == 1
        await cluster.end_well(second, third)


@pytest.mark.parametrize("point", ["before the claim", "after the claim"])
async def test_a_third_that_joins_in_the_middle_of_a_takeover_takes_what_is_free_and_no_more(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], point: str
) -> None:
    async with talk_at(tmp_path, await new_url()) as (cluster, first):
        second = await cluster.start("second", changed=STANDS_STILL)
        (second.folder / point).touch()
        first.send(signal.SIGKILL)
        await second.until_there("stands still")
        third = await cluster.start("third")
        taker = third if point == "before the claim" else second
        await cluster.until_owned_by(taker)
        # What comes in meanwhile is said, too.
        for channel in cluster.channels:
            await cluster.write(channel)
        (second.folder / "go on").touch()
        assert await cluster.settle([first, second, third]) == []
        assert await cluster.owned_by([second, third]) == {taker.name: CHANNELS}
        assert await cluster.times_taken() == [2] * CHANNELS
        await cluster.end_well(second, third)


async def test_a_third_takes_over_from_one_that_stands_still_in_the_middle_of_a_takeover(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with talk_at(tmp_path, await new_url()) as (cluster, first):
        second = await cluster.start("second", changed=STANDS_STILL)
        (second.folder / "after the claim").write_text("all of it")
        (second.folder / "go on").touch()
        first.send(signal.SIGKILL)
        await second.until_there("stands still")
        third = await cluster.start("third")
        await cluster.until_owned_by(third)
        second.send(signal.SIGCONT)
        assert await second.end() == TAKEN_OVER
        assert await cluster.settle([first, second, third]) == []
        assert await cluster.times_taken() == [3] * CHANNELS
        await cluster.end_well(third)


async def test_without_the_lock_two_takers_take_the_same_sessions(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with talk_at(tmp_path, await new_url()) as (cluster, first):
        changed = WITHOUT_LOCK + TAKES_ITS_TIME
        second = await cluster.start("second", changed=changed)
        third = await cluster.start("third", changed=changed)
        first.send(signal.SIGKILL)
        free = "SELECT count(*) FROM sessions LEFT JOIN processes p ON p.id = owner WHERE p.pid IS NULL OR p.pid = $1"
        await cluster.until_rows(free, first.pid, number=0)
        assert await cluster.settle([first, second, third]) != []
        assert max(await cluster.times_taken()) > 2
