"""Turns what a database driver raises into a sentence for the operator.

`StoreUnavailable` is trouble with the database, whoever asks; plain `StoreError` is a statement it refused. No sentence
repeats a password or a value that was to be written.
"""

import sqlite3

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from bot.errors import StoreError, StoreUnavailable
from bot.redaction import Redactor
from bot.store.address import Address

try:
    import asyncpg  # type: ignore[import-untyped]  # it ships no types
except ModuleNotFoundError:
    # The extra `postgres` is not installed; `postgres_engine` says so to who asks for PostgreSQL.
    _ASYNCPG_ERRORS: tuple[type[Exception], ...] = ()
else:
    _ASYNCPG_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError)

BUSY_TIMEOUT = 5.0
"""Seconds a SQLite connection waits for another program's transaction."""

DRIVER_ERRORS: tuple[type[Exception], ...] = (StatementError, OSError, UnicodeError, *_ASYNCPG_ERRORS)
"""Everything a read or write may raise below us; `DBAPIError` is a `StatementError`, `TimeoutError` an `OSError`."""

_SQLITE = {
    sqlite3.SQLITE_BUSY: f"is locked by another program for more than {BUSY_TIMEOUT:g} s: close that program",
    sqlite3.SQLITE_LOCKED: "is locked by another program: close that program",
    sqlite3.SQLITE_PERM: "may not be opened: check the permissions of the file and its folder",
    sqlite3.SQLITE_READONLY: "cannot be written: check the permissions of the file and its folder",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore a copy, or set DATABASE_URL to another file",
    sqlite3.SQLITE_FULL: "cannot grow, its disk is full: free some space",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the folder, or set DATABASE_URL to another file",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: move the file away, or set DATABASE_URL to another file",
}

# Classes of SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL = {
    "08": "lost the connection: check the server and the network",
    "25": "cannot be written: it is read-only",
    "28": "does not accept this user and password: check DATABASE_URL",
    "3D": "does not exist: create it, or check DATABASE_URL",
    "53": "has no resources left (connections, memory or disk): see the server's log",
    "57": "is being shut down or started: wait until the server is ready",
    "58": "cannot be read or written: see the server's log",
}

CLOSED = "the database is closed: the program is shutting down"
NO_TABLES = "has no tables of this version: run `avatar-relay db upgrade`"


def store_error(error: Exception, address: Address) -> StoreError:
    """The error to raise instead of a driver's `error`, for the database at `address`.

    Raise it `from None`: after its first line PostgreSQL repeats the value of a key, and a link nonce is a secret.
    """
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    words = _words(error, cause)
    if words is not None:
        return StoreUnavailable(f"{address} {words}")
    first_line = _without_password(str(cause).partition("\n")[0], address)
    if isinstance(error, IntegrityError):
        return StoreError(f"{address} refused a change that breaks a rule: {first_line}")
    return StoreError(f"{address} refused a statement: {first_line}")


def _without_password(line: str, address: Address) -> str:
    """What answers may be a pooler or a proxy, which may repeat what it was given."""
    given = (address.url.password, address.url.query.get("password"))
    return Redactor(SecretStr(password) for password in given if isinstance(password, str)).text(line)


def _words(error: Exception, cause: BaseException) -> str | None:
    if isinstance(cause, sqlite3.Error):
        if "no such table" in str(cause) or "no such column" in str(cause):
            return NO_TABLES
        # An extended code keeps the plain one in its lowest byte, https://www.sqlite.org/rescode.html
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        if state in ("42P01", "42703"):
            return NO_TABLES
        if state[:2] in _POSTGRESQL:
            return _POSTGRESQL[state[:2]]
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _POSTGRESQL["08"]
    if isinstance(cause, OSError):
        return "cannot be reached: check that the server runs and that DATABASE_URL names it"
    return None
