"""Databases that have their tables and no rows, made fast: the first file of a process is migrated, the others are its
copies. Whoever tests the migration itself calls `bot.store.migrate`.
"""

from pathlib import Path

from bot.store import migrate

_SQLITE = "sqlite:///"

_blank: list[bytes] = []
"""The file that was migrated, once there is one."""


async def make_database(url: str) -> None:
    """Make the file of a SQLite URL, or bring a database of PostgreSQL to its newest shape.

    FileExistsError where the file is there already.
    """
    if url.startswith(_SQLITE) and _blank:
        with _file_of(url).open("xb") as file:
            file.write(_blank[0])
        return
    await migrate.upgrade(url)
    if url.startswith(_SQLITE):
        _blank.append(_file_of(url).read_bytes())


def _file_of(url: str) -> Path:
    return Path(url.removeprefix(_SQLITE))
