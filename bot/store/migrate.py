"""Brings a database to the shape this program knows, in its own process: upgrade, current, head.

Alembic runs the steps in the package `migrations`, all of them in one transaction: a step that fails leaves the
database as it was. Users need no alembic.ini. A database that a newer program has migrated is refused and not touched.
"""

import asyncio
import importlib.resources
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from bot.core.errors import StoreTooNew, StoreUnavailable
from bot.store.engine import WRITES, create_engine
from bot.store.errors import DRIVER_ERRORS, NO_TABLES, translate_error
from bot.store.url import DatabaseUrl, parse_url

MIGRATION_LOCK = 0x61766174
"""The key of the PostgreSQL advisory lock: of two programs that start at once, one migrates and one waits."""

T = TypeVar("T")


async def upgrade(url: str) -> str:
    """Run every step that is missing and return the revision the database has now.

    Makes a SQLite file that does not exist. Raises `StoreTooNew` and `StoreUnavailable`.
    """
    address = parse_url(url)
    return await over_connection(url, lambda connection: _upgrade(connection, address))


async def downgrade(url: str, revision: str) -> None:
    """Go back to a revision, `base` for an empty database; what newer steps added is lost. For developers and tests."""
    await over_connection(url, lambda connection: _with_config(connection, command.downgrade, revision))


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
    with ExitStack() as stack:
        revision = ScriptDirectory.from_config(_config(stack)).get_current_head()
    if revision is None:
        raise LookupError("the package `migrations` holds no revision")
    return revision


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
    except DRIVER_ERRORS as error:
        raise translate_error(error, address) from None
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, address: DatabaseUrl) -> str:
    _refuse_unknown(_current(connection), address)
    _with_config(connection, command.upgrade, "head")
    return head()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_unknown(revision: str | None, address: DatabaseUrl) -> None:
    if revision is None:
        return
    with ExitStack() as stack:
        try:
            ScriptDirectory.from_config(_config(stack)).get_revision(revision)
        except CommandError as error:
            raise StoreTooNew(
                f"{address} was made by a newer avatar-relay (revision {revision}): "
                "upgrade the program or use another DATABASE_URL"
            ) from error


def _with_config(connection: Connection, run: Callable[[Config, str], object], revision: str) -> None:
    with ExitStack() as stack:
        config = _config(stack)
        config.attributes["connection"] = connection
        run(config, revision)


def _config(stack: ExitStack) -> Config:
    """Alembic's configuration, valid while the stack is open: the scripts may have to be unpacked."""
    scripts = stack.enter_context(importlib.resources.as_file(importlib.resources.files("migrations")))
    config = Config()
    # A `%` begins an interpolation in a configuration file.
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
