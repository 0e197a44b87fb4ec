"""What is said, or waits to be, and the keys that keep a message from being taken twice. A `Repository`.

The writes that every message needs are handed over as values, and written for many sessions at once
(`bot.store.batch_statements`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import Utterance, UtteranceState
from bot.store.batch_statements import AcceptedMessage, Advance
from bot.store.repository import Repository, reads, writes
from bot.store.rows import in_batches, read_utterance
from bot.store.tables import doubts, in_states, processed_events, utterance_is_unfinished, utterances

_IS_QUEUED = in_states(utterances.c.state, (UtteranceState.QUEUED,))
_WAS_SAID = in_states(utterances.c.state, (UtteranceState.SPOKEN, UtteranceState.INTERRUPTED))
_IS_IN_FLIGHT = in_states(utterances.c.state, (UtteranceState.SENDING, UtteranceState.SPEAKING))


class UtteranceRepository(Repository):
    """Reads and writes utterances, and the de-duplication keys."""

    async def accept(self, keys: Sequence[str], utterance: Utterance | None) -> bool:
        """Record the de-duplication keys and the utterance in one transaction (rule 7).

        False if any key was seen before: the utterance is not written, its new keys are. No keys always accepts.
        """
        return await self._writer.write(AcceptedMessage(tuple(keys), utterance, self._clock.now()))

    async def advance(self, utterance_id: str, state: UtteranceState, *, detail: str | None = None) -> None:
        """Move an utterance to another state; a final one sets its end from the clock and is never left again. All
        others are written once a server that is away is back: what may come after an end, such as the close of a stream
        that costs money, does not wait for that."""
        advance = Advance(utterance_id, state, detail, self._clock.now())
        await self._writer.write(advance, is_patient=not state.is_final)

    def advance_soon(self, utterance_id: str, state: UtteranceState, on_error: Callable[[BaseException], None]) -> None:
        """As `advance`, with the next commit or within `bot.store.writer.MAX_DELAY`, or once a server that is away is
        back; nobody waits for it, and `on_error` is called with what went wrong."""
        self._writer.advance_soon(Advance(utterance_id, state, None, self._clock.now()), on_error)

    @reads
    def was_seen(self, connection: Connection, keys: Sequence[str]) -> bool:
        """Whether any of the de-duplication keys was recorded before."""
        query = sa.select(processed_events.c.key).where(processed_events.c.key.in_(keys)).limit(1)
        return connection.execute(query).first() is not None

    @reads
    def seen_of(self, connection: Connection, keys: Sequence[str]) -> set[str]:
        """Those of the de-duplication keys that were recorded before."""
        seen: set[str] = set()
        for some in in_batches(keys):
            query = sa.select(processed_events.c.key).where(processed_events.c.key.in_(some))
            seen.update(connection.execute(query).scalars())
        return seen

    @reads
    def last_message_id(self, connection: Connection, session_id: str) -> str | None:
        """The platform's id of the message that a session took last; None if it took none, but commands."""
        query = sa.select(utterances.c.message_id).where(
            utterances.c.session_id == session_id, utterances.c.message_id.is_not(None)
        )
        return connection.execute(query.order_by(utterances.c.id.desc()).limit(1)).scalar()

    @reads
    def queued(self, connection: Connection, session_ids: Sequence[str]) -> dict[str, list[Utterance]]:
        """The queue of each of the sessions, oldest first; an empty list where nothing waits."""
        return _unfinished(connection, session_ids, _IS_QUEUED)

    @reads
    def busy_sessions(self, connection: Connection, session_ids: Sequence[str]) -> set[str]:
        """Which of the sessions have something waiting, or being said."""
        busy: set[str] = set()
        for ids in in_batches(session_ids):
            of_sessions = utterances.c.session_id.in_(ids)
            query = sa.select(utterances.c.session_id).where(of_sessions, utterance_is_unfinished).distinct()
            busy.update(connection.execute(query).scalars())
        return busy

    @reads
    def last_activity(self, connection: Connection, session_ids: Sequence[str]) -> dict[str, datetime]:
        """When something was last accepted or ended in each session; those without utterances are left out."""
        latest: dict[str, datetime] = {}
        columns = utterances.c.session_id, sa.func.max(utterances.c.accepted_at), sa.func.max(utterances.c.ended_at)
        for ids in in_batches(session_ids):
            query = sa.select(*columns).where(utterances.c.session_id.in_(ids)).group_by(utterances.c.session_id)
            for session_id, accepted_at, ended_at in connection.execute(query):
                latest[session_id] = accepted_at if ended_at is None else max(accepted_at, ended_at)
        return latest

    @reads
    def last_word(self, connection: Connection, session_ids: Sequence[str]) -> dict[str, datetime]:
        """When something was last accepted in each session, or said at least in part; those without utterances are left
        out. Unlike `last_activity` it does not count what was given up, which whoever takes a session over does."""
        latest: dict[str, datetime] = {}
        said_at = sa.func.max(sa.case((_WAS_SAID, utterances.c.ended_at)))
        columns = utterances.c.session_id, sa.func.max(utterances.c.accepted_at), said_at
        for ids in in_batches(session_ids):
            query = sa.select(*columns).where(utterances.c.session_id.in_(ids)).group_by(utterances.c.session_id)
            for session_id, accepted_at, said_at_last in connection.execute(query):
                latest[session_id] = accepted_at if said_at_last is None else max(accepted_at, said_at_last)
        return latest

    @writes
    def reword(self, connection: Connection, utterance_id: str, text: str) -> bool:
        """Change what a waiting utterance says. False if it no longer waits."""
        update = utterances.update().where(utterances.c.id == utterance_id, utterance_is_unfinished, _IS_QUEUED)
        return connection.execute(update.values(text=text)).rowcount > 0

    @writes
    def requeue(self, connection: Connection, utterance_ids: Sequence[str]) -> str | None:
        """Have the one of these wait that has a row and has not come to its end, and return its id; None if none is
        so."""
        update = utterances.update().where(utterances.c.id.in_(utterance_ids), utterance_is_unfinished)
        return connection.execute(update.values(state=UtteranceState.QUEUED).returning(utterances.c.id)).scalar()

    @writes
    def drop_queued(self, connection: Connection, session_id: str) -> int:
        """Drop what waits in a session's queue. Returns how many."""
        return _end(connection, [session_id], _IS_QUEUED, UtteranceState.DROPPED, self._clock.now())

    @writes
    def mark_in_flight_unknown(
        self, connection: Connection, session_ids: Sequence[str], *, are_told: bool = False
    ) -> None:
        """What is in flight becomes `unknown` (rule 7). `are_told`: people have been told so; else that is owed to them
        from now on (`bot.store.doubts`), whatever becomes of this process."""
        now = self._clock.now()
        for ids in in_batches(session_ids):
            end = _ending(ids, _IS_IN_FLIGHT, UtteranceState.UNKNOWN, now)
            ended = connection.execute(end.returning(utterances.c.id, utterances.c.session_id)).all()
            if ended and not are_told:
                connection.execute(
                    doubts.insert(),
                    [{"utterance_id": its_id, "session_id": session_id} for its_id, session_id in ended],
                )

    @writes
    def forget_keys(self, connection: Connection, before: datetime) -> int:
        """Forget the de-duplication keys seen before a moment. Returns how many."""
        return connection.execute(processed_events.delete().where(processed_events.c.seen_at < before)).rowcount


