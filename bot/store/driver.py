"""Statements that every message needs, sent straight to the driver of SQLite, inside SQLAlchemy's transaction.

SQLAlchemy sends a statement to aiosqlite in four steps (make a cursor, execute, fetch, close), each a hop to the thread
of aiosqlite, after it has turned the statement into text. Here the text is made once, and all statements of a piece of
work are one hop: the work itself runs in that thread, so it is plain and short. On PostgreSQL the same text goes
through SQLAlchemy: there a statement is one trip to the server in any case.

Python gives its lock away for each row that SQLite is given (`executemany`) or asked for (`RETURNING`), and under load
waits for the event loop before it has it back: 38 rows took 13 ms, of which SQLite worked 1.8 (measured). So here a
statement is about all rows at once, and no rows come back where there is another way.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol, TypeVar, cast

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.engine import AdaptedConnection, Connection, Dialect

from bot.store.errors import is_closed

T = TypeVar("T")

MAX_ROWS = 128
"""Of one statement. To make the text for so many takes some milliseconds, once."""

Row = Sequence[object]
"""The values of one row, in the order of the columns."""


class BatchStatement:
    """A statement about many rows at once; its text is made once for each engine and size."""

    def __init__(
        self,
        columns: Iterable[sa.Column[Any]],
        about: Callable[[str, sa.CTE], sa.Insert | sa.Update | sa.Select[Any]],
    ) -> None:
        """columns: of the rows; the first one is never null. about: makes the statement for an engine from a table of
        the rows, in which it minds none whose first column is null: with those the table is filled up to a power of
        two, so that a dozen statements are prepared, not a thousand."""
        self._columns = tuple(columns)
        self._about = about
        self._texts: dict[tuple[str, int], str] = {}
        self._conversions: dict[str, list[tuple[int, Callable[[Any], Any]]]] = {}

    def execute(self, driver: "Driver", rows: Sequence[Row]) -> None:
        """Execute it for the rows."""
        for text, values in self._batches(driver.dialect, rows):
            driver.execute(text, values)

    def fetch(self, driver: "Driver", rows: Sequence[Row]) -> list[Any]:
        """Execute it for the rows and return the first column of what it returns."""
        return [first for text, values in self._batches(driver.dialect, rows) for first in driver.fetch(text, values)]

    def _batches(self, dialect: Dialect, rows: Sequence[Row]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The texts that are needed for the rows, each with its values."""
        width = len(self._columns)
        for start in range(0, len(rows), MAX_ROWS):
            batch = rows[start : start + MAX_ROWS]
            size = 1 << (len(batch) - 1).bit_length()
            values: list[Any] = list(chain.from_iterable(batch))
            for place, convert in self._conversions_for(dialect):
                values[place::width] = map(convert, values[place::width])
            values += [None] * ((size - len(batch)) * width)
            yield self._text(dialect, size), tuple(values)

    def _conversions_for(self, dialect: Dialect) -> list[tuple[int, Callable[[Any], Any]]]:
        """Which columns the driver takes otherwise than we have them, and how."""
        if dialect.name not in self._conversions:
            processors = (column.type.dialect_impl(dialect).bind_processor(dialect) for column in self._columns)
            self._conversions[dialect.name] = [
                (place, processor) for place, processor in enumerate(processors) if processor is not None
            ]
        return self._conversions[dialect.name]

    def _text(self, dialect: Dialect, size: int) -> str:
        if (dialect.name, size) not in self._texts:
            rows = sa.values(*(sa.column(column.name, column.type) for column in self._columns)).data(
                [
                    tuple(sa.bindparam(f"{column.name}_{number}", type_=column.type) for column in self._columns)
                    for number in range(size)
                ]
            )
            statement = self._about(dialect.name, rows.cte("given"))
            self._texts[dialect.name, size] = str(statement.compile(dialect=dialect))
        return self._texts[dialect.name, size]


class Driver(Protocol):
    """What a `BatchStatement` is sent to."""

    dialect: Dialect

    def execute(self, text: str, values: tuple[Any, ...]) -> None:
        """Execute a statement."""

    def fetch(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        """Execute a statement and return the first column of what it returns."""


class SqliteDriver:
    """SQLite itself, for use in the thread of aiosqlite, in a transaction that writes."""

    def __init__(self, dialect: Dialect, sqlite: sqlite3.Connection) -> None:
        self.dialect = dialect
        self._sqlite = sqlite

    def begin(self) -> None:
        """Take the write lock, unless this transaction has it. Python's sqlite3 does so before an INSERT, but not
        before the `WITH` that our statements begin with."""
        if not self._sqlite.in_transaction:
            self._sqlite.execute("BEGIN IMMEDIATE")

    def execute(self, text: str, values: tuple[Any, ...]) -> None:
        self._sqlite.execute(text, values)

    def fetch(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        return [first for first, *_ in self._sqlite.execute(text, values).fetchall()]

    def commit(self) -> None:
        """Commit what was executed."""
        self._sqlite.commit()


class _ThroughSqlAlchemy:
    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._connection = connection

    def execute(self, text: str, values: tuple[Any, ...]) -> None:
        self._connection.exec_driver_sql(text, values)

    def fetch(self, text: str, values: tuple[Any, ...]) -> list[Any]:
        return list(self._connection.exec_driver_sql(text, values).scalars())


def with_driver(connection: Connection, work: Callable[[Driver], T], *, is_last: bool = False) -> T:
    """Do `work` with the driver, within the transaction of the connection; on SQLite in one hop to its thread. is_last:
    the transaction has nothing more to do, so on SQLite it is committed in the same hop; the commit that SQLAlchemy
    asks for finds nothing to do then (`bot.store.engine`). Raises what `on_driver` raises, and what `work` does."""
    if connection.dialect.name != "sqlite":
        return work(_ThroughSqlAlchemy(connection))

    def in_thread(sqlite: SqliteDriver) -> T:
        sqlite.begin()
        result = work(sqlite)
        if is_last:
            sqlite.commit()
        return result

    async def hop(driver: aiosqlite.Connection) -> T:
        # aiosqlite offers no public way to call a function in its thread.
        call_in_thread = cast("Callable[..., Awaitable[T]]", driver._execute)  # noqa: SLF001
        return await call_in_thread(in_thread, SqliteDriver(connection.dialect, driver._conn))  # noqa: SLF001

    return on_driver(connection, hop)


def on_driver(connection: Connection, call: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
    """Await what `call` does with aiosqlite's connection, from inside a function that SQLAlchemy runs.

    Raises `sqlite3.Error`, also where the connection is closed; SQLAlchemy opens another one then for the next
    transaction.
    """

    async def translate_closed(driver: aiosqlite.Connection) -> T:
        try:
            return await call(driver)
        except ValueError as error:
            if not is_closed(error):
                raise
            raise sqlite3.OperationalError(str(error)) from None

    adapted = cast("AdaptedConnection", connection.connection.dbapi_connection)
    try:
        return adapted.run_async(translate_closed)
    except sqlite3.OperationalError as error:
        if is_closed(error):
            connection.invalidate()
        raise
