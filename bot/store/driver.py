"""Statements that every message needs, sent straight to the driver of SQLite, inside SQLAlchemy's transaction.

SQLAlchemy sends a statement to aiosqlite in four steps (make a cursor, execute, fetch, close), each a hop to the thread
of aiosqlite, after it has turned the statement into text. Here the text is made once, and all statements of a piece of
work are one hop: the work itself runs in that thread, so it is plain and short. On PostgreSQL the same text goes
through SQLAlchemy: there a statement is one trip to the server in any case.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.engine import AdaptedConnection, Connection, Dialect

from bot.store.errors import is_closed

T = TypeVar("T")

_Parameter = tuple[str, Callable[[Any], Any] | None]
"""Its name, and what makes of a value what the driver takes."""


class DriverStatement:
    """A statement of SQLAlchemy whose values all are bound parameters; its text is made once for each engine."""

    def __init__(self, statement: sa.Insert | sa.Update) -> None:
        self._statement = statement
        self._texts: dict[str, tuple[str, list[_Parameter]]] = {}

    def execute_many(self, driver: "Driver", rows: Sequence[Mapping[str, object]]) -> None:
        """Execute it for each of the rows, in their order."""
        text, parameters = self._text(driver.dialect)
        driver.execute_many(text, [_values(row, parameters) for row in rows])

    def fetch(self, driver: "Driver", row: Mapping[str, object]) -> list[Any]:
        """Execute it once and return the first column of what it returns."""
        text, parameters = self._text(driver.dialect)
        return driver.fetch(text, _values(row, parameters))

    def _text(self, dialect: Dialect) -> tuple[str, list[_Parameter]]:
        if dialect.name not in self._texts:
            compiled = self._statement.compile(dialect=dialect)
            parameters: list[_Parameter] = [
                (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
                for name in compiled.positiontup or ()
            ]
            self._texts[dialect.name] = str(compiled), parameters
        return self._texts[dialect.name]


def _values(row: Mapping[str, object], parameters: Sequence[_Parameter]) -> tuple[Any, ...]:
    return tuple(row[name] if convert is None else convert(row[name]) for name, convert in parameters)


class Driver(Protocol):
    """What a `DriverStatement` is sent to."""

    dialect: Dialect

    def execute_many(self, text: str, rows: list[tuple[Any, ...]]) -> None:
        """Execute a statement for each of the rows."""

    def fetch(self, text: str, row: tuple[Any, ...]) -> list[Any]:
        """Execute a statement and return the first column of what it returns."""


class SqliteDriver:
    """SQLite itself, for use in the thread of aiosqlite."""

    def __init__(self, dialect: Dialect, sqlite: sqlite3.Connection) -> None:
        self.dialect = dialect
        self._sqlite = sqlite

    def execute_many(self, text: str, rows: list[tuple[Any, ...]]) -> None:
        self._sqlite.executemany(text, rows)

    def fetch(self, text: str, row: tuple[Any, ...]) -> list[Any]:
        return [first for first, *_ in self._sqlite.execute(text, row).fetchall()]

    def commit(self) -> None:
        """Commit what was executed."""
        self._sqlite.commit()


class _ThroughSqlAlchemy:
    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._connection = connection

    def execute_many(self, text: str, rows: list[tuple[Any, ...]]) -> None:
        self._connection.exec_driver_sql(text, rows)

    def fetch(self, text: str, row: tuple[Any, ...]) -> list[Any]:
        return list(self._connection.exec_driver_sql(text, row).scalars())


def with_driver(connection: Connection, work: Callable[[Driver], T], *, is_last: bool = False) -> T:
    """Do `work` with the driver, within the transaction of the connection; on SQLite in one hop to its thread. is_last:
    the transaction has nothing more to do, so on SQLite it is committed in the same hop; the commit that SQLAlchemy
    asks for finds nothing to do then (`bot.store.engine`). Raises what `on_driver` raises, and what `work` does."""
    if connection.dialect.name != "sqlite":
        return work(_ThroughSqlAlchemy(connection))

    def in_thread(sqlite: SqliteDriver) -> T:
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
