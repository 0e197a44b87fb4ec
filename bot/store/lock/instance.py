"""One bot per database: it owns the database through a lock, which is released however the process ends.

A second bot would answer every message twice, and its recovery would take the first one's streams, which cost money.
On SQLite the lock is one of the operating system beside the file (`bot.store.lock.file`), on PostgreSQL one of the
server (`bot.store.lock.postgres`). The shell commands may work on the database beside the bot; `owner_of` tells them
who runs on it.
"""

import asyncio
from types import TracebackType
from typing import Protocol

import structlog

from bot.core.errors import StoreError, StoreUnavailable
from bot.core.ports import Clock
from bot.store.lock.file import FileLock, file_holder
from bot.store.lock.postgres import AdvisoryLock, advisory_holder
from bot.store.url import parse_url

log = structlog.get_logger(__name__)

ACQUIRE_TIMEOUT = 15.0
"""Seconds that a new bot waits for the old one to end: a shutdown takes up to 9 s, and PostgreSQL notices after 11 s
that a machine has lost its power."""

RETRY_EVERY = 0.5
"""Seconds between two attempts to take the lock."""

NOT_CERTAIN = "may be another bot's by now; the lock on it was lost"
"""What `/readyz` tells while that is so."""


class Lock(Protocol):
    """What keeps a second bot out."""

    async def take(self) -> str | None:
        """Try once. None if it is ours now, otherwise who has it, in words that begin with `process`.

        Raises `StoreError` if it cannot be told.
        """

    async def give_back(self) -> None:
        """Let others have it; nothing where it is not ours."""

    async def lost(self) -> str:
        """Wait until it may be somebody else's, and tell why."""


class InstanceLock:
    """Owns the database of `url` inside an `async with` block.

    Entering raises `StoreUnavailable` with the process that owns it, where that one does not end within `patience`.
    """

    def __init__(
        self, url: str, clock: Clock, *, patience: float = ACQUIRE_TIMEOUT, stopping: asyncio.Event | None = None
    ) -> None:
        """`patience` is in seconds. `stopping` is set when nobody wants the database any more: no more waiting then."""
        address = parse_url(url)
        self._lock: Lock = FileLock(address) if address.is_sqlite else AdvisoryLock(address, clock)
        self._another = "file" if address.is_sqlite else "database"
        self._clock = clock
        self._patience = patience
        self._stopping = stopping or asyncio.Event()
        self.unhealthy_reason: str | None = None
        self.is_lost = False

    async def __aenter__(self) -> "InstanceLock":
        until = self._clock.monotonic() + self._patience
        other = await self._lock.take()
        if other is not None and self._patience > 0:
            log.warning("another avatar-relay owns the database; waiting", owner=other, seconds=self._patience)
        while other is not None:
            if self._clock.monotonic() >= until or self._stopping.is_set():
                raise StoreUnavailable(
                    f"another avatar-relay ({other}) already runs on this database: "
                    f"stop it, or set DATABASE_URL to another {self._another}"
                )
            await self._clock.sleep(RETRY_EVERY)
            other = await self._lock.take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lock.give_back()

    async def hold(self) -> None:
        """See to it that the database stays ours, until cancelled.

        A lock that was lost (PostgreSQL restarted, connection cut) is taken again as soon as the database answers;
        `unhealthy_reason` says so meanwhile, and is None otherwise. Raises `StoreUnavailable` once another process has
        it: `is_lost` is true then, and every stream is that one's business.
        """
        while True:
            why = await self._lock.lost()
            self.unhealthy_reason = NOT_CERTAIN
            log.error("the lock on the database was lost; taking it again", error=why)
            await self._take_again()
            self.unhealthy_reason = None
            log.warning("the database is this bot's again")

    async def _take_again(self) -> None:
        told = ""
        while True:
            try:
                other = await self._lock.take()
            except StoreError as error:
                if str(error) != told:
                    told = str(error)
                    log.error("the lock on the database cannot be taken yet", error=told)
                await self._clock.sleep(RETRY_EVERY)
                continue
            if other is None:
                return
            self.is_lost = True
            raise StoreUnavailable(
                f"another avatar-relay ({other}) has taken this database over while the connection to it was lost: "
                "the avatars are left to it"
            )


async def owner_of(url: str) -> str | None:
    """The process that owns the database of `url`, in words such as `process 4711`; None if nobody does.

    Raises `StoreUnavailable` for a URL that is no database address, and where PostgreSQL cannot be reached.
    """
    address = parse_url(url)
    if not address.is_sqlite:
        return await advisory_holder(address)
    pid = file_holder(address)
    return None if pid is None else f"process {pid}"
