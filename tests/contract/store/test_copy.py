"""All rows of one database in another one: from SQLite to PostgreSQL, back, and between two of a kind."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.errors import StoreError, StoreUnavailable
from bot.core.models import AuditEntry
from bot.store import copy as copying
from bot.store import migrate, tables
from bot.store.column_types import UtcDateTime
from bot.store.copy import OF_PROCESSES, copied_tables, copy, filled_tables
from bot.store.processes import Process, ProcessRows, members_of
from bot.store.store import Store
from bot.store.tables import metadata
from bot.store.url import DatabaseUrl, parse_url
from tests.builders import NOON
from tests.harness.clock import ManualClock
from tests.harness.cluster import a_process

WAYS = [
    "sqlite to sqlite",
    pytest.param("sqlite to postgresql", marks=pytest.mark.postgres),
    pytest.param("postgresql to sqlite", marks=pytest.mark.postgres),
    pytest.param("postgresql to postgresql", marks=pytest.mark.postgres),
]

ROWS = 31
"""Rows of each table, in batches of 7: a last one is smaller."""

AT_ONCE = 7


class Databases:
    """Two with their tables: one full, one empty."""

    def __init__(self, source: str, target: str) -> None:
        self.urls = {"source": source, "target": target}
        self.source, self.target = parse_url(source), parse_url(target)

    async def rows(self, which: str) -> dict[str, list[tuple[Any, ...]]]:
        def read(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
            return {
                table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
                for table in metadata.sorted_tables
            }

        return await migrate.over_connection(self.urls[which], read)

    async def change(self, which: str, statement: sa.Executable, *rows: dict[str, Any]) -> None:
        await migrate.over_connection(
            self.urls[which], lambda connection: connection.execute(statement, list(rows) or None)
        )

    async def dead(self) -> list[Process]:
        of_postgresql = [address for address in (self.source, self.target) if not address.is_sqlite]
        return [process for address in of_postgresql for process in await members_of(address)]

    async def copy(self) -> dict[str, int]:
        return await copy(self.source, self.target, await self.dead())


def a_value(column: sa.Column[Any], number: int) -> Any:
    """Something for the column of the so many-th row; the empty one now and then, where there may be none."""
    for key in column.foreign_keys:
        return a_value(key.column, number)
    if column.nullable and number % 3 == 2:
        return None
    match column.type:
        case sa.Enum(enum_class=kind):
            assert kind is not None
            return list(kind)[number % len(kind)]
        case UtcDateTime():
            return NOON + timedelta(microseconds=number * 1_000_001)
        case sa.Boolean():
            return number == 0
        case sa.Float():
            return number / 3
        case sa.Integer():
            return 2**31 + number if isinstance(column.type, sa.BigInteger) else 10 + number
        case _:
            return f"{column.table.name}.{column.name} {number} – 'é' \"🎭\" \\ % \n"


async def fill(url: str) -> None:
    """Rows in every table, whatever tables there are."""

    def insert(connection: Connection) -> None:
        for table in metadata.sorted_tables:
            rows = [{column.name: a_value(column, number) for column in table.c} for number in range(ROWS)]
            connection.execute(table.insert(), rows)

    await migrate.over_connection(url, insert)


@pytest.fixture(params=WAYS)
async def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    urls: list[str] = []
    for engine in request.param.split(" to "):
        if engine == "sqlite":
            urls.append(f"sqlite:///{tmp_path / f'{len(urls)}.db'}")
        else:
            make: Callable[[], str] = request.getfixturevalue("new_postgres_url")
            urls.append(await asyncio.to_thread(make))
        await migrate.upgrade(urls[-1])
    await fill(urls[0])
    return Databases(*urls)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", AT_ONCE)


def test_what_is_copied_is_every_table_but_those_of_processes() -> None:
    assert {table.name for table in copied_tables()} == set(metadata.tables) - set(OF_PROCESSES)
    assert "processes" in metadata.tables


async def test_every_row_arrives_as_it_is_and_nothing_of_the_processes(databases: Databases) -> None:
    before = await databases.rows("source")
    counts = await databases.copy()
    assert counts == {table.name: ROWS for table in copied_tables()}
    assert await databases.rows("source") == before
    arrived = await databases.rows("target")
    assert {name: arrived.pop(name, []) for name in OF_PROCESSES} == {name: [] for name in OF_PROCESSES}
    for name in OF_PROCESSES:
        before.pop(name, None)
    owner = metadata.tables["sessions"].c.keys().index("owner")
    before["sessions"] = [(*row[:owner], None, *row[owner + 1 :]) for row in before["sessions"]]
    assert arrived == before


async def test_the_next_entry_of_the_audit_comes_after_those_that_were_copied(databases: Databases) -> None:
    await databases.copy()
    async with await Store.open(databases.urls["target"], ManualClock()) as store:
        for action in ("one", "two"):
            await store.audit.add(AuditEntry(NOON, "shell:operator", action))
        assert [entry.action for entry in await store.audit.newest(2)] == ["two", "one"]


async def test_the_first_entry_of_an_empty_audit_can_be_written(databases: Databases) -> None:
    await databases.change("source", tables.audit.delete())
    await databases.copy()
    async with await Store.open(databases.urls["target"], ManualClock()) as store:
        await store.audit.add(AuditEntry(NOON, "shell:operator", "one"))
        assert [entry.action for entry in await store.audit.newest(2)] == ["one"]


async def test_a_target_that_has_rows_is_left_as_it_is(databases: Databases) -> None:
    block = {"person": "discord:1", "workspace": "", "blocked_by": "shell:operator", "at": NOON}
    await databases.change("target", tables.blocks.insert(), block)
    assert await migrate.over_connection(databases.urls["target"], filled_tables) == ["blocks"]
    before = await databases.rows("target")
    with pytest.raises(StoreUnavailable, match=r"has got rows meanwhile \(blocks\): nothing was copied"):
        await databases.copy()
    assert await databases.rows("target") == before


async def test_a_copy_that_fails_in_the_middle_leaves_an_empty_target(databases: Databases) -> None:
    """The last table is the one that the target does not take."""
    last = copied_tables()[-1]
    obstacle = sa.text(f"CREATE UNIQUE INDEX obstacle ON {last.name} ((session_id > ''))")
    await databases.change("target", obstacle)
    with pytest.raises(StoreError, match="refused a change that breaks a rule"):
        await databases.copy()
    assert not any((await databases.rows("target")).values())
    await databases.change("target", sa.text("DROP INDEX obstacle"))
    assert (await databases.copy())["sessions"] == ROWS


async def test_of_two_copies_into_one_target_one_is_refused(databases: Databases) -> None:
    both = await asyncio.gather(databases.copy(), databases.copy(), return_exceptions=True)
    done, refused = sorted(both, key=lambda result: isinstance(result, Exception))
    assert isinstance(done, dict)
    assert isinstance(refused, StoreUnavailable)
    assert len((await databases.rows("target"))["sessions"]) == ROWS


@pytest.mark.parametrize("which", ["source", "target"])
@pytest.mark.parametrize("has_beaten", [True, False])
async def test_a_process_that_has_joined_or_beaten_meanwhile_is_noticed(
    databases: Databases, which: str, has_beaten: bool
) -> None:
    address: DatabaseUrl = getattr(databases, which)
    if address.is_sqlite:
        pytest.skip("the lock of the file keeps processes away")
    seen = await databases.dead()
    joined = a_process("joined", beat=7)
    rows = ProcessRows(address)
    await rows.join(joined)
    await rows.close()
    if has_beaten:
        seen.append(replace(joined, beat=6))
    with pytest.raises(StoreUnavailable, match=r"an avatar-relay has started on .* meanwhile: nothing was copied"):
        await copy(databases.source, databases.target, seen)
    assert not any(rows for name, rows in (await databases.rows("target")).items() if name not in OF_PROCESSES)


async def test_a_character_that_postgresql_does_not_take_is_left_out(tmp_path: Path, databases: Databases) -> None:
    if not databases.source.is_sqlite:
        pytest.skip("PostgreSQL has no such text")
    entry = {"id": 1, "at": NOON, "actor": "a\0b", "action": "one\0"}
    await databases.change("source", tables.audit.insert(), entry)
    await databases.copy()
    async with await Store.open(databases.urls["target"], ManualClock()) as store:
        assert AuditEntry(NOON, "ab", "one") in await store.audit.newest(100)
