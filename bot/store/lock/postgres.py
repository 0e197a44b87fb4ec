"""The lock of a PostgreSQL database: a session-level advisory lock, released by the server however the process ends.

It is held on a connection of its own, outside of every transaction, per database and schema. Whoever asks finds the
process and its machine in that connection's `application_name`. Behind pgbouncer in transaction mode a session is not
ours alone, so there the lock says nothing: connect past it.
"""

import asyncio
import os
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import StoreError, StoreUnavailable
from bot.core.ports import Clock
from bot.store.engine import create_engine
from bot.store.errors import driver_errors, translate_error
from bot.store.url import DatabaseUrl

OWNER_LOCK = 0x6F776E72
"""The first key of the advisory lock; the second one stands for the schema."""

CHECK_EVERY = 5.0
CHECK_TIMEOUT = 5.0
"""Seconds between looks at the lock's connection, and for one. A connection that is cut is noticed at once; the looks
find one that has fallen silent, and keep an `idle_session_timeout` away."""

_NAME = "avatar-relay, "

_SESSION = {
    # Without these a server believes in the connection of a machine that lost its power for two hours (Linux,
    # tcp_keepalive_time), and nobody could take over: so it is 11 s, less than a new process waits.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "11000",
}

_PLACE = sa.text("SELECT current_schema(), pg_is_in_recovery()")
_MYSELF = sa.text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
_SET = sa.text("SELECT set_config(:name, :value, false)")
_TRY = sa.text("SELECT pg_try_advisory_lock(CAST(:key AS int), CAST(:schema AS int))")
_ALIVE = sa.text("SELECT 1")
_END = sa.text("SELECT pg_terminate_backend(:pid)")
# Two keys of 32 bits are `classid` and `objid`, marked by an `objsubid` of 2:
# https://www.postgresql.org/docs/current/view-pg-locks.html
_HOLDER = sa.text(
    "SELECT l.pid, a.backend_start, a.application_name, host(a.client_addr) "
    "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 "
    "AND l.classid = CAST(:key AS oid) AND l.objid = CAST(:schema AS oid) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True, slots=True)
class _Backend:
    """A session of the server. What others may not see of it is None."""

    pid: int
    started: datetime | None
    name: str | None = None
    client: str | None = None

    def is_same(self, other: "_Backend | None") -> bool:
        return other is not None and self.pid == other.pid and self.started in (None, other.started)

    def __str__(self) -> str:
        who = (self.name or "").removeprefix(_NAME) or "process unknown"
        came_from = f"from {self.client}" if self.client else ""
        since = f"since {self.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.started else ""
        connected = " ".join(word for word in ("connected", came_from, since) if word)
        return f"{who}, {connected}" if came_from or since else who


class AdvisoryLock:
    """The lock of the database at `address`, with the connection that holds it."""

    def __init__(self, address: DatabaseUrl, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._open = AsyncExitStack()
        self._connection: AsyncConnection | None = None
        self._backend: _Backend | None = None
        self._look = asyncio.Event()

    async def take(self) -> str | None:
        """See `bot.store.lock.instance.Lock`."""
        await self.give_back()
        try:
            async with AsyncExitStack() as stack:
                connection = await stack.enter_async_context(_connected(self._address))
                other = await self._take_over(connection)
                if other is None:
                    self._connection, self._open = connection, stack.pop_all()
                return None if other is None else str(other)
        except driver_errors() as error:
            raise translate_error(error, self._address) from None

    async def give_back(self) -> None:
        """See `bot.store.lock.instance.Lock`. The server releases the lock as the connection ends."""
        self._connection = None
        await self._open.aclose()

    async def lost(self) -> str:
        """See `bot.store.lock.instance.Lock`."""
        while True:
            if (error := await self._trouble()) is not None:
                await self.give_back()
                return str(error)
            self._look.clear()
            timer = self._clock.call_later(CHECK_EVERY, self._look.set)
            try:
                await self._look.wait()
            finally:
                timer.cancel()

    async def _take_over(self, connection: AsyncConnection) -> _Backend | None:
        """Take the lock on `connection`, and return None, or who holds it."""
        schema, is_standby = (await connection.execute(_PLACE)).one()
        if is_standby:
            # It would grant the lock, and share it with nobody.
            raise StoreUnavailable(f"{self._address} cannot be written: it is read-only")
        for name, value in (_SESSION | {"application_name": _NAME + _this_process()}).items():
            await connection.execute(_SET, {"name": name, "value": value})
        myself = _Backend(*(await connection.execute(_MYSELF)).one())
        if await _try_lock(connection, schema):
            driver = (await connection.get_raw_connection()).driver_connection
            if driver is not None:
                driver.add_termination_listener(lambda _: self._look.set())
            self._backend = myself
            return None
        other = await _holder(connection, schema)
        if other is None:
            raise StoreUnavailable(f"{self._address} is just being given up by another process: try again")
        if other.is_same(self._backend):
            # Our own connection of before, which was cut on this side only.
            await connection.execute(_END, {"pid": other.pid})
            raise StoreUnavailable(f"{self._address} still has the connection that was lost: I ended it there")
        return other

    async def _trouble(self) -> StoreError | None:
        if self._connection is None:
            return StoreUnavailable(f"{self._address} is not locked")
        try:
            # An I/O deadline: real seconds, whatever the clock of the program is.
            async with asyncio.timeout(CHECK_TIMEOUT):
                await self._connection.execute(_ALIVE)
        except driver_errors() as error:
            return translate_error(error, self._address)
        return None


async def advisory_holder(address: DatabaseUrl) -> str | None:
    """Which process holds the lock of the database at `address`, in words; None if none does.

    Raises `StoreUnavailable` if the database cannot be reached.
    """
    try:
        async with _connected(address) as connection:
            schema, _ = (await connection.execute(_PLACE)).one()
            other = await _holder(connection, schema)
    except driver_errors() as error:
        raise translate_error(error, address) from None
    return None if other is None else str(other)


@asynccontextmanager
async def _connected(address: DatabaseUrl) -> AsyncIterator[AsyncConnection]:
    engine = create_engine(address).execution_options(isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            try:
                yield connection
            finally:
                # Ends it within 2 s even if nobody answers; a plain close would wait without a bound.
                await connection.invalidate()
    finally:
        await engine.dispose()


async def _try_lock(connection: AsyncConnection, schema: str | None) -> bool:
    return bool((await connection.execute(_TRY, _keys(schema))).scalar_one())


async def _holder(connection: AsyncConnection, schema: str | None) -> _Backend | None:
    row = (await connection.execute(_HOLDER, _keys(schema))).first()
    return None if row is None else _Backend(*row)


def _keys(schema: str | None) -> dict[str, int]:
    # 31 bits: the function takes a signed number, `pg_locks` shows an unsigned one.
    return {"key": OWNER_LOCK, "schema": zlib.crc32((schema or "").encode()) & 0x7FFFFFFF}


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
