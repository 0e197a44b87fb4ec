"""The rows of the processes that share the database: join, beat, look at the others, end one that is dead, leave.

On connections of its own and beside the store, whose writer may be busy for as long as it likes: a beat must not wait.
Knows statements and time limits; who is dead is decided in `bot.cluster.membership`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.engine import WRITES, create_engine
from bot.store.errors import driver_errors, translate_error
from bot.store.tables import processes
from bot.store.url import DatabaseUrl

BEAT_LIMIT = 1.5
"""Seconds that a beat may take, and that connecting for it may: real ones, whatever the clock of the program is."""

STATEMENT_LIMIT = 5.0
"""Seconds for every other statement here, connecting included. A beat goes on meanwhile."""

LOCK_LIMIT = "2500ms"
"""How long the end of another process waits for its transactions, of which none stays open for more than
`bot.store.engine.IDLE_IN_TRANSACTION`."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that has joined. `is_leaving`: it takes no more sessions, as it ends, or is a command of the shell."""

    id: str
    beat: int
    host: str
    pid: int
    version: str
    is_leaving: bool
    started_at: datetime

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class ProcessRows:
    """The table of processes at `address`. Every method raises `StoreError` where it cannot be read or written."""

    def __init__(self, address: DatabaseUrl) -> None:
        self._address = address
        engine = create_engine(address)
        # On SQLite a transaction that writes takes the lock first; on PostgreSQL one statement is one transaction.
        options = {WRITES: True} if address.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._engine = engine.execution_options(**options)
        self._kept: AsyncConnection | None = None
        self._open = AsyncExitStack()

    async def close(self) -> None:
        """Give the connections back."""
        await self._drop_kept()
        await self._engine.dispose()

    async def join(self, process: Process, *, alone: bool = False) -> None:
        """Insert the row. alone: every other process is surely dead, so their rows go in the same transaction."""
        async with self._connected() as connection, _transaction(connection):
            if alone:
                await connection.execute(processes.delete())
            await connection.execute(processes.insert(), [{name: getattr(process, name) for name in _COLUMNS}])

    async def beat(self, process_id: str) -> tuple[list[Process], bool]:
        """Note that a process lives: everybody's rows, as they were before, and whether it is the first look over this
        connection. Without its own among them it is no member any more. PostgreSQL only; one statement, on a connection
        that is kept."""
        is_new = self._kept is None
        try:
            async with asyncio.timeout(BEAT_LIMIT):
                if self._kept is None:
                    self._kept = await self._open.enter_async_context(self._engine.connect())
            async with asyncio.timeout(BEAT_LIMIT):
                rows = (await self._kept.execute(_BEAT, {"me": process_id})).all()
        except driver_errors() as error:
            await self._drop_kept()
            raise translate_error(error, self._address) from None
        except BaseException:
            await self._drop_kept()
            raise
        return [Process(*row) for row in rows], is_new

    async def end(self, process: Process) -> bool:
        """Delete the row of a process that is dead, if it has not beaten since. From then on it can write nothing, and
        its sessions are free. Waits for its transactions that have begun."""
        condition = processes.c.id == process.id, processes.c.beat == process.beat
        async with self._connected() as connection, _transaction(connection):
            if not self._address.is_sqlite:
                await connection.execute(_SET, {"name": "lock_timeout", "value": LOCK_LIMIT})
            ended = (await connection.execute(processes.delete().where(*condition))).rowcount > 0
            if ended and not self._address.is_sqlite:
                # One that is stopped listens no more, and would keep what is sent to it at the server.
                await connection.execute(_HANG_UP, {"name": bus_name(process.id)})
            return ended

    async def announce_leaving(self, process_id: str) -> None:
        """Note that a process takes no more sessions, as it ends."""
        async with self._connected() as connection, _transaction(connection):
            update = processes.update().where(processes.c.id == process_id)
            await connection.execute(update.values(is_leaving=True))

    async def leave(self, process_id: str) -> None:
        """Delete the row of a process that ends by itself."""
        async with self._connected() as connection, _transaction(connection):
            await connection.execute(processes.delete().where(processes.c.id == process_id))

    async def everybody(self) -> list[Process]:
        """The rows, those that joined first first."""
        async with self._connected() as connection:
            query = sa.select(processes).order_by(processes.c.started_at, processes.c.id)
            return [Process(*row) for row in await connection.execute(query)]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(STATEMENT_LIMIT), self._engine.connect() as connection:
                yield connection
        except driver_errors() as error:
            raise translate_error(error, self._address) from None
        finally:
            if self._address.is_sqlite:
                # None stays open while somebody else here opens and closes the file (`DatabaseUrl.create_file`): that
                # would end the locks of this process on it (https://www.sqlite.org/howtocorrupt.html, 2.2), and the
                # next program to leave the database would take its WAL away.
                await self._engine.dispose()

    async def _drop_kept(self) -> None:
        connection, self._kept = self._kept, None
        if connection is not None:
            # One that is invalid would be opened again to be asked for.
            if not connection.closed and not connection.invalidated:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                # At once: to say goodbye to a server that does not answer takes 2 s.
                raw.terminate()
            await connection.invalidate()
        await self._open.aclose()


@asynccontextmanager
async def _transaction(connection: AsyncConnection) -> AsyncIterator[None]:
    async with connection.begin():
        yield


def bus_name(process_id: str) -> str:
    """What the connections of a process's bus (`bot.cluster.bus`) are called at the server."""
    return f"avatar-relay bus {process_id}"


_COLUMNS = tuple(processes.c.keys())
_SET = sa.text("SELECT set_config(:name, :value, false)")
_HANG_UP = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name")
_BEATEN = (
    processes.update()
    .where(processes.c.id == sa.bindparam("me"))
    .values(beat=processes.c.beat + 1)
    .returning(processes.c.id)
    .cte("beaten")
)
# What is read is what was there before the statement, its own change included.
_BEAT = sa.select(processes).add_cte(_BEATEN)


async def members_of(address: DatabaseUrl) -> Sequence[Process]:
    """The processes that have joined at `address`, dead ones that nobody has ended included."""
    rows = ProcessRows(address)
    try:
        return await rows.everybody()
    finally:
        await rows.close()
