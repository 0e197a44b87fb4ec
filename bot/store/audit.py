"""Who did what, and who was refused what. A `Repository`."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import AuditEntry
from bot.store.repository import Repository, reads, writes
from bot.store.rows import audit_row
from bot.store.tables import audit

REFUSED = "refused"
"""The action of a refusal: the only one that somebody without any rights can cause as often as they like."""

ADMIN_STOP = "admin stop"
"""The action of an admin, in the chat or in the shell, who closes a session."""

SAME_REFUSAL = timedelta(minutes=1)
"""How long the same refusal of the same person is not written again, so that nobody fills the disk with them."""

_MAX_ROWS_SEARCHED = 1000
"""Newest rows that are searched for the same refusal: time has no index here, the order of writing has."""


class AuditRepository(Repository):
    """Writes down and reads what was done."""

    @writes
    def add(self, connection: Connection, entry: AuditEntry) -> None:
        """Write down who did what; the same refusal of the same person once within `SAME_REFUSAL`."""
        if entry.action != REFUSED or not _is_written_already(connection, entry):
            connection.execute(audit.insert(), audit_row(entry))

    @reads
    def newest(self, connection: Connection, limit: int) -> list[AuditEntry]:
        """The newest `limit` entries, newest first."""
        columns = [column for column in audit.c if column is not audit.c.id]
        query = sa.select(*columns).order_by(audit.c.id.desc()).limit(limit)
        return [AuditEntry(*row) for row in connection.execute(query)]

    @writes
    def forget(self, connection: Connection, before: datetime) -> int:
        """Forget the entries from before a moment. Returns how many."""
        return connection.execute(audit.delete().where(audit.c.at < before)).rowcount


def _is_written_already(connection: Connection, entry: AuditEntry) -> bool:
    newest = sa.select(sa.func.max(audit.c.id)).scalar_subquery()
    same = (audit.c.actor == entry.actor, audit.c.action == entry.action, audit.c.detail == entry.detail)
    # Not what lies in the future: a clock that was set back would keep refusals out until it is there again.
    lately = audit.c.at.between(entry.at - SAME_REFUSAL, entry.at)
    query = sa.select(audit.c.id).where(audit.c.id > newest - _MAX_ROWS_SEARCHED, lately, *same).limit(1)
    return connection.execute(query).first() is not None
