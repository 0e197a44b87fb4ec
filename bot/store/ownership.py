"""One bot per SQLite file: an OS lock beside the file, which the system releases however the process ends.

A second bot on the same file would answer every message twice. PostgreSQL and a database in memory need no such lock.
The shell commands may work on the file beside the bot; `holder` tells them who runs on it.
"""

import os
import sys
from pathlib import Path
from types import TracebackType

from bot.errors import StoreUnavailable
from bot.store.address import Address, read_address

if sys.platform == "win32":
    import msvcrt

    # Windows locks ranges of bytes and keeps others from reading them: this one lies behind the pid.
    _LOCKED_BYTE = 1 << 20

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class SqliteOwnership:
    """Owns the database file of `url` inside a `with` or `async with` block.

    Entering raises `StoreUnavailable` where another process owns it, with that process's number. The lock file stays
    behind, empty: to delete it would let two newcomers lock two different files. One that a killed process left, number
    and all, is no obstacle.
    """

    def __init__(self, url: str) -> None:
        self._address = read_address(url)
        self._descriptor: int | None = None

    def __enter__(self) -> "SqliteOwnership":
        lock = _lock_file(self._address)
        if lock is None:
            return self
        self._address.make_room()
        descriptor = _open(lock, self._address)
        if not _try_lock(descriptor):
            pid = _written_pid(descriptor)
            os.close(descriptor)
            raise StoreUnavailable(
                f"another avatar-relay (process {pid or 'unknown'}) already runs on this database: "
                "stop it, or set DATABASE_URL to another file"
            )
        _write(descriptor, str(os.getpid()))
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is None:
            return
        _write(self._descriptor, "")
        os.close(self._descriptor)
        self._descriptor = None

    async def __aenter__(self) -> "SqliteOwnership":
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def holder(url: str) -> int | None:
    """The number of the process that owns the SQLite file of `url`; None where nobody does, and on other databases.

    Raises `StoreUnavailable` for a URL that is no database address.
    """
    lock = _lock_file(read_address(url))
    if lock is None:
        return None
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        pid = _written_pid(descriptor)
        # Without a number nobody owns it, and the lock is not even tried: that could turn away a bot that starts now.
        return None if pid is None or _try_lock(descriptor) else pid
    finally:
        os.close(descriptor)


def _lock_file(address: Address) -> Path | None:
    return None if address.file is None else address.file.with_name(address.file.name + ".lock")


def _open(lock: Path, address: Address) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        why = (error.strerror or "unknown trouble").lower()
        raise StoreUnavailable(f"{address} cannot be locked ({why}): check the permissions of {lock}") from error


def _written_pid(descriptor: int) -> int | None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    written = os.read(descriptor, 32)
    return int(written) if written.isdigit() else None


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text.encode())
