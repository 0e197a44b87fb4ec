"""What a repository is: the statements on one kind of row, each awaited as a transaction of its own.

A statement is written once, as a method over a connection, and marked `@reads` or `@writes`: the program calls the
method without the connection and awaits it. Statements run on SQLite and PostgreSQL alike, begin no transaction and
wait for nothing; what a session may do is not decided here. What is raised is `StoreUnavailable` (the database is out
of reach), `StoreError` (it refused this change), or what the statement itself raises.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.ports import Clock
from bot.store.connections import Connections
from bot.store.writer import GroupCommitWriter

T = TypeVar("T")
P = ParamSpec("P")
Owner = TypeVar("Owner", bound="Repository")

Statement = Callable[Concatenate[Owner, Connection, P], T]
Transaction = Callable[Concatenate[Owner, P], Coroutine[Any, Any, T]]


class Repository:
    """Made by `bot.store.store.Store`, which opens and closes what it works with."""

    def __init__(
        self, connections: Connections, writer: GroupCommitWriter, clock: Clock, process: str | None = None
    ) -> None:
        """process: the member of a cluster whose repository it is, where it is one's."""
        self._connections = connections
        self._writer = writer
        self._clock = clock
        self._process = process

    def _now(self, connection: Connection) -> datetime:
        """What time it is by the clock that all have: the database's, where processes share one."""
        if connection.dialect.name == "sqlite":
            return self._clock.now()
        now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now


def reads(statement: Statement[Owner, P, T]) -> Transaction[Owner, P, T]:
    """Run `statement` beside the writes of others. What it would write is not kept."""

    @wraps(statement)
    async def read(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._connections.read(lambda connection: statement(self, connection, *args, **kwargs))

    return read


def _writes(statement: Statement[Owner, P, T], *, is_patient: bool) -> Transaction[Owner, P, T]:
    @wraps(statement)
    async def write(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        @wraps(statement)
        def work(connection: Connection) -> T:
            return statement(self, connection, *args, **kwargs)

        return await self._writer.write(work, is_patient=is_patient)

    return write


def writes(statement: Statement[Owner, P, T]) -> Transaction[Owner, P, T]:
    """Run `statement` after everything that was written before; when it returns, what it wrote is on the disk.

    It may run twice where another write of the same commit fails: it has no effect outside its transaction.
    """
    return _writes(statement, is_patient=False)


def writes_patiently(statement: Statement[Owner, P, T]) -> Transaction[Owner, P, T]:
    """As `writes`, once a server that is away is back (`bot.store.writer.PATIENCE`). The statement changes nothing
    where it is run again after it was committed."""
    return _writes(statement, is_patient=True)
