"""Turns what a database driver raises into a sentence for the operator.

`StoreUnavailable` is trouble with the database, whoever asks; plain `StoreError` is a statement it refused. No sentence
repeats a password or a value that was to be written.
"""

import socket
import sqlite3
import ssl
import sys

from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from bot.core.errors import OwnershipLost, StoreError, StoreUnavailable
from bot.store import libpq
from bot.store.tables import FENCED_STATE
from bot.store.url import DatabaseUrl
from bot.telemetry.redaction import Redactor

BUSY_TIMEOUT = 5.0
"""Seconds a SQLite connection waits for another program's transaction."""

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

# Classes of SQLSTATE, and codes that say more than their class, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL = {
    "08": "lost the connection: check the server and the network",
    "25": "cannot be written: it is read-only",
    "25P03": "ended a transaction that was left open: this process was stopped, or has too much to do",
    "28000": "does not let this user in: check the user and sslmode in DATABASE_URL, and the server's pg_hba.conf",
    "28": "does not accept this user and password: check DATABASE_URL",
    "3D": "does not exist: create it, or check DATABASE_URL",
    "53": "has no resources left (connections, memory or disk): see the server's log",
    "57": "is being shut down or started: wait until the server is ready",
    "58": "cannot be read or written: see the server's log",
}

_CLOSED_BY_DRIVER = ("connection closed", "no active connection")
"""What aiosqlite says where its connection is closed."""

CLOSED = "the database is closed: the program is shutting down"
TAKEN_OVER = "belongs to another avatar-relay now, which goes on with the avatars"
NO_TABLES = "has no tables of this version: run `avatar-relay db upgrade`"


def driver_errors() -> tuple[type[Exception], ...]:
    """Everything a read or write may raise below us; `DBAPIError` is a `StatementError`, `TimeoutError` an `OSError`.
    What is sent straight to the driver (`bot.store.driver`) raises the driver's errors as they are.

    For `except driver_errors()`. asyncpg, 3 MB, is imported by who connects to PostgreSQL; before, it raises nothing.
    """
    errors: tuple[type[Exception], ...] = (StatementError, sqlite3.Error, OSError, UnicodeError)
    if (asyncpg := sys.modules.get("asyncpg")) is not None:
        errors += (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.exceptions.InternalClientError)
    return errors


def translate_error(error: Exception, address: DatabaseUrl) -> StoreError:
    """The error to raise instead of a driver's `error`, for the database at `address`.

    Raise it `from None`: after its first line PostgreSQL repeats the value of a key, and a link nonce is a secret.
    """
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    if getattr(cause, "sqlstate", None) == FENCED_STATE:
        return OwnershipLost(f"{address} {TAKEN_OVER}")
    words = _words(error, cause, address)
    if words is not None:
        return StoreUnavailable(f"{address} {words}")
    first_line = _without_password(str(cause).partition("\n")[0], address)
    if isinstance(error, (IntegrityError, sqlite3.IntegrityError)):
        return StoreError(f"{address} refused a change that breaks a rule: {first_line}")
    return StoreError(f"{address} refused a statement: {first_line}")


def is_closed(error: BaseException) -> bool:
    """Whether aiosqlite says that its connection is closed."""
    return str(error).lower() in _CLOSED_BY_DRIVER


def _without_password(line: str, address: DatabaseUrl) -> str:
    """What answers may be a pooler or a proxy, which may repeat what it was given."""
    return Redactor(address.secrets).text(line)


def _words(error: Exception, cause: BaseException, address: DatabaseUrl) -> str | None:
    if isinstance(cause, sqlite3.Error):
        if "no such table" in str(cause) or "no such column" in str(cause):
            return NO_TABLES
        if is_closed(cause):
            return "has lost its connection: try again"
        # An extended code keeps the plain one in its lowest byte, https://www.sqlite.org/rescode.html
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        if state in ("42P01", "42703"):
            return NO_TABLES
        if words := _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2]):
            return words
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _POSTGRESQL["08"]
    # A file that is missing is the socket, or one that a variable such as PGSSLROOTCERT names.
    is_file = isinstance(cause, FileNotFoundError) and not libpq.uses_sockets(address.arguments)
    if is_file or _is_configuration_error(cause):
        return "cannot be reached as it is set: check DATABASE_URL, and the variables that begin with PG"
    return _network_words(cause) if isinstance(cause, OSError) else None


def _is_configuration_error(cause: BaseException) -> bool:
    asyncpg = sys.modules.get("asyncpg")
    return asyncpg is not None and isinstance(
        cause, (asyncpg.exceptions.ClientConfigurationError, asyncpg.exceptions.TargetServerAttributeNotMatched)
    )


def _network_words(cause: OSError) -> str:
    match cause:
        case socket.gaierror():
            return "cannot be found: its host has no address; check DATABASE_URL and DNS"
        case ssl.SSLCertVerificationError():
            return "has a certificate that is not trusted: check sslmode, sslrootcert and the host in DATABASE_URL"
        case ssl.SSLError():
            return "cannot be reached, TLS failed: check sslmode and the files of TLS in DATABASE_URL"
        case ConnectionRefusedError():
            return "cannot be reached, the connection is refused: check that the server runs, and host and port"
        case TimeoutError():
            return "did not answer in time: check the server, the network and firewalls"
        case FileNotFoundError():
            return "cannot be reached, there is no socket: check that the server runs, and the folder in DATABASE_URL"
        case ConnectionError() if "rejected SSL" in str(cause):
            return "does not offer TLS, which sslmode in DATABASE_URL asks for: switch TLS on there, or change sslmode"
        case ConnectionError():
            return _POSTGRESQL["08"]
        case _:
            return "cannot be reached: check that the server runs and that DATABASE_URL names it"
