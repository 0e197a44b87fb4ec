"""PostgreSQL, or the way to it, fails under two programs that share it while people write: nobody takes over from who
lives, no session ends, and each message that was taken is said once.

The last tests are of programs with something broken: they must break these rules, or the first ones prove nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from bot.core.models import UtteranceState
from tests.harness.postgres import StoppablePostgres
from tests.scenario.member import Member
from tests.scenario.pair_of_programs import NEXT_PIECE, ROUNDS, TAKEN_OVER, WITHOUT_DEADLINE, Pair, equals_at
from tests.scenario.processes_under_load import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.postgres]

SILENT = 7.0
"""Seconds after which a program that is cut off says nothing more: 4 s after its last beat, and 2 s for its kernel."""

OF_BUS = "application_name = 'avatar-relay bus ' || (SELECT id FROM processes WHERE pid = {pid})"
IS_SENDER = "(query LIKE '%pg_notify%' OR query LIKE '%synchronous_commit%')"
BACKENDS = {
    "listener": f"{OF_BUS} AND NOT {IS_SENDER}",
    "sender": f"{OF_BUS} AND {IS_SENDER}",
    "beat": "application_name = '{name}' AND query LIKE 'WITH beaten%'",
    "all": f"application_name = '{{name}}' OR {OF_BUS}",
}
"""What PostgreSQL knows the connections of a program by."""

DEAF = "import bot.cluster.bus as bus\nbus.RECONNECT = (15.0,)\n"
ASKS_ONCE_AND_FORGETS = """
import adapters.chat.slack.routing as routing
async def forget(self, channel, payload, packed):
    return routing.BoltResponse(status=200)
routing.ATTEMPTS = 1
routing.Routing._keep = forget
"""
BEATS_OVER_ONE_CONNECTION = """
import bot.store.processes as processes
from bot.core.errors import StoreUnavailable
beat = processes.ProcessRows.beat
lost = []
async def beat_until_lost(self, process_id):
    if lost:
        raise lost[0]
    try:
        return await beat(self, process_id)
    except StoreUnavailable as error:
        lost.append(error)
        raise
processes.ProcessRows.beat = beat_until_lost
"""
COUNTS_FAILED_LOOKS = """
import bot.cluster.membership as membership
dead = membership.Looks.dead
failed = []
def unseen(self, others):
    found = others if len(failed) >= membership.LOOKS_TO_END else dead(self, others)
    failed.clear()
    return found
membership.Looks.dead = unseen
membership.Looks.forget = lambda looks: failed.append(looks)
"""
HAS_NO_PATIENCE = "import bot.store.store as store\nstore.PATIENCE = 0.0\n"
FORGETS_KEYS = """
import dataclasses
import bot.store.batch_statements as batch_statements
accept_many = batch_statements.accept_many
def accept(driver, acceptances):
    return accept_many(driver, [dataclasses.replace(acceptance, keys=()) for acceptance in acceptances])
