"""How much people have sent within this minute, where several processes count together. A `Repository`."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.repository import Repository, writes
from bot.store.tables import rates
from bot.store.upsert import insert_into


class RateRepository(Repository):
    """Reads and writes what people have sent."""

    @writes
    def count(
        self, connection: Connection, person: str, minute: int, sent: tuple[int, int], most: tuple[int, int]
    ) -> str | None:
        """Count the messages and characters that somebody sends. Returns which of the two limits they would exceed,
        `messages` or `characters`; then they do not count.

        minute: since 1970, at whose beginning all counts start anew. most: messages and characters a minute, 0 for no
        limit.
        """
        insert = insert_into(connection.dialect.name, rates)
        new = insert.excluded
        messages = _so_far(rates.c.messages, new.minute) + new.messages
        characters = _so_far(rates.c.characters, new.minute) + new.characters
        fits = [total <= limit for total, limit in zip((messages, characters), most, strict=True) if limit]
        if most[1] and sent[1] > most[1]:
            return "characters"
        counted = insert.on_conflict_do_update(
            index_elements=rates.primary_key.columns,
            set_={"minute": new.minute, "messages": messages, "characters": characters},
            where=sa.and_(sa.true(), *fits),
        )
        row = {"person": person, "minute": minute, "messages": sent[0], "characters": sent[1]}
        if connection.execute(counted, row).rowcount:
            return None
        so_far = sa.select(rates.c.messages).where(rates.c.person == person, rates.c.minute == minute)
        before = connection.execute(so_far).scalar() or 0
        return "messages" if most[0] and before + sent[0] > most[0] else "characters"

    @writes
    def forget(self, connection: Connection, minute: int) -> None:
        """Drop what was sent before a minute."""
        connection.execute(rates.delete().where(rates.c.minute < minute))


def _so_far(column: sa.ColumnElement[int], minute: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.case((rates.c.minute == minute, column), else_=0)
