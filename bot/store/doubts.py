"""Utterances that are in doubt, of which people have not been told yet. A `Repository`.

They come into doubt in the transaction that ends them (`bot.store.utterances`), and leave it when somebody has told.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import Session, Utterance
from bot.store.repository import Repository, reads, writes
from bot.store.rows import in_batches, read_session, read_utterance
from bot.store.tables import doubts, session_is_open, sessions, utterances


class DoubtRepository(Repository):
    """Reads and settles what is in doubt."""

    @reads
    def of_sessions(self, connection: Connection, session_ids: Sequence[str]) -> dict[str, list[Utterance]]:
        """What is in doubt in each of the sessions, oldest first; an empty list where nothing is."""
        found: dict[str, list[Utterance]] = {session_id: [] for session_id in session_ids}
        for ids in in_batches(list(found)):
            query = sa.select(*utterances.c).select_from(doubts.join(utterances)).where(doubts.c.session_id.in_(ids))
            for row in connection.execute(query.order_by(utterances.c.id)):
                utterance = read_utterance(row)
                found[utterance.session_id].append(utterance)
        return found

    @reads
    def left_behind(self, connection: Connection) -> list[tuple[Session, list[Utterance]]]:
        """What is in doubt in sessions that are closed, oldest first: nobody takes these up to tell it."""
        tables = doubts.join(utterances).join(sessions, sessions.c.id == doubts.c.session_id)
        query = sa.select(*sessions.c, *utterances.c).select_from(tables).where(~session_is_open)
        found: dict[str, tuple[Session, list[Utterance]]] = {}
        for row in connection.execute(query.order_by(utterances.c.id)):
            session, utterance = read_session(row[: len(sessions.c)]), read_utterance(row[len(sessions.c) :])
            found.setdefault(session.id, (session, []))[1].append(utterance)
        return list(found.values())

    @writes
    def settle(self, connection: Connection, utterance_ids: Sequence[str]) -> None:
        """People have been told of these."""
        for ids in in_batches(utterance_ids):
            connection.execute(doubts.delete().where(doubts.c.utterance_id.in_(ids)))

    @writes
    def forget(self, connection: Connection, before: datetime) -> int:
        """Give up telling of what came into doubt before a moment. Returns how much that is."""
        old = sa.select(utterances.c.id).where(utterances.c.id == doubts.c.utterance_id, utterances.c.ended_at < before)
        return connection.execute(doubts.delete().where(old.exists())).rowcount
