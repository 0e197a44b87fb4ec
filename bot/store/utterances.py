"""The statements on utterances and on the keys that keep a message from being taken twice.

Plain functions over a connection: no transaction begins or ends here. `accept_many` and `advance_many` are what every
message needs: they take what many sessions want at once, with one statement for each table (`bot.store.driver`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bot.core.models import Utterance, UtteranceState
from bot.store.driver import DriverStatement
from bot.store.rows import in_batches, read_utterance, utterance_row
from bot.store.tables import in_states, processed_events, utterance_is_unfinished, utterances

_INSERT_KEYS: dict[str, sqlite.Insert | postgresql.Insert] = {
    "sqlite": sqlite.insert(processed_events),
    "postgresql": postgresql.insert(processed_events),
}
_INSERT_UTTERANCES = DriverStatement(utterances.insert())
_ADVANCE = DriverStatement(
    utterances.update()
    .where(utterances.c.id == sa.bindparam("utterance_id"), utterance_is_unfinished)
    .values(
        state=sa.bindparam("new_state"),
        detail=sa.func.coalesce(sa.bindparam("new_detail", type_=utterances.c.detail.type), utterances.c.detail),
        ended_at=sa.bindparam("end"),
    )
)

_IS_QUEUED = in_states(utterances.c.state, (UtteranceState.QUEUED,))
_IS_IN_FLIGHT = in_states(utterances.c.state, (UtteranceState.SENDING, UtteranceState.SPEAKING))


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message to be taken: its keys, what is to be spoken of it, and when it was seen."""

    keys: tuple[str, ...]
    utterance: Utterance | None
    seen_at: datetime


def accept_many(connection: Connection, acceptances: Sequence[AcceptedMessage]) -> list[bool]:
    """Record every key, and insert the utterances of those whose keys are all new; the first with a key wins."""
    seen_at = {key: acceptance.seen_at for acceptance in reversed(acceptances) for key in acceptance.keys}
    new = _record_keys(connection, seen_at)
    verdicts = []
    for acceptance in acceptances:
        verdicts.append(new.issuperset(acceptance.keys))
        new.difference_update(acceptance.keys)
    rows = [
        utterance_row(acceptance.utterance)
        for acceptance, accepted in zip(acceptances, verdicts, strict=True)
        if accepted and acceptance.utterance is not None
    ]
    if rows:
        _INSERT_UTTERANCES.execute_many(connection, rows)
    return verdicts


def was_seen(connection: Connection, keys: Sequence[str]) -> bool:
    """Whether any of the keys was recorded before."""
    query = sa.select(processed_events.c.key).where(processed_events.c.key.in_(keys)).limit(1)
    return connection.execute(query).first() is not None


def _record_keys(connection: Connection, seen_at: dict[str, datetime]) -> set[str]:
    """Insert the keys that are not there yet and return them."""
    if not seen_at:
        return set()
    # Sorted: two processes that insert the same keys wait for each other in one order, never in a circle. Filled up to
    # a power of two with the last one, which is not inserted twice: a dozen statements are prepared, not a thousand.
    keys = sorted(seen_at)
    keys += keys[-1:] * ((1 << (len(keys) - 1).bit_length()) - len(keys))
    parameters: dict[str, object] = {}
    for number, key in enumerate(keys):
        parameters |= {f"key{number}": key, f"seen_at{number}": seen_at[key]}
    return set(_insert_new_keys(connection.dialect.name, len(keys)).fetch(connection, parameters))


@cache
def _insert_new_keys(dialect: str, count: int) -> DriverStatement:
    """The insert of so many keys that returns those that were new."""
    insert = _INSERT_KEYS[dialect].values(
        [{"key": sa.bindparam(f"key{n}"), "seen_at": sa.bindparam(f"seen_at{n}")} for n in range(count)]
    )
    return DriverStatement(insert.on_conflict_do_nothing().returning(processed_events.c.key))


@dataclass(frozen=True, slots=True)
class Advance:
    """An utterance that moves to another state at a moment. One in a final state stays there."""

    utterance_id: str
    state: UtteranceState
    detail: str | None
    moment: datetime


def advance_many(connection: Connection, advances: Sequence[Advance]) -> None:
    """Move each utterance, in this order; a final state gets its moment as its end."""
    rows = [
        {
            "utterance_id": advance.utterance_id,
            "new_state": advance.state,
            "new_detail": advance.detail,
            "end": advance.moment if advance.state.is_final else None,
        }
        for advance in advances
    ]
    _ADVANCE.execute_many(connection, rows)


def queued_utterances(connection: Connection, session_ids: Sequence[str]) -> dict[str, list[Utterance]]:
    """The queue of each session, oldest first; an empty one where nothing waits."""
    return _unfinished(connection, session_ids, _IS_QUEUED)


def busy_sessions(connection: Connection, session_ids: Sequence[str]) -> set[str]:
    """Which of the sessions have something waiting, or being said."""
    busy: set[str] = set()
    for ids in in_batches(session_ids):
        of_sessions = utterances.c.session_id.in_(ids)
        query = sa.select(utterances.c.session_id).where(of_sessions, utterance_is_unfinished).distinct()
        busy.update(connection.execute(query).scalars())
    return busy


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


def reword(connection: Connection, utterance_id: str, text: str) -> bool:
    """Change what a waiting utterance says. False if it no longer waits."""
    update = utterances.update().where(utterances.c.id == utterance_id, utterance_is_unfinished, _IS_QUEUED)
    return connection.execute(update.values(text=text)).rowcount > 0


def drop_queued(connection: Connection, session_id: str, moment: datetime) -> int:
    """Drop what waits in a session's queue. Returns how many."""
    return _end(connection, [session_id], _IS_QUEUED, UtteranceState.DROPPED, moment)


def mark_in_flight_unknown(
    connection: Connection, session_ids: Sequence[str], moment: datetime
) -> dict[str, list[Utterance]]:
    """What was in flight becomes `unknown` (rule 7). Returns it as it was, by session, oldest first."""
    in_flight = _unfinished(connection, session_ids, _IS_IN_FLIGHT)
    _end(connection, session_ids, _IS_IN_FLIGHT, UtteranceState.UNKNOWN, moment)
    return in_flight


def _end(
    connection: Connection,
    session_ids: Sequence[str],
    condition: sa.ColumnElement[bool],
    state: UtteranceState,
    moment: datetime,
) -> int:
    ended = 0
    for ids in in_batches(session_ids):
        of_sessions = utterances.c.session_id.in_(ids)
        update = utterances.update().where(of_sessions, utterance_is_unfinished, condition)
        ended += connection.execute(update.values(state=state, ended_at=moment)).rowcount
    return ended


def last_activity(connection: Connection, session_ids: Sequence[str]) -> dict[str, datetime]:
    """When something was last accepted or ended in each session; sessions without utterances are left out."""
    latest: dict[str, datetime] = {}
    columns = utterances.c.session_id, sa.func.max(utterances.c.accepted_at), sa.func.max(utterances.c.ended_at)
    for ids in in_batches(session_ids):
        query = sa.select(*columns).where(utterances.c.session_id.in_(ids)).group_by(utterances.c.session_id)
        for session_id, accepted_at, ended_at in connection.execute(query):
            latest[session_id] = accepted_at if ended_at is None else max(accepted_at, ended_at)
    return latest


def forget_events(connection: Connection, before: datetime) -> int:
    """Delete the keys seen before a moment. Returns how many."""
    return connection.execute(processed_events.delete().where(processed_events.c.seen_at < before)).rowcount
