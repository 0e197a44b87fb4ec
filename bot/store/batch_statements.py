"""The two writes that every message needs, for many sessions at once: with one statement for each table.

Plain functions over the driver: no transaction begins or ends here. `bot.store.writer` runs them for all who wait,
and `bot.store.utterances` hands over what they take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from bot.core.models import Utterance, UtteranceState
from bot.store.driver import BatchStatement, Driver
from bot.store.tables import processed_events, utterance_is_unfinished, utterances
from bot.store.upsert import insert_into


def _insert_utterances(_: str, given: sa.CTE) -> sa.Insert:
    return utterances.insert().from_select(list(given.c.keys()), sa.select(given).where(given.c.id.is_not(None)))


def _advance(_: str, given: sa.CTE) -> sa.Update:
    move = utterances.update().where(utterances.c.id == given.c.id, utterance_is_unfinished)
    detail = sa.func.coalesce(given.c.detail, utterances.c.detail)
    return move.values(state=given.c.state, detail=detail, ended_at=given.c.ended_at)


def _insert_keys(dialect: str, given: sa.CTE) -> sa.Insert:
    insert = insert_into(dialect, processed_events)
    insert = insert.from_select(list(given.c.keys()), sa.select(given).where(given.c.key.is_not(None)))
    return insert.on_conflict_do_nothing()


def _insert_new_keys(dialect: str, given: sa.CTE) -> sa.Insert:
    return _insert_keys(dialect, given).returning(processed_events.c.key)


def _select_known_keys(_: str, given: sa.CTE) -> sa.Select[str]:
    return sa.select(processed_events.c.key).join(given, processed_events.c.key == given.c.key)


_INSERT_UTTERANCES = BatchStatement(utterances.c, _insert_utterances)
_ADVANCE = BatchStatement((utterances.c.id, utterances.c.state, utterances.c.detail, utterances.c.ended_at), _advance)
_INSERT_KEYS = BatchStatement(processed_events.c, _insert_keys)
_INSERT_NEW_KEYS = BatchStatement(processed_events.c, _insert_new_keys)
_SELECT_KNOWN_KEYS = BatchStatement((processed_events.c.key,), _select_known_keys)


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message to be taken: its keys, what is to be spoken of it, and when it was seen."""

    keys: tuple[str, ...]
    utterance: Utterance | None
    seen_at: datetime


def accept_many(driver: Driver, acceptances: Sequence[AcceptedMessage]) -> list[bool]:
    """Record every key, and insert the utterances of those whose keys are all new; the first with a key wins."""
    seen_at = {key: acceptance.seen_at for acceptance in reversed(acceptances) for key in acceptance.keys}
    new = _record_keys(driver, seen_at)
    verdicts = []
    for acceptance in acceptances:
        verdicts.append(new.issuperset(acceptance.keys))
        new.difference_update(acceptance.keys)
    accepted = [acceptance.utterance for acceptance, is_new in zip(acceptances, verdicts, strict=True) if is_new]
    _INSERT_UTTERANCES.execute(driver, [utterance for utterance in accepted if utterance is not None])
    return verdicts


def _record_keys(driver: Driver, seen_at: dict[str, datetime]) -> set[str]:
    """Insert the keys that are not there yet and return them."""
    # Sorted: two processes that insert the same keys wait for each other in one order, never in a circle.
    rows = sorted(seen_at.items())
    if driver.dialect.name != "sqlite":
        return set(_INSERT_NEW_KEYS.fetch(driver, rows))
    # Nobody else writes meanwhile, so those that were known can be asked for: mostly none, which come back for nothing.
    known = set(_SELECT_KNOWN_KEYS.fetch(driver, [(key,) for key in seen_at]))
    _INSERT_KEYS.execute(driver, [row for row in rows if row[0] not in known])
    return seen_at.keys() - known


@dataclass(frozen=True, slots=True)
class Advance:
    """An utterance that moves to another state at a moment. One in a final state stays there."""

    utterance_id: str
    state: UtteranceState
    detail: str | None
    moment: datetime


def advance_many(driver: Driver, advances: Sequence[Advance]) -> None:
    """Move each utterance, in this order; a final state gets its moment as its end."""
    last: dict[str, Advance] = {}
    for advance in advances:
        before = last.get(advance.utterance_id)
        last[advance.utterance_id] = advance if before is None else _both(before, advance)
    rows = [
        (advance.utterance_id, advance.state, advance.detail, advance.moment if advance.state.is_final else None)
        for advance in last.values()
    ]
    _ADVANCE.execute(driver, rows)


def _both(first: Advance, second: Advance) -> Advance:
    """What two moves of one utterance come to, as if each were written."""
    if first.state.is_final:
        return first
    return second if first.detail is None or second.detail is not None else replace(second, detail=first.detail)
