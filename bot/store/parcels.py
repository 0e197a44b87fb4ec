"""What came in while the owner of its session could not be reached, for whoever owns that next. A `Repository`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import Channel
from bot.store.repository import Repository, reads, writes
from bot.store.rows import channel_row
from bot.store.tables import parcels, session_is_open, sessions

AT_ONCE = 200
"""Parcels that are read together."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """`kind` says who handles the body. age: seconds since it was kept."""

    id: int
    channel: Channel
    kind: str
    body: str
    age: float = field(default=0.0, compare=False)


class ParcelRepository(Repository):
    """Reads and writes parcels."""

    @writes
    def put(self, connection: Connection, channel: Channel, kind: str, body: str) -> None:
        """Keep one, behind those that are there."""
        row = channel_row(channel) | {"kind": kind, "body": body, "at": self._now(connection)}
        connection.execute(parcels.insert(), row)

    @reads
    def waiting(self, connection: Connection, *, homeless: bool) -> list[Parcel]:
        """The oldest ones for sessions of this process. homeless: those as well whose channel has no session any
        more."""
        at_home = sa.and_(
            session_is_open, sessions.c.platform == parcels.c.platform, sessions.c.channel == parcels.c.channel
        )
        is_mine = sessions.c.owner == self._process
        query = sa.select(*_COLUMNS).outerjoin_from(parcels, sessions, at_home)
        query = query.where(sa.or_(is_mine, sessions.c.id.is_(None)) if homeless else is_mine)
        now = self._now(connection)
        return [_read(row, now) for row in connection.execute(query.order_by(parcels.c.id).limit(AT_ONCE))]

    @writes
    def forget(self, connection: Connection, parcel_id: int) -> None:
        """One has been handled."""
        connection.execute(parcels.delete().where(parcels.c.id == parcel_id))

    @writes
    def prune(self, connection: Connection, older_than: timedelta) -> int:
        """Forget those that nobody has handled for so long; returns how many."""
        kept_before = self._now(connection) - older_than
        return connection.execute(parcels.delete().where(parcels.c.at < kept_before)).rowcount


_COLUMNS = (
    parcels.c.id,
    parcels.c.platform,
    parcels.c.workspace,
    parcels.c.channel,
    parcels.c.kind,
    parcels.c.body,
    parcels.c.at,
)


def _read(row: Sequence[Any], now: datetime) -> Parcel:
    number, platform, workspace, channel, kind, body, at = row
    return Parcel(number, Channel(platform, workspace, channel), kind, body, (now - at).total_seconds())
