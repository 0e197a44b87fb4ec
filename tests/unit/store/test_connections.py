"""The connections to a SQLite file: who is cancelled breaks nothing, reading goes on beside writing, and a program that
dies does not hang in the threads of aiosqlite."""

import asyncio
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.errors import StoreUnavailable
from bot.core.models import UtteranceState
from bot.store import migrate
from bot.store.connections import Connections
from bot.store.engine import READERS
from bot.store.store import Store
from bot.store.url import parse_url
from tests.builders import NOON, a_session, an_utterance
from tests.harness.blank_database import make_database
from tests.harness.clock import ManualClock
from tests.harness.sqlite import reading_driver, writing_driver
from tests.harness.write_faults import WriteFaults

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    await make_database(url)
    return url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with await Store.open(url, ManualClock()) as store:
        yield store


class Held:
    """A function of SQL, `held(value)`, that waits in aiosqlite's thread until the test lets go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, value: str) -> str:
        self.begun.set()
        assert self.let_go.wait(10)
        return value


async def test_a_reader_that_is_cancelled_in_the_middle_of_a_statement_breaks_nothing(store: Store) -> None:
    session = await store.sessions.open(a_session())
    held = Held()
    await (await reading_driver(store)).create_function("held", 1, held)

    def slow(connection: Connection) -> object:
        return connection.execute(sa.text("SELECT held('x')")).scalar_one()

    reading = asyncio.create_task(store._connections.read(slow))
    await asyncio.to_thread(held.begun.wait, 10)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    # Others read and write while the statement is still under way, and its connection is used again afterwards.
    assert await store.sessions.all_open() == [session]
    assert await store.utterances.accept(["key"], an_utterance(session))
    held.let_go.set()
    for _ in range(READERS + 1):
        assert await store.sessions.all_open() == [session]


async def test_a_store_that_is_closed_waits_for_what_is_being_read(url: str) -> None:
    store = await Store.open(url, ManualClock())
    held = Held()
    await (await reading_driver(store)).create_function("held", 1, held)
    reading = asyncio.create_task(
        store._connections.read(lambda connection: connection.execute(sa.text("SELECT held('x')")).scalar_one())
    )
    await asyncio.to_thread(held.begun.wait, 10)
    closing_it = asyncio.create_task(store.close())
    await asyncio.wait([closing_it], timeout=0.1)
    assert not closing_it.done()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.sessions.all_open()
    held.let_go.set()
    assert await reading == "x"
    await closing_it


async def test_many_read_at_once_and_one_writes_beside_them(store: Store) -> None:
    session = await store.sessions.open(a_session())
    reads = [store.sessions.get(session.id) for _ in range(20 * READERS)]
    *found, accepted = await asyncio.gather(*reads, store.utterances.accept(["key"], an_utterance(session)))
    assert found == [session] * (20 * READERS)
    assert accepted


async def test_what_a_reader_writes_is_not_kept(url: str) -> None:
    connections = await Connections.open(parse_url(url))
    await connections.read(lambda connection: connection.execute(sa.text("DELETE FROM alembic_version")))
    assert (
        await connections.read(lambda c: c.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar_one()) == 1
    )
    await connections.close()


async def test_the_connections_are_as_safe_as_they_should_be(store: Store) -> None:
    for driver in (await writing_driver(store), await reading_driver(store)):
        for pragma, expected in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert list(await driver.execute_fetchall(f"PRAGMA {pragma}")) == [(expected,)]
    begun: list[str] = []
    await (await writing_driver(store)).set_trace_callback(begun.append)
    session = await store.sessions.open(a_session())
    await store.utterances.accept(["key"], an_utterance(session))
    await store.utterances.mark_in_flight_unknown([session.id])
    assert [line for line in begun if line.startswith(("BEGIN", "COMMIT", "ROLLBACK"))] == (
        ["BEGIN IMMEDIATE", "COMMIT"] * 3
    )


async def test_a_message_takes_one_statement_a_table_however_many_there_are(store: Store) -> None:
    session = await store.sessions.open(a_session())
    utterances = [an_utterance(session) for _ in range(64)]
    statements: list[str] = []
    await (await writing_driver(store)).set_trace_callback(lambda line: statements.append(_kind(line)))
    await asyncio.gather(*(store.utterances.accept([utterance.id], utterance) for utterance in utterances))
    await asyncio.gather(*(store.utterances.advance(utterance.id, UtteranceState.SPEAKING) for utterance in utterances))
    assert statements == [
        *("BEGIN IMMEDIATE", "SELECT", "INSERT INTO processed_events", "INSERT INTO utterances", "COMMIT"),
        *("BEGIN IMMEDIATE", "UPDATE utterances", "COMMIT"),
    ]


def _kind(statement: str) -> str:
    found = re.search(r"BEGIN IMMEDIATE|COMMIT|(INSERT INTO|UPDATE) \w+|SELECT", statement)
    return statement if found is None else found[0]


async def test_what_the_version_before_wrote_is_read_and_written_alike(url: str, tmp_path: Path) -> None:
    """The driver is given the same text for a moment and a state as SQLAlchemy gave it."""
    before = {
        "sessions": (
            "s1", "slack", "T1", "C1", "liveavatar", "live", "repeat", "ava", "", "low", "n", "U1", "Ana",
            "2026-01-01 12:00:00.000000", "2026-01-01 12:00:01.500000", None, None, None, None, None, None, None,
        ),
        "utterances": (
            "u1", "s1", "repeat", "Hello.", "U1", "Ana", "sending", "2026-01-01 12:00:02.000001", "M1", None, None,
        ),
        "processed_events": ("slack:1", "2026-01-01 12:00:02.000001"),
    }  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection, connection:
        for table, row in before.items():
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - our own names
    await migrate.upgrade(url)
    async with await Store.open(url, ManualClock()) as store:
        (session,) = await store.sessions.all_open()
        assert not await store.utterances.accept(["slack:1"], an_utterance(session))
        await store.utterances.mark_in_flight_unknown(["s1"])
        ((utterance,),) = (await store.doubts.of_sessions(["s1"])).values()
        assert (utterance.id, utterance.state, utterance.accepted_at.microsecond) == ("u1", UtteranceState.UNKNOWN, 1)
        await store.utterances.accept(["slack:2"], an_utterance(session, id="u2", accepted_at=NOON))
        await store.utterances.advance("u2", UtteranceState.SPOKEN)
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
        query = "SELECT state, accepted_at, length(accepted_at), length(ended_at) FROM utterances WHERE id = 'u2'"
        assert connection.execute(query).fetchone() == ("spoken", f"{NOON:%Y-%m-%d %H:%M:%S.%f}", 26, 26)
        assert connection.execute("SELECT length(seen_at) FROM processed_events").fetchall() == [(26,)] * 2


CRASH = """
import asyncio, sys
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock

