"""The connections of aiosqlite under a store, for tests that set something on one."""

from typing import cast

import aiosqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.store import Store


async def writing_driver(store: Store) -> aiosqlite.Connection:
    """The connection that writes."""
    if store._connections._kept is None:
        async with store._connections.begin() as connection:
            return await _driver(connection)
    return await _driver(store._connections._kept)


async def reading_driver(store: Store) -> aiosqlite.Connection:
    """The connection that reads, where nothing was ever read side by side."""
    async with store._connections._engine.connect() as connection:
        return await _driver(connection)


async def set_on_writer(store: Store, pragma: str) -> None:
    """Set something on the connection that writes, outside of a transaction."""
    await (await writing_driver(store)).execute_fetchall(f"PRAGMA {pragma}")


async def _driver(connection: AsyncConnection) -> aiosqlite.Connection:
    return cast("aiosqlite.Connection", (await connection.get_raw_connection()).driver_connection)
