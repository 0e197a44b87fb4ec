"""Brings a database to the shape this program knows, in its own process: upgrade, current, head.

Alembic runs the steps in the package `migrations`, all of them in one transaction: a step that fails leaves the
database as it was. Users need no alembic.ini. A database that a newer program has migrated is refused and not touched.
Alembic takes 12 MB, which a process keeps to its end, so it is imported only where there is a step to run. An empty
database needs none: it gets the tables as `bot.store.tables` has them, which is what the steps come to (a test compares
the two on both engines). The names of the steps' files tell the revisions.
"""

import asyncio
import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.errors import StoreTooNew, StoreUnavailable
from bot.store.engine import WRITES, create_engine
from bot.store.errors import NO_TABLES, driver_errors, translate_error
from bot.store.tables import metadata
from bot.store.url import DatabaseUrl, parse_url

MIGRATION_LOCK = 0x61766174
"""The key of the PostgreSQL advisory lock: of two programs that start at once, one migrates and one waits."""

_VERSIONS = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, as it makes it."""

T = TypeVar("T")


async def upgrade(url: str) -> str:
    """Run every step that is missing and return the revision the database has now.

    Makes a SQLite file that does not exist. Raises `StoreTooNew` and `StoreUnavailable`.
    """
    address = parse_url(url)
    return await over_connection(url, lambda connection: _upgrade(connection, address))


async def downgrade(url: str, revision: str) -> None:
    """Go back to a revision, `base` for an empty database; what newer steps added is lost. For developers and tests."""
    await over_connection(url, lambda connection: _run_steps(connection, revision, down=True))


async def current(url: str) -> str | None:
    """The revision of the database, known or not; None if it has none. Makes nothing."""
    address = parse_url(url)
    if address.file is not None and not await asyncio.to_thread(address.file.exists):
        return None
    return await over_connection(url, _current)


async def verify(url: str) -> None:
    """Whether this program can use the database as it is, for those who must not migrate it.

    Raises `StoreTooNew`, and `StoreUnavailable` if it does not exist or misses steps.
    """
    address = parse_url(url)
    revision = await current(url)
    _refuse_unknown(revision, address)
    if revision != head():
        raise StoreUnavailable(f"{address} {NO_TABLES}")


def head() -> str:
    """The newest revision this program knows."""
    return max(_revisions())


async def over_connection(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction of a connection of its own, without foreign keys on SQLite.

    Foreign keys are off because altering a table on SQLite copies and drops it. Raises `StoreUnavailable`.
    """
    address = parse_url(url)
    await asyncio.to_thread(address.create_file)
    engine = create_engine(address, foreign_keys=False).execution_options(**{WRITES: True})
    try:
        async with engine.begin() as connection:
            if not address.is_sqlite:
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            return await connection.run_sync(work)
    except driver_errors() as error:
        raise translate_error(error, address) from None
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, address: DatabaseUrl) -> str:
    revision, newest = _current(connection), head()
    _refuse_unknown(revision, address)
    if revision is None and _is_empty(connection):
        _make_tables(connection, newest)
    elif revision != newest:
        _run_steps(connection, newest)
    return newest


def _is_empty(connection: Connection) -> bool:
    inspector = sa.inspect(connection)
    return not any(inspector.has_table(name) for name in (_VERSIONS.name, *metadata.tables))


def _make_tables(connection: Connection, revision: str) -> None:
    metadata.create_all(connection)
    _VERSIONS.create(connection)
    connection.execute(_VERSIONS.insert(), {"version_num": revision})


def _current(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(_VERSIONS.name):
        return None
    return connection.scalar(sa.select(_VERSIONS.c.version_num))


def _refuse_unknown(revision: str | None, address: DatabaseUrl) -> None:
    if revision is not None and revision not in _revisions():
        raise StoreTooNew(
            f"{address} was made by a newer avatar-relay (revision {revision}): "
            "upgrade the program or use another DATABASE_URL"
        )


def _revisions() -> set[str]:
    """All that this program knows, which sort in their order: `0001` of `0001_first_tables.py`."""
    files = (Path(file.name) for file in importlib.resources.files("migrations.versions").iterdir())
    return {file.stem.partition("_")[0] for file in files if file.match("[0-9]*_*.py")}


def _run_steps(connection: Connection, revision: str, *, down: bool = False) -> None:
    from alembic import command  # see the module
    from alembic.config import Config

    # The scripts may have to be unpacked.
    with importlib.resources.as_file(importlib.resources.files("migrations")) as scripts:
        config = Config()
        # A `%` begins an interpolation in a configuration file.
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)
