"""The connections to an open database: one writes, others read beside it, on SQLite and PostgreSQL alike.

A piece of work is a plain function over a `sqlalchemy.Connection`, the same on both engines; it runs in the event loop,
and only SQLite itself works in the threads of aiosqlite. Everything raised here is a `StoreError`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.errors import OwnershipLost, StoreError, StoreUnavailable
from bot.store.engine import READERS, WRITES, create_engine
from bot.store.errors import CLOSED, driver_errors, translate_error
from bot.store.url import DatabaseUrl

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Member:
    """The process of a cluster that a store belongs to. `on_fenced` is called when the database says that it is none
    any more."""

    id: str
    on_fenced: Callable[[], None]


Work = Callable[[Connection], T]
Begin = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
"""Begins a transaction and commits it at the end of the block; raises only `StoreError` for database trouble."""


class Connections:
    """Made by `open`, which must be followed by `close`."""

    def __init__(self, address: DatabaseUrl, member: Member | None = None) -> None:
        self._address = address
        self._member = member
        self._engine = create_engine(address, process=None if member is None else member.id)
        self._free = asyncio.Semaphore(READERS)
        self._reads: set[asyncio.Task[Any]] = set()
        self._kept: AsyncConnection | None = None
        self._closed = False

    @classmethod
    async def open(cls, address: DatabaseUrl, member: Member | None = None) -> "Connections":
        """Make the SQLite file where it is missing. Connects when first asked. Raises `StoreUnavailable`."""
        await asyncio.to_thread(address.create_file)
        return cls(address, member)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file, which one process has for itself."""
        return self._address.is_sqlite

    async def read(self, work: Work[T]) -> T:
        """Run `work` beside the writes of others; what it writes is not kept.

        A caller that is cancelled is gone at once; its work ends by itself, since a connection cannot be used again
        that was left in the middle of a statement.
        """
        if self._closed:
            raise StoreUnavailable(CLOSED)
        task = asyncio.create_task(self._read(work), name="store-read")
        self._reads.add(task)
        task.add_done_callback(self._read_ended)
        return await asyncio.shield(task)

    def _read_ended(self, task: asyncio.Task[Any]) -> None:
        self._reads.discard(task)
        if not task.cancelled():
            # Where its caller is gone nobody else looks at what it failed with.
            task.exception()

    async def _read(self, work: Work[T]) -> T:
        try:
            async with self._free, self._engine.connect() as connection:
                return await connection.run_sync(work)
        except driver_errors() as error:
            raise self._translated(error) from None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes: all of it is there for good when the block has ended, or nothing.

        For one task alone: only `bot.store.writer` begins one.
        """
        if self._closed:
            raise StoreUnavailable(CLOSED)
        try:
            if not self._address.is_sqlite:
                # The pool looks whether the connection is still open.
                async with self._engine.begin() as connection:
                    yield connection
                return
            # A file does not go away, and to take a connection from the pool costs as much as a statement.
            if self._kept is None:
                self._kept = await (await self._engine.connect()).execution_options(**{WRITES: True})
            async with self._kept.begin():
                yield self._kept
        except driver_errors() as error:
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> StoreError:
        translated = translate_error(error, self._address)
        if isinstance(translated, OwnershipLost) and self._member is not None:
            self._member.on_fenced()
        return translated

    async def close(self) -> None:
        """Wait for what is being read, and give the connections back. Nothing may be being written."""
        self._closed = True
        if self._reads:
            await asyncio.wait(self._reads)
        if self._kept is not None:
            await self._kept.close()
        await self._engine.dispose()
