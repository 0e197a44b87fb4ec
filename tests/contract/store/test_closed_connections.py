"""A server that was restarted, or closed connections that nobody used: nobody notices."""

import asyncio

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from bot.core.models import SessionState
from bot.store.store import Store
from tests.builders import a_session
from tests.harness.clock import ManualClock

pytestmark = pytest.mark.postgres

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def test_connections_that_the_server_has_closed_are_replaced(postgres_url: str) -> None:
    session = a_session()
    async with await Store.open(postgres_url, ManualClock()) as store:
        await store.sessions.open(session)
        # Several read at once, so that there are several connections.
        await asyncio.gather(*(store.sessions.get(session.id) for _ in range(8)))
        server = await asyncpg.connect(postgres_url)
        try:
            ended = await server.fetch(f"SELECT pg_terminate_backend(pid) {OTHERS}")
            assert len(ended) > 1
        finally:
            await server.close()
        await asyncio.sleep(0.5)  # until the driver has heard of it
        assert await store.sessions.get(session.id) == session
        await store.sessions.advance(session.id, SessionState.CLOSED)
        found = await asyncio.gather(*(store.sessions.get(session.id) for _ in range(8)))
        assert all(one is not None and one.state is SessionState.CLOSED for one in found)
