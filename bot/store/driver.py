"""Statements that every message needs, sent straight to the driver of SQLite, inside SQLAlchemy's transaction.

SQLAlchemy sends a statement to aiosqlite in four steps (make a cursor, execute, fetch, close), each a hop to the thread
of aiosqlite, after it has turned the statement into text. Here the text is made once, and a statement is one hop. On
PostgreSQL, where a statement is one trip to the server anyway, SQLAlchemy executes the same statements.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.engine import AdaptedConnection, Connection, Dialect

from bot.store.errors import is_closed

T = TypeVar("T")


class DriverStatement:
    """A statement of SQLAlchemy whose values all are bound parameters; its text is made once."""

    def __init__(self, statement: sa.Insert | sa.Update) -> None:
        self._statement = statement
        self._text = ""
        self._parameters: list[tuple[str, Callable[[Any], Any] | None]] = []

    def execute_many(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Execute it for each of the rows, in their order."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
            return
        self._compile(connection.dialect)
        values = [self._values(row) for row in rows]
        on_driver(connection, lambda driver: driver.executemany(self._text, values))

    def fetch(self, connection: Connection, parameters: Mapping[str, object]) -> list[Any]:
        """Execute it once and return the first column of what it returns."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._statement, parameters).scalars())
        self._compile(connection.dialect)
        values = self._values(parameters)
        rows = on_driver(connection, lambda driver: driver.execute_fetchall(self._text, values))
        return [row[0] for row in rows]

    def _compile(self, dialect: Dialect) -> None:
        if self._text:
            return
        compiled = self._statement.compile(dialect=dialect)
        for name in compiled.positiontup or ():
            kind = compiled.binds[name].type.dialect_impl(dialect)
            self._parameters.append((name, kind.bind_processor(dialect)))
        self._text = str(compiled)

    def _values(self, row: Mapping[str, object]) -> tuple[Any, ...]:
        return tuple(row[name] if convert is None else convert(row[name]) for name, convert in self._parameters)


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
