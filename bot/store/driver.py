"""Statements that every message needs, sent straight to the driver of SQLite, inside SQLAlchemy's transaction.

SQLAlchemy sends a statement to aiosqlite in four steps (make a cursor, execute, fetch, close), each a hop to the thread
of aiosqlite, after it has turned the statement into text. Here the text is made once, and a statement is one hop. On
PostgreSQL the same text goes through SQLAlchemy: there a statement is one trip to the server in any case.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

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

    def execute_many(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Execute it for each of the rows, in their order."""
        text, parameters = self._text(connection.dialect)
        values = [_values(row, parameters) for row in rows]
        if connection.dialect.name == "sqlite":
            on_driver(connection, lambda driver: driver.executemany(text, values))
        else:
            connection.exec_driver_sql(text, values)

    def fetch(self, connection: Connection, row: Mapping[str, object]) -> list[Any]:
        """Execute it once and return the first column of what it returns."""
        text, parameters = self._text(connection.dialect)
        values = _values(row, parameters)
        if connection.dialect.name == "sqlite":
            return [first for first, *_ in on_driver(connection, lambda driver: driver.execute_fetchall(text, values))]
        return list(connection.exec_driver_sql(text, values).scalars())

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
