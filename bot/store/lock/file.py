"""The lock of a SQLite database: one of the operating system beside the file, released however the process ends."""

import os
import sys
from pathlib import Path

from bot.core.errors import StoreUnavailable
from bot.store.url import DatabaseUrl

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


class FileLock:
    """The lock beside the file of `address`.

    The lock file stays behind, empty: to delete it would let two newcomers lock two different files. One that a killed
    process left, number and all, is no obstacle.
    """

    def __init__(self, address: DatabaseUrl) -> None:
        self._address = address
        self._descriptor: int | None = None

    def take(self) -> str | None:
        """Try once. None if it is ours now, otherwise who has it, in words that begin with `process`.

        Raises `StoreUnavailable` if it cannot be told.
        """
        lock = _lock_file(self._address)
        self._address.create_file()
        descriptor = _open(lock, self._address)
        if not _try_lock(descriptor):
            pid = _written_pid(descriptor)
            os.close(descriptor)
            return f"process {pid or 'unknown'}"
        _write(descriptor, str(os.getpid()))
        self._descriptor = descriptor
        return None

    def give_back(self) -> None:
        """Let others have it; nothing where it is not ours."""
        if self._descriptor is None:
            return
        _write(self._descriptor, "")
        os.close(self._descriptor)
        self._descriptor = None


def file_holder(address: DatabaseUrl) -> int | None:
    """The number of the process that holds the lock; None if none does. Makes no file."""
    lock = _lock_file(address)
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


def _lock_file(address: DatabaseUrl) -> Path:
    if address.file is None:
        raise ValueError(f"{address} is no file that could be locked")
    return address.file.with_name(address.file.name + ".lock")


def _open(lock: Path, address: DatabaseUrl) -> int:
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
