"""One bot per SQLite file: it owns the file through a lock beside it, which is released however the process ends.

A second bot would answer every message twice, and its recovery would take the first one's streams, which cost money.
On PostgreSQL processes know each other by their rows instead (`bot.cluster.membership`). The shell commands may work on
the database beside the bot; `owner_of` tells them who runs on it.
"""

import asyncio
from types import TracebackType

import structlog

from bot.core.errors import StoreUnavailable
from bot.core.ports import Clock
from bot.store.lock.file import FileLock, file_holder
from bot.store.url import parse_url

log = structlog.get_logger(__name__)

ACQUIRE_TIMEOUT = 15.0
"""Seconds that a new bot waits for the old one to end: a shutdown takes up to 9 s."""

RETRY_EVERY = 0.5
"""Seconds between two attempts to take the lock."""


class InstanceLock:
    """Owns the SQLite file of `url` inside an `async with` block.

    Entering raises `StoreUnavailable` with the process that owns it, where that one does not end within `patience`.
    """

    def __init__(
        self, url: str, clock: Clock, *, patience: float = ACQUIRE_TIMEOUT, stopping: asyncio.Event | None = None
    ) -> None:
        """`patience` is in seconds. `stopping` is set when nobody wants the database any more: no more waiting then."""
        self._lock = FileLock(parse_url(url))
        self._clock = clock
        self._patience = patience
        self._stopping = stopping or asyncio.Event()

    async def __aenter__(self) -> "InstanceLock":
        until = self._clock.monotonic() + self._patience
        other = self._lock.take()
        if other is not None and self._patience > 0:
            log.warning("another avatar-relay owns the database; waiting", owner=other, seconds=self._patience)
        while other is not None:
            if self._clock.monotonic() >= until or self._stopping.is_set():
                raise StoreUnavailable(
                    f"another avatar-relay ({other}) already runs on this database: "
                    "stop it, or set DATABASE_URL to another file"
                )
            await self._clock.sleep(RETRY_EVERY)
            other = self._lock.take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.give_back()


def owner_of(url: str) -> str | None:
    """The process that owns the SQLite file of `url`, in words such as `process 4711`; None if nobody does.

    Raises `StoreUnavailable` for a URL that is no database address.
    """
    pid = file_holder(parse_url(url))
    return None if pid is None else f"process {pid}"