def _unfinished(
    connection: Connection, session_ids: Sequence[str], condition: sa.ColumnElement[bool]
) -> dict[str, list[Utterance]]:
    found: dict[str, list[Utterance]] = {session_id: [] for session_id in session_ids}
    for ids in in_batches(list(found)):
        # Both conditions: SQLite uses a partial index only where the query repeats its condition.
        of_sessions = utterances.c.session_id.in_(ids)
        query = sa.select(utterances).where(of_sessions, utterance_is_unfinished, condition)
        query = query.order_by(utterances.c.session_id, utterances.c.id)
        for row in connection.execute(query):
            utterance = read_utterance(row)
            found[utterance.session_id].append(utterance)
    return found


def _end(
    connection: Connection,
    session_ids: Sequence[str],
    condition: sa.ColumnElement[bool],
    state: UtteranceState,
    moment: datetime,
) -> int:
    return sum(connection.execute(_ending(ids, condition, state, moment)).rowcount for ids in in_batches(session_ids))


def _ending(
    session_ids: Sequence[str], condition: sa.ColumnElement[bool], state: UtteranceState, moment: datetime
) -> sa.Update:
    of_sessions = utterances.c.session_id.in_(session_ids)
    update = utterances.update().where(of_sessions, utterance_is_unfinished, condition)
    return update.values(state=state, ended_at=moment)
