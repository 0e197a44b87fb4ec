"""The shards of a platform that splits its connection into parts, shared among the processes on the database; and the
tickets with which one at a time is introduced to the platform. A `Repository`.

Whoever has a shard hears what happens in its workspaces, so it owns their sessions too. What a shard is, and which one
a workspace is in, the platform's adapter knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.repository import Repository, reads, writes
from bot.store.tables import processes, shard_sharers, shard_tickets, shards
from bot.store.upsert import insert_into


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of a platform as one process sees them. of: how many there are, 0 before anybody has made them.
    mine: those it has; free: those nobody has. sharers: how many processes can connect some, this one included."""

    of: int
    mine: frozenset[int]
    free: frozenset[int]
    sharers: int = 1

    @property
    def share(self) -> int:
        """How many each process is to have, at most."""
        return share_of(self.of, self.sharers)

    @property
    def elsewhere(self) -> frozenset[int]:
        """Those that other processes have."""
        return frozenset(range(self.of)) - self.mine - self.free

    @property
    def wanted(self) -> int:
        """How many more it may take."""
        return max(0, min(self.share - len(self.mine), len(self.free)))

    @property
    def surplus(self) -> int:
        """How many it has that another process waits for."""
        return 0 if self.free else max(0, len(self.mine) - self.share)


def share_of(count: int, processes: int) -> int:
    """How many of `count` shards each of so many processes is to have, at most."""
    return -(-count // max(1, processes))


class ShardRepository(Repository):
    """Reads and writes shards."""

    @reads
    def look(self, connection: Connection, platform: str) -> Shards:
        """How the shards are shared now."""
        return self._shards(connection, platform)

    @reads
    def owners(self, connection: Connection, platform: str) -> dict[int, str | None]:
        """Which process has each shard; None for one that is free."""
        return dict(self._rows(connection, platform))

    @writes
    def join(self, connection: Connection, platform: str) -> None:
        """Share them from now on."""
        join = insert_into(connection.dialect.name, shard_sharers).on_conflict_do_nothing()
        connection.execute(join, {"platform": platform, "process": self._process})

    @writes
    def claim(self, connection: Connection, platform: str, count: int) -> Shards:
        """Take free shards, up to this process's share; returns how they are shared then.

        count: how many there are to be. Those there are remain while any process has one of them: all have to agree.
        """
        taken = sa.select(shards.c.number).where(shards.c.platform == platform, shards.c.owner.is_not(None))
        # Nobody has one, so nobody counts on their number. Of two that find this, one waits for the other here.
        stale = shards.delete().where(shards.c.platform == platform, shards.c.of != count, shards.c.owner.is_(None))
        connection.execute(stale.where(~taken.exists()))
        if not self._rows(connection, platform):
            insert = insert_into(connection.dialect.name, shards).on_conflict_do_nothing()
            rows = [{"platform": platform, "number": number, "of": count} for number in range(count)]
            connection.execute(insert, rows)
        found = self._shards(connection, platform)
        if found.wanted:
            free = (
                sa.select(shards.c.number)
                .where(shards.c.platform == platform, shards.c.owner.is_(None))
                .order_by(shards.c.number)
                .limit(found.wanted)
                .with_for_update(skip_locked=True)
            )
            update = shards.update().where(shards.c.platform == platform, shards.c.number.in_(free))
            connection.execute(update.values(owner=self._process))
        return self._shards(connection, platform)

    @writes
    def release(self, connection: Connection, platform: str, numbers: Sequence[int]) -> None:
        """Leave shards to whoever takes them."""
        mine = shards.c.platform == platform, shards.c.owner == self._process, shards.c.number.in_(numbers)
        connection.execute(shards.update().where(*mine).values(owner=None))

    @writes
    def withdraw(self, connection: Connection, platform: str) -> None:
        """Leave every shard, and share them no more."""
        mine = shards.c.platform == platform, shards.c.owner == self._process
        connection.execute(shards.update().where(*mine).values(owner=None))
        me = shard_sharers.c.platform == platform, shard_sharers.c.process == self._process
        connection.execute(shard_sharers.delete().where(*me))

    @writes
    def take_ticket(self, connection: Connection, platform: str, bucket: int, every: float) -> float:
        """The right to introduce one shard of a bucket, and seconds until it is good: one every `every` seconds, over
        all processes. By the clock of the database where processes share one."""
        now = self._now(connection)
        fresh = insert_into(connection.dialect.name, shard_tickets).on_conflict_do_nothing()
        connection.execute(fresh, {"platform": platform, "bucket": bucket, "next_at": now})
        row = shard_tickets.c.platform == platform, shard_tickets.c.bucket == bucket
        locked = sa.select(shard_tickets.c.next_at).where(*row).with_for_update()
        last: datetime = connection.execute(locked).scalar_one()
        # Asked for again: the lock may have been waited for.
        now = self._now(connection)
        mine = max(now, last)
        connection.execute(shard_tickets.update().where(*row).values(next_at=mine + timedelta(seconds=every)))
        return (mine - now).total_seconds()

    def _shards(self, connection: Connection, platform: str) -> Shards:
        rows = self._rows(connection, platform)
        sharers = sa.select(sa.func.count()).select_from(shard_sharers.join(processes))
        sharers = sharers.where(shard_sharers.c.platform == platform, ~processes.c.is_leaving)
        return Shards(
            len(rows),
            frozenset(number for number, owner in rows if owner is not None and owner == self._process),
            frozenset(number for number, owner in rows if owner is None),
            connection.execute(sharers).scalar_one(),
        )

    def _rows(self, connection: Connection, platform: str) -> list[tuple[int, str | None]]:
        query = sa.select(shards.c.number, shards.c.owner).where(shards.c.platform == platform)
        return [(number, owner) for number, owner in connection.execute(query.order_by(shards.c.number))]
