"""Whom nobody may hear any more: people an admin has blocked. A `Repository`."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import Block
from bot.store.repository import Repository, reads, writes
from bot.store.tables import blocks
from bot.store.upsert import insert_into


class BlockRepository(Repository):
    """Reads and writes blocks."""

    @writes
    def add(self, connection: Connection, person: str, workspace: str, by: str) -> bool:
        """Block a person, as `Block` says. False if that was so already."""
        block = Block(person, workspace, by, self._clock.now())
        row = {name: getattr(block, name) for name in Block.__slots__}
        insert = insert_into(connection.dialect.name, blocks).on_conflict_do_nothing()
        return connection.execute(insert, row).rowcount > 0

    @writes
    def remove(self, connection: Connection, person: str, workspace: str) -> bool:
        """Unblock a person. False if nobody had blocked them there."""
        is_it = sa.and_(blocks.c.person == person, blocks.c.workspace == workspace)
        return connection.execute(blocks.delete().where(is_it)).rowcount > 0

    @reads
    def everybody(self, connection: Connection) -> list[Block]:
        """Everybody who is blocked, the newest first."""
        query = sa.select(blocks).order_by(blocks.c.at.desc(), blocks.c.person, blocks.c.workspace)
        return [Block(*row) for row in connection.execute(query)]
