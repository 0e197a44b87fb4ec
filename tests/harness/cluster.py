"""Several processes at one database, without the programs around them."""

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store import migrate, tables
from bot.store.connections import Member
from bot.store.processes import Process, ProcessRows
from bot.store.store import Store
from bot.store.url import parse_url
from tests.builders import NOON
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults


def a_process(name: str, **changes: object) -> Process:
    process = Process(name, 0, "host", 4711, "1.0", is_leaving=False, started_at=NOON)
    return replace(process, **changes)  # type: ignore[arg-type]  # the fields of a process


class Cluster:
    """Processes at one database, each with a store of its own."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.rows = ProcessRows(parse_url(url))
        self.fenced: list[str] = []
        self.clock = ManualClock()
        """That of all stores."""
        self._stack = stack

    @property
    def is_sqlite(self) -> bool:
        return parse_url(self.url).is_sqlite

    async def store_of(self, name: str, faults: WriteFaults | None = None) -> Store:
        """The store of a process that has just joined."""
        await self.rows.join(a_process(name))
        member = Member(name, lambda: self.fenced.append(name))
        wrap = (faults or WriteFaults()).wrap
        return await self._stack.enter_async_context(
            await Store.open(self.url, self.clock, member=member, wrap_begin=wrap)
        )

    async def shell(self) -> Store:
        """The store of somebody who is no member."""
        return await self._stack.enter_async_context(await Store.open(self.url, self.clock))

    async def end(self, name: str) -> bool:
        (process,) = [process for process in await self.rows.everybody() if process.id == name]
        return await self.rows.end(process)

    async def release(self, session_id: str) -> None:
        """What its owner would do to a session that it hands over."""
        update = tables.sessions.update().where(tables.sessions.c.id == session_id).values(owner=None)
        await migrate.over_connection(self.url, lambda connection: connection.execute(update))

    async def age_parcels(self, by: timedelta) -> None:
        """Have everything that is kept be kept for so much longer."""

        def age(connection: Connection) -> None:
            for row in connection.execute(sa.select(tables.parcels)).all():
                older = tables.parcels.update().where(tables.parcels.c.id == row.id).values(at=row.at - by)
                connection.execute(older)

        await migrate.over_connection(self.url, age)

    async def owners(self) -> dict[str, str | None]:
        def read(connection: Connection) -> dict[str, str | None]:
            query = sa.select(tables.sessions.c.id, tables.sessions.c.owner)
            return dict(tuple(row) for row in connection.execute(query))

        return await migrate.over_connection(self.url, read)
