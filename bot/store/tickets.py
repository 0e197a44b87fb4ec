"""Which page has a ticket that is good for one page. A `Repository`."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.repository import Repository, reads, writes
from bot.store.tables import tickets
from bot.store.upsert import insert_into


class TicketRepository(Repository):
    """Reads and writes who has tickets."""

    @reads
    def holder(self, connection: Connection, nonce: str) -> str | None:
        """The page that has a ticket; None while none has."""
        return _holder(connection, nonce)

    @writes
    def take(self, connection: Connection, nonce: str, page: str) -> bool:
        """Give a ticket to a page, unless another has it. Of two at once one gets it."""
        insert = insert_into(connection.dialect.name, tickets).on_conflict_do_nothing()
        connection.execute(insert, {"nonce": nonce, "page": page, "taken_at": self._clock.now()})
        return _holder(connection, nonce) == page

    @writes
    def forget(self, connection: Connection, before: datetime) -> None:
        """Drop tickets that were taken before a moment."""
        connection.execute(tickets.delete().where(tickets.c.taken_at < before))


def _holder(connection: Connection, nonce: str) -> str | None:
    page: str | None = connection.execute(sa.select(tickets.c.page).where(tickets.c.nonce == nonce)).scalar()
    return page
