"""Runs pieces of work against the database, each in one transaction: `read` and `write`, on SQLite and PostgreSQL.

A piece of work is a plain function over a `sqlalchemy.Connection`, the same on both engines. On SQLite it runs whole in
a thread of its own, with one connection that never leaves it; on PostgreSQL it runs through asyncpg in the event loop.

Why a thread of our own and not aiosqlite: an async driver hops to its thread and back three times for each statement,
and each hop waits for the interpreter lock while the loop is busy. Here a transaction is one hop. Measured on 2 cores
with 32 callers: 5,900 messages per second (4 writes each) against 2,800, and 2,700 against 1,100 beside a busy loop; a
lone message takes 0.7 ms against 1.4 ms. Through the whole bot (`make bench`) a message reaches the provider's client
after 1.9 ms against 3.1 ms, where 3 ms is the bound we set ourselves.

Why `synchronous=FULL`: in WAL mode NORMAL loses the last transactions in a power cut, which would break rule 2 (a
stream at the provider without a row) and rule 7. FULL is one fsync per transaction, 0.3 ms there, shared by a batch.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from bot.core.errors import StoreError, StoreUnavailable
from bot.store.errors import BUSY_TIMEOUT, CLOSED, DRIVER_ERRORS, translate_error
from bot.store.tables import metadata
from bot.store.url import DatabaseUrl

STATEMENT_TIMEOUT = 30.0
"""Seconds for one statement on PostgreSQL."""

T = TypeVar("T")
Work = Callable[[Connection], T]


class Database(Protocol):
    """An open database. Every method raises only `StoreError` and its children."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` beside the writes of others. It may not write."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction: all of it is there for good when this returns, or nothing."""

    async def close(self) -> None:
        """Give the connections back."""


async def open_database(address: DatabaseUrl) -> Database:
    """Connect. Raises `StoreUnavailable` with a sentence where that is not possible."""
    if address.is_sqlite:
        return await SqliteDatabase.open(address)
    return PostgresDatabase(address)


def sqlite_engine(address: DatabaseUrl, *, begin: str = "BEGIN IMMEDIATE", foreign_keys: bool = True) -> Engine:
    """An engine with one connection, in explicit transactions, for use in one thread.

    `begin` opens each transaction. IMMEDIATE takes the write lock at once: a transaction that reads first and wants to
    write later fails with SQLITE_BUSY, without waiting, when another process wrote in between.
    """
    engine = sa.create_engine(
        address.url,
        poolclass=StaticPool,
        # None switches off the driver's own idea of when a transaction begins, which leaves out DDL and SELECT.
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT, "check_same_thread": True},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(driver_connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = driver_connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"foreign_keys={'ON' if foreign_keys else 'OFF'}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class _Lane:
    """One thread with one SQLite connection; pieces of work pass through it one after another."""

    def __init__(self, address: DatabaseUrl, name: str, begin: str) -> None:
        self._address = address
        self._engine = sqlite_engine(address, begin=begin)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: Connection | None = None
        self._closed = False

    async def run(self, work: Work[T]) -> T:
        if self._closed:
            raise StoreUnavailable(CLOSED)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        except DRIVER_ERRORS as error:
            raise translate_error(error, self._address) from None

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        finally:
            self._thread.shutdown(wait=False)

    def _transact(self, work: Work[T]) -> T:
        if self._connection is None:
            self._connection = self._engine.connect()
        with self._connection.begin():
            return work(self._connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


class SqliteDatabase:
    """A SQLite file: one lane writes while another reads (WAL). A database in memory has one lane for both."""

    def __init__(self, writing: _Lane, reading: _Lane) -> None:
        self._writing = writing
        self._reading = reading

    @classmethod
    async def open(cls, address: DatabaseUrl) -> "SqliteDatabase":
        """Open the file, which is made where it is missing. A database in memory is born with its tables."""
        if address.is_in_memory:
            lane = _Lane(address, "store", "BEGIN")
            await lane.run(metadata.create_all)
            return cls(lane, lane)
        await asyncio.to_thread(address.create_file)
        database = cls(_Lane(address, "store-write", "BEGIN IMMEDIATE"), _Lane(address, "store-read", "BEGIN"))
        try:
            # The writer comes first: it puts a new file into WAL mode.
            await database.write(_touch)
            await database.read(_touch)
        except StoreError:
            await database.close()
            raise
        return database

    async def read(self, work: Work[T]) -> T:
        """See `Database`."""
        return await self._reading.run(work)

    async def write(self, work: Work[T]) -> T:
        """See `Database`."""
        return await self._writing.run(work)

    async def close(self) -> None:
        """See `Database`."""
        await self._reading.close()
        await self._writing.close()


def _touch(connection: Connection) -> None:
    connection.execute(sa.text("SELECT count(*) FROM sqlite_master")).scalar_one()


def postgres_engine(address: DatabaseUrl) -> AsyncEngine:
    """An engine with a pool of connections that are checked before use, so that a restarted server is noticed.

    Raises `StoreUnavailable` if the driver is not installed.
    """
    if find_spec("asyncpg") is None:
        raise StoreUnavailable(f"{address} needs a driver that is not installed: pip install 'avatar-relay[postgres]'")
    return create_async_engine(
        address.url,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={**address.arguments, "command_timeout": STATEMENT_TIMEOUT},
    )


class PostgresDatabase:
    """A PostgreSQL database, reached through a pool of asyncpg connections."""

    def __init__(self, address: DatabaseUrl) -> None:
        self._address = address
        self._engine = postgres_engine(address)
        self._closed = False

    async def read(self, work: Work[T]) -> T:
        """See `Database`."""
        return await self._run(work)

    async def write(self, work: Work[T]) -> T:
        """See `Database`."""
        return await self._run(work)

    async def close(self) -> None:
        """See `Database`."""
        self._closed = True
        await self._engine.dispose()

    async def _run(self, work: Work[T]) -> T:
        if self._closed:
            raise StoreUnavailable(CLOSED)
        try:
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)
        except DRIVER_ERRORS as error:
            raise translate_error(error, self._address) from None