async def main():
    store = await Store.open(sys.argv[1], ManualClock())
    session = await store.sessions.open(a_session())
    writes = [asyncio.create_task(store.utterances.accept([str(n)], an_utterance(session))) for n in range(200)]
    reads = [asyncio.create_task(store.sessions.get(session.id)) for n in range(200)]
    await asyncio.sleep(float(sys.argv[2]))
    raise SystemExit(7)

asyncio.run(main())
"""


@pytest.mark.parametrize("seconds", ["0", "0.002", "0.01"])
async def test_a_program_that_ends_in_the_middle_does_not_hang(url: str, seconds: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CRASH, url, seconds, cwd=ROOT, stderr=subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 7, errors.decode()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_commit_that_is_under_way_is_finished_when_its_caller_is_cancelled(url: str) -> None:
    class Cancels(WriteFaults):
        caller: asyncio.Task[bool] | None = None

        async def after_work(self, _: object) -> None:
            if self.caller is not None:
                self.caller.cancel()

    faults = Cancels()
    async with await Store.open(url, ManualClock(), wrap_begin=faults.wrap) as store:
        session = await store.sessions.open(a_session())
        faults.caller = asyncio.create_task(store.utterances.accept(["key"], an_utterance(session)))
        with pytest.raises(asyncio.CancelledError):
            await faults.caller
        assert not await store.utterances.accept(["key"], an_utterance(session))
        assert len((await store.utterances.queued([session.id]))[session.id]) == 1
