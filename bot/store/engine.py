"""Makes the engine of a database: an `AsyncEngine` over aiosqlite or asyncpg. What SQLite must be told is here alone.

Why `synchronous=FULL`: in WAL mode NORMAL loses the last transactions in a power cut, which would break rule 2 (a
stream at the provider without a row) and rule 7. FULL is one fsync per transaction, shared by a batch.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from bot.core.errors import StoreUnavailable
from bot.store.driver import on_driver
from bot.store.errors import BUSY_TIMEOUT
from bot.store.tables import PROCESS_SETTING
from bot.store.url import DatabaseUrl

READERS = 4
"""Connections for reading, opened when needed; one more writes."""

STATEMENT_TIMEOUT = 30.0
"""Seconds for one statement on PostgreSQL."""

IDLE_IN_TRANSACTION = "2s"
"""How long a process of a cluster may leave a transaction open without a word, on PostgreSQL: one that was stopped in
the middle would keep others from taking over."""

_BEGUN_BY_DRIVER = ("INSERT", "UPDATE", "DELETE")

WRITES = "writes"
"""The execution option of the connection that writes: on SQLite its transactions take the write lock at once. One that
reads first and wants to write later fails with SQLITE_BUSY, without waiting, when another process wrote in between."""


def create_engine(address: DatabaseUrl, *, foreign_keys: bool = True, process: str | None = None) -> AsyncEngine:
    """An engine that connects when it is first used. Of PostgreSQL's connections those that were closed meanwhile are
    replaced when they are taken from the pool, so that nobody notices that a server was restarted. `foreign_keys` is
    for SQLite, PostgreSQL always minds them.
    process: the member whose writes these are, so that PostgreSQL refuses them once it is none (`bot.store.tables`).

    Raises `StoreUnavailable` if the driver of PostgreSQL is not installed.
    """
    if address.is_sqlite:
        return _sqlite(address, foreign_keys)
    if find_spec("asyncpg") is None:
        raise StoreUnavailable(f"{address} needs a driver that is not installed: pip install 'avatar-relay[postgres]'")
    engine = create_async_engine(
        address.url,
        pool_size=READERS + 1,
        max_overflow=0,
        hide_parameters=True,
        connect_args={**address.arguments, "command_timeout": STATEMENT_TIMEOUT},
    )
    _replace_closed(engine)
    if process is not None:
        _name_process(engine, process)
    return engine


def _replace_closed(engine: AsyncEngine) -> None:
    # The driver knows when the server has closed a connection. To ask the server each time (`pool_pre_ping`) would be a
    # way there and back and 3 % of the processor time of a message (measured), and finds no more but what is dead
    # without a word, which the keep-alives of the socket end.
    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: DBAPIConnection, _: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
        driver: Any = getattr(connection, "driver_connection")  # noqa: B009 - of an `AdaptedConnection`
        if driver.is_closed():
            raise DisconnectionError


def _name_process(engine: AsyncEngine, process: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # Statements and no parameters of the start, which pgbouncer refuses; outside of a transaction, so that no
        # rollback takes them back.
        async def tell(driver: Any) -> None:
            await driver.execute(
                "SELECT set_config($1, $2, false), set_config('idle_in_transaction_session_timeout', $3, false)",
                PROCESS_SETTING,
                process,
                IDLE_IN_TRANSACTION,
            )

        run_async: Callable[..., None] = getattr(connection, "run_async")  # noqa: B009 - of an `AdaptedConnection`
        run_async(tell)


def _sqlite(address: DatabaseUrl, foreign_keys: bool) -> AsyncEngine:
    engine = create_async_engine(
        address.url,
        pool_size=READERS + 1,
        max_overflow=0,
        hide_parameters=True,
        # Python's sqlite3 itself begins a transaction before a change, in the same call: a hop to its thread less.
        connect_args={"isolation_level": "IMMEDIATE", "timeout": BUSY_TIMEOUT},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        async def set_pragmas(driver: aiosqlite.Connection) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"foreign_keys={'ON' if foreign_keys else 'OFF'}"):
                await driver.execute_fetchall(f"PRAGMA {pragma}")
            _commit_only_what_is_open(driver)

        run_async: Callable[..., None] = getattr(connection, "run_async")  # noqa: B009 - of an `AdaptedConnection`
        try:
            run_async(set_pragmas)
        except BaseException:
            # Nobody else knows of this connection yet, and its thread would live on.
            connection.close()
            raise

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(connection: Connection, _: object, statement: str, *__: Any) -> None:
        if connection.get_execution_options().get(WRITES) and not statement.startswith(_BEGUN_BY_DRIVER):
            on_driver(connection, _begin)

    return engine


def _commit_only_what_is_open(driver: aiosqlite.Connection) -> None:
    """From now on a commit of this connection is no hop to its thread where no transaction is open: after one that was
    committed with its last statement (`bot.store.driver.with_driver`)."""
    commit = driver.commit

    async def commit_what_is_open() -> None:
        if driver.in_transaction:
            await commit()

    setattr(driver, "commit", commit_what_is_open)  # noqa: B010 - of this very object


async def _begin(driver: aiosqlite.Connection) -> None:
    if not driver.in_transaction:
        await driver.execute_fetchall("BEGIN IMMEDIATE")
