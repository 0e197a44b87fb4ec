"""Where sessions are heard outside the watch page, so that the next process goes there again. A `Repository`."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.repository import Repository, reads, writes
from bot.store.tables import outlets
from bot.store.upsert import insert_into


class OutletRepository(Repository):
    """Reads and writes outlets."""

    @writes
    def enter(self, connection: Connection, session_id: str, platform: str, place: str) -> None:
        """A session is heard at a place of a platform; it is at one at a time."""
        insert = insert_into(connection.dialect.name, outlets)
        move = insert.on_conflict_do_update(
            index_elements=outlets.primary_key.columns, set_={"place": insert.excluded.place}
        )
        connection.execute(move, {"session_id": session_id, "platform": platform, "place": place})

    @reads
    def entered(self, connection: Connection, platform: str) -> dict[str, str]:
        """The places of a platform, by the sessions that are heard there."""
        query = sa.select(outlets.c.session_id, outlets.c.place).where(outlets.c.platform == platform)
        rows = connection.execute(query.order_by(outlets.c.session_id))
        return {row.session_id: row.place for row in rows}

    @writes
    def leave(self, connection: Connection, session_id: str) -> None:
        """A session is heard nowhere any more."""
        connection.execute(outlets.delete().where(outlets.c.session_id == session_id))
