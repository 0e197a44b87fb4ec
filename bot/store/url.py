"""What `DATABASE_URL` means: which engine, which file, and how to name it to a person without a password.

Nothing is opened here, and only `create_file` touches the disk.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from bot.core.errors import StoreUnavailable
from bot.store import libpq

FORMS = "sqlite:///path/to/file.db or postgresql://user:password@host/database"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is. `url` names the driver; `file` is the SQLite file, None on PostgreSQL.

    arguments: what to give to `asyncpg.connect`, on PostgreSQL; secrets are among them.
    """

    url: URL
    file: Path | None
    arguments: Mapping[str, object] = field(default_factory=dict, repr=False, hash=False)

    @property
    def secrets(self) -> list[SecretStr]:
        """What must not be logged."""
        return [SecretStr(secret) for secret in libpq.secrets_in(self.arguments)]

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file."""
        return self.file is not None

    def __str__(self) -> str:
        """The words for a person, with no password in them."""
        if self.file is not None:
            return f"the database {self.file}"
        name = f" {self.arguments['database']}" if "database" in self.arguments else ""
        return f"the PostgreSQL database{name} at {libpq.places(self.arguments)}"

    def create_file(self) -> None:
        """Make the folder (mode 0700) and the empty file (mode 0600) of a SQLite database where they are missing.

        It holds what people wrote: it is for its owner only. Raises `StoreUnavailable` if that is not possible.
        """
        if self.file is None:
            return
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            why = (error.strerror or "unknown trouble").lower()
            raise StoreUnavailable(
                f"{self} cannot be opened for writing ({why}): check the folder, or set DATABASE_URL to another file"
            ) from error


def parse_url(url: str) -> DatabaseUrl:
    """Understand a database URL, with or without a driver's name.

    Raises `StoreUnavailable` for any other kind, and `SettingsError` for a parameter that cannot be used.
    """
    if libpq.FORM.fullmatch(url):
        return DatabaseUrl(URL.create("postgresql+asyncpg"), None, libpq.asyncpg_arguments(url))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed and parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    # The value is not repeated: it may hold a password in the wrong place.
    raise StoreUnavailable(f"DATABASE_URL is not a database address: write {FORMS}")


def _sqlite(url: URL) -> DatabaseUrl:
    name = url.database or ":memory:"
    if url.host or name == ":memory:" or name.startswith("file:"):
        raise StoreUnavailable(
            "DATABASE_URL is not a file: write sqlite:///file.db in this folder, sqlite:////folder/file.db elsewhere"
        )
    file = Path(name).expanduser().resolve()
    return DatabaseUrl(URL.create("sqlite+aiosqlite", database=str(file)), file)
