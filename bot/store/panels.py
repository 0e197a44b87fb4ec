"""Where the message stands that shows a session in its channel, so that the next process finds it. A `Repository`."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import PanelMessage
from bot.store.repository import Repository, reads, writes
from bot.store.tables import panels, session_is_open, sessions
from bot.store.upsert import insert_into


class PanelRepository(Repository):
    """Reads and writes panels."""

    @writes
    def place(self, connection: Connection, platform: str, panel: PanelMessage) -> None:
        """Remember where the panel of a session stands; a second one takes the place of the first."""
        insert = insert_into(connection.dialect.name, panels)
        move = insert.on_conflict_do_update(
            index_elements=panels.primary_key.columns, set_={"reference": insert.excluded.reference}
        )
        connection.execute(move, {"session_id": panel.session_id, "platform": platform, "reference": panel.reference})

    @reads
    def placed_on(self, connection: Connection, platform: str) -> list[PanelMessage]:
        """Every panel of a platform that has not been drawn for the last time, but for those that another process may
        be drawing: of sessions that are open and not this process's."""
        query = sa.select(panels.c.session_id, panels.c.reference).where(panels.c.platform == platform)
        if self._process is not None:
            is_mine = sa.or_(sessions.c.owner == self._process, ~session_is_open)
            query = query.join_from(panels, sessions).where(is_mine)
        return [PanelMessage(*row) for row in connection.execute(query.order_by(panels.c.session_id))]

    @reads
    def of_session(self, connection: Connection, session_id: str) -> PanelMessage | None:
        """The panel of a session; None if none was placed yet."""
        query = sa.select(panels.c.session_id, panels.c.reference).where(panels.c.session_id == session_id)
        row = connection.execute(query).one_or_none()
        return None if row is None else PanelMessage(*row)

    @writes
    def forget(self, connection: Connection, session_id: str) -> None:
        """The panel of a session has been drawn for the last time, or is gone."""
        connection.execute(panels.delete().where(panels.c.session_id == session_id))