import bot.relay as relay
import bot.store.writer as writer
relay.Relay._check_seen = lambda self, message: None
writer.accept_many = accept
"""

Failure = Callable[[Pair], Awaitable[None]]


async def hang_up(cluster: Cluster, member: Member, which: str) -> None:
    """End some connections of a program at the server."""
    where = BACKENDS[which].format(name=member.name, pid=member.pid)
    ended = await cluster.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}")  # noqa: S608
    assert ended, f"there is no {which}"


async def lose_connections(pair: Pair, which: str) -> None:
    """Three times, with messages for everybody at everybody right behind."""
    for _ in range(3):
        await hang_up(pair.cluster, pair.first, which)
        await write_to_all(pair)
        # A beat comes between.
        await asyncio.sleep(pair.cluster.chance.uniform(2.2, 4.0))


async def go_deaf(pair: Pair) -> None:
    """With messages for it all the time."""
    await hang_up(pair.cluster, pair.first, "listener")
    for _ in range(3):
        await write_to_all(pair)
        await asyncio.sleep(4.0)


async def write_to_all(pair: Pair) -> None:
    """Twice in each channel: once it comes in at who has the session, and once at the other one."""
    for channel in pair.cluster.channels:
        await pair.cluster.write(channel)
    for channel in reversed(pair.cluster.channels):
        await pair.cluster.write(channel)


async def go_away(pair: Pair, server: StoppablePostgres, seconds: float) -> None:
    await asyncio.to_thread(server.crash)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.start)
    await write_to_all(pair)


async def lock(pair: Pair, table: str) -> None:
    """Have every statement on a table wait, so that all connections are in use soon."""
    connection = await asyncpg.connect(pair.cluster.url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            await write_to_all(pair)
            await asyncio.sleep(pair.cluster.chance.uniform(6.0, 10.0))
    finally:
        await connection.close()


async def nobody_loses_anything(pair: Pair, failure: Failure) -> None:
    """Let it happen: who owns what stays as it was, and everything is said, once."""
    before = await pair.cluster.owners()
    await failure(pair)
    assert await pair.settle() == []
    assert await pair.cluster.owners() == before
    unknown = "SELECT text FROM utterances WHERE state = $1"
    assert await pair.cluster.query(unknown, UtteranceState.UNKNOWN.value) == []
    await pair.end_well(pair.first, pair.second)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("which", BACKENDS)
async def test_connections_that_are_lost_cost_nothing(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], which: str, seed: int
) -> None:
    async with equals_at(tmp_path, await new_url(), seed) as pair:
        await nobody_loses_anything(pair, partial(lose_connections, which=which))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_what_comes_in_for_who_does_not_hear_is_kept_for_it(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], seed: int
) -> None:
    async with equals_at(tmp_path, await new_url(), seed, first=DEAF) as pair:
        await nobody_loses_anything(pair, go_deaf)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("seconds", [2.0, 20.0])
async def test_a_server_that_crashes_and_comes_back_costs_silence(
    tmp_path: Path, stoppable_postgres: StoppablePostgres, seconds: float, seed: int
) -> None:
    async with equals_at(tmp_path, stoppable_postgres.url, seed) as pair:
        await nobody_loses_anything(pair, partial(go_away, server=stoppable_postgres, seconds=seconds))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("table", ["utterances", "sessions", "processes"])
async def test_connections_that_are_all_in_use_cost_time(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], table: str, seed: int
) -> None:
    async with equals_at(tmp_path, await new_url(), seed) as pair:
        await nobody_loses_anything(pair, partial(lock, table=table))


async def pieces_of_both_cut_off(pair: Pair) -> list[str]:
    """What is said by two programs without a database."""
    for member in (pair.first, pair.second):
        member.wire.swallow()
        await asyncio.sleep(pair.cluster.chance.uniform(0.0, 0.5))
    await asyncio.sleep(SILENT)
    before = len(pair.cluster.pieces)
    await asyncio.sleep(NEXT_PIECE)
    return [f"{piece.program} said {piece.text[:30]!r}" for piece in pair.cluster.pieces[before:]]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_of_two_that_are_cut_off_the_one_that_comes_back_goes_on_with_all(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]], seed: int
) -> None:
    async with equals_at(tmp_path, await new_url(), seed) as pair:
        assert await pieces_of_both_cut_off(pair) == []
        before = len(pair.cluster.pieces)
        pair.second.wire.heal()
        await pair.cluster.until_owned_by(pair.second)
        await write_to_all(pair)
        await asyncio.sleep(NEXT_PIECE)
        # Its own as well.
        assert {piece.program for piece in pair.cluster.pieces[before:]} == {"second"}
        pair.first.wire.heal()
        assert await pair.first.end() == TAKEN_OVER
        assert await pair.settle() == []
        await pair.end_well(pair.second)


# --- programs with something broken ----------------------------------------------------------------------------------


@pytest.mark.timeout(240)
async def test_who_asks_once_and_keeps_nothing_loses_what_comes_in_for_who_does_not_hear(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with equals_at(tmp_path, await new_url(), 0, first=DEAF, second=ASKS_ONCE_AND_FORGETS) as pair:
        await go_deaf(pair)
        found = await pair.settle()
        assert any(violation.endswith("was taken 0 times") for violation in found), found


@pytest.mark.timeout(240)
async def test_who_does_not_beat_over_a_new_connection_is_taken_over(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    async with equals_at(tmp_path, await new_url(), 0, first=BEATS_OVER_ONE_CONNECTION) as pair:
        await hang_up(pair.cluster, pair.first, "beat")
        assert await pair.first.end() == TAKEN_OVER


@pytest.mark.timeout(240)
async def test_who_counts_looks_that_failed_takes_over_from_who_lives(
    tmp_path: Path, stoppable_postgres: StoppablePostgres
) -> None:
    changed = COUNTS_FAILED_LOOKS
    async with equals_at(tmp_path, stoppable_postgres.url, 0, first=changed, second=changed) as pair:
        before = await pair.cluster.owners()
        await go_away(pair, stoppable_postgres, 20.0)
        await pair.settle()
        assert await pair.cluster.owners() != before


@pytest.mark.timeout(240)
async def test_without_patience_sessions_end_with_the_server(
    tmp_path: Path, stoppable_postgres: StoppablePostgres
) -> None:
    changed = HAS_NO_PATIENCE
    async with equals_at(tmp_path, stoppable_postgres.url, 0, first=changed, second=changed) as pair:
        before = await pair.cluster.owners()
        await go_away(pair, stoppable_postgres, 2.0)
        await pair.settle()
        assert (await pair.cluster.owners()).items() < before.items()


@pytest.mark.timeout(240)
async def test_without_keys_what_was_slow_is_taken_twice(tmp_path: Path, new_url: Callable[[], Awaitable[str]]) -> None:
    async with equals_at(tmp_path, await new_url(), 0, first=FORGETS_KEYS, second=FORGETS_KEYS) as pair:
        await lock(pair, "utterances")
        found = await pair.settle()
        assert any("times" in violation for violation in found), found


@pytest.mark.timeout(240)
async def test_without_the_deadline_both_talk_on_without_a_database(
    tmp_path: Path, new_url: Callable[[], Awaitable[str]]
) -> None:
    changed = WITHOUT_DEADLINE
    async with equals_at(tmp_path, await new_url(), 0, first=changed, second=changed) as pair:
        assert await pieces_of_both_cut_off(pair) != []
