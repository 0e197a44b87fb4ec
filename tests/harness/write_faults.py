"""Stands between a store and its database, where a test wants writes to fail or to be told of: `Store.open(...,
wrap_begin=faults.wrap)`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.connections import Begin


class WriteFaults:
    """Counts the transactions that write, and fails each with `failure` while that is set."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.transactions = 0

    def wrap(self, begin: Begin) -> Begin:
        """What the store's writer begins a transaction with."""

        @asynccontextmanager
        async def wrapped() -> AsyncIterator[AsyncConnection]:
            self.transactions += 1
            await self.before()
            if self.failure is not None:
                raise self.failure
            async with begin() as connection:
                yield connection
                await self.after_work(connection)

        return wrapped

    async def before(self) -> None:
        """Before the transaction begins."""

    async def after_work(self, connection: AsyncConnection) -> None:
        """Before what has been written is committed."""
