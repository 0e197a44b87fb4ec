"""Copies all rows of one database into another one, from SQLite to PostgreSQL and back.

One transaction reads and one writes: an end in the middle leaves the target as it was. Which processes there were is
not copied, nor what belonged to them. Who may copy what, and how it is told, is decided in `bot.cli.copy`.
"""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import StoreError, StoreUnavailable
from bot.store.engine import WRITES, create_engine
from bot.store.errors import driver_errors, translate_error
from bot.store.processes import Process
from bot.store.tables import metadata, processes
from bot.store.url import DatabaseUrl

OF_PROCESSES = ("processes", "shards", "shard_sharers", "shard_tickets")
"""Tables that say who runs now. Those of the target are its own."""

ROWS_AT_ONCE = 1000
"""Rows in memory, and in a statement."""


def copied_tables() -> list[sa.Table]:
    """Every table that is copied; one that others refer to comes before them."""
    return [table for table in metadata.sorted_tables if table.name not in OF_PROCESSES]


def filled_tables(connection: Connection) -> list[str]:
    """The names of the tables that are copied and have rows here, of those that are there."""
    there = sa.inspect(connection)
    return [
        table.name
        for table in copied_tables()
        if there.has_table(table.name)
        and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None
    ]


async def copy(source: DatabaseUrl, target: DatabaseUrl, dead: Collection[Process]) -> dict[str, int]:
    """Copy every row, and return how many each table had. Both databases have their tables.

    dead: the processes with a row on PostgreSQL, as they were when it was seen that they do not beat. Nobody can join
    or beat there until the copy is done; the file of SQLite has to be locked by the caller. Raises `StoreUnavailable`
    if another process has joined or beaten meanwhile or if the target has got rows, and other `StoreError`.
    """
    async with _opened(source) as reading, _opened(target) as writing:
        for database in (reading, writing):
            await database.keep_processes_away(dead)
        if filled := await writing.connection.run_sync(filled_tables):
            raise StoreUnavailable(f"{target} has got rows meanwhile ({', '.join(filled)}): nothing was copied")
        counts = {table.name: await _copy_table(table, reading, writing) for table in copied_tables()}
        if not target.is_sqlite:
            await _set_sequences(writing.connection)
    return counts


@dataclass(frozen=True, slots=True)
class _Database:
    """One of the two, in a transaction."""

    address: DatabaseUrl
    connection: AsyncConnection

    @contextmanager
    def translating(self) -> Iterator[None]:
        """What fails in the block is told of this database."""
        try:
            yield
        except driver_errors() as error:
            raise translate_error(error, self.address) from None

    async def keep_processes_away(self, dead: Collection[Process]) -> None:
        """Until the transaction ends, on PostgreSQL."""
        if self.address.is_sqlite:
            return
        known = {(process.id, process.beat) for process in dead}
        with self.translating():
            # First of all: a transaction sees what is there at its first query. Another copy waits here as well.
            await self.connection.execute(sa.text("LOCK TABLE processes IN SHARE ROW EXCLUSIVE MODE"))
            found = await self.connection.execute(sa.select(processes.c.id, processes.c.beat))
        if not known.issuperset(map(tuple, found)):
            raise StoreUnavailable(f"an avatar-relay has started on {self.address} meanwhile: nothing was copied")

    async def count(self, table: sa.Table) -> int:
        """How many rows there are."""
        with self.translating():
            found = await self.connection.execute(sa.select(sa.func.count()).select_from(table))
        return found.scalar_one()


@asynccontextmanager
async def _opened(address: DatabaseUrl) -> AsyncIterator[_Database]:
    """The database in a transaction that is committed at the end of the block."""
    options = {WRITES: True} if address.is_sqlite else {"isolation_level": "REPEATABLE READ"}
    engine = create_engine(address)
    try:
        async with engine.execution_options(**options).begin() as connection:
            yield _Database(address, connection)
    except driver_errors() as error:
        raise translate_error(error, address) from None
    finally:
        await engine.dispose()


async def _copy_table(table: sa.Table, source: _Database, target: _Database) -> int:
    # Of a process that is not copied nothing is left to refer to.
    columns = [sa.null().label(column.name) if _is_of_processes(column) else column for column in table.c]
    count = 0
    with source.translating():
        result = await source.connection.stream(sa.select(*columns).execution_options(yield_per=ROWS_AT_ONCE))
    while True:
        with source.translating():
            rows = await result.fetchmany(ROWS_AT_ONCE)
        if not rows:
            break
        copied = [dict(zip(table.c.keys(), row, strict=True)) for row in rows]
        with target.translating():
            await target.connection.execute(table.insert(), list(map(_without_nul, copied)))
        count += len(rows)
    expected, arrived = await source.count(table), await target.count(table)
    if not count == expected == arrived:
        raise StoreError(
            f"{source.address} has {expected} rows in {table.name}, of which {count} were read and {arrived} have "
            f"arrived in {target.address}: nothing was copied"
        )
    return count


def _is_of_processes(column: sa.Column[object]) -> bool:
    return any(key.column.table.name in OF_PROCESSES for key in column.foreign_keys)


def _without_nul(row: dict[str, object]) -> dict[str, object]:
    """SQLite's text may hold the character 0, which PostgreSQL's cannot."""
    return {name: value.replace("\0", "") if type(value) is str else value for name, value in row.items()}


async def _set_sequences(target: AsyncConnection) -> None:
    """Have PostgreSQL go on after the largest number that was copied."""
    for table in copied_tables():
        column = table.autoincrement_column
        if column is not None:
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            next_number = sa.func.coalesce(sa.select(sa.func.max(column)).scalar_subquery(), 0) + 1
            await target.execute(sa.select(sa.func.setval(sequence, next_number, sa.false())))
