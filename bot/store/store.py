"""What the program remembers: the open database, and a repository for each kind of row.

Opens and closes; the statements are in the repositories. A write that has returned is on the disk, but for
`utterances.advance_soon`, which says when it will be.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.ports import Clock
from bot.store import tables
from bot.store.audit import AuditRepository
from bot.store.blocks import BlockRepository
from bot.store.channels import ChannelRepository
from bot.store.connections import Begin, Connections, Member
from bot.store.doubts import DoubtRepository
from bot.store.installations import InstallationRepository
from bot.store.outlets import OutletRepository
from bot.store.panels import PanelRepository
from bot.store.parcels import ParcelRepository
from bot.store.rates import RateRepository
from bot.store.sessions import SessionRepository
from bot.store.shards import ShardRepository
from bot.store.streams import StreamRepository
from bot.store.tickets import TicketRepository
from bot.store.url import parse_url
from bot.store.utterances import UtteranceRepository
from bot.store.writer import PATIENCE, GroupCommitWriter


class Store:
    """The open database. Made by `open`; `close` it, or use it as an async context manager."""

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        wrap_begin: Callable[[Begin], Begin] | None = None,
        process: str | None = None,
    ) -> None:
        self._connections = connections
        # A file does not go away and come back: what keeps it from being written is there until somebody helps.
        patience = 0.0 if connections.is_sqlite else PATIENCE
        begin = connections.begin if wrap_begin is None else wrap_begin(connections.begin)
        commits_at_once = wrap_begin is None
        self._writer = writer = GroupCommitWriter(begin, clock, patience=patience, commits_at_once=commits_at_once)
        self.sessions = SessionRepository(connections, writer, clock, process)
        self.streams = StreamRepository(connections, writer, clock)
        self.utterances = UtteranceRepository(connections, writer, clock)
        self.doubts = DoubtRepository(connections, writer, clock)
        self.channels = ChannelRepository(connections, writer, clock)
        self.outlets = OutletRepository(connections, writer, clock)
        self.panels = PanelRepository(connections, writer, clock, process)
        self.parcels = ParcelRepository(connections, writer, clock, process)
        self.blocks = BlockRepository(connections, writer, clock)
        self.rates = RateRepository(connections, writer, clock)
        self.tickets = TicketRepository(connections, writer, clock)
        self.installations = InstallationRepository(connections, writer, clock)
        self.audit = AuditRepository(connections, writer, clock)
        self.shards = ShardRepository(connections, writer, clock, process)
        self.is_shared = not connections.is_sqlite
        """Whether other processes may work on the same database."""

    @classmethod
    async def open(
        cls,
        url: str,
        clock: Clock,
        *,
        member: Member | None = None,
        wrap_begin: Callable[[Begin], Begin] | None = None,
    ) -> Self:
        """Open the database at `url`, which `bot.store.migrate.upgrade` has brought up to date.

        member: the process whose sessions are written; who has none (the shell) owns none. `wrap_begin` gets what
        begins a transaction that writes and returns what to begin one with: tests stand there, and then every commit is
        a step of its own. Raises `StoreUnavailable`.
        """
        connections = await Connections.open(parse_url(url), member)
        store = cls(connections, clock, wrap_begin, None if member is None else member.id)
        try:
            await store.check()
        except BaseException:
            await connections.close()
            raise
        store._writer.start()
        return store

    async def close(self) -> None:
        """Write what was handed over, then close the database."""
        try:
            await self._writer.close()
        finally:
            await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def check(self) -> None:
        """Whether the database answers and has its tables. Raises `StoreUnavailable`."""
        await self._connections.read(
            lambda connection: connection.execute(sa.select(tables.sessions.c.id).limit(1)).first()
        )

    async def count_by_state(self) -> dict[str, dict[str, int]]:
        """How many sessions, streams and utterances are in each state, by the name of their table."""
        return await self._connections.read(_count_by_state)


def _count_by_state(connection: Connection) -> dict[str, dict[str, int]]:
    counts = {}
    for table in (tables.sessions, tables.streams, tables.utterances):
        query = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
        counts[table.name] = {state.value: count for state, count in connection.execute(query)}
    return counts
