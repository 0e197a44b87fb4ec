"""The two writes that every message needs, for many sessions at once: with one statement for each table.

Plain functions over the driver: no transaction begins or ends here. `bot.store.writer` runs them for all who wait,
and `bot.store.utterances` hands over what they take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import sqlalchemy as sa

from bot.core.models import Utterance, UtteranceState
from bot.store.driver import Driver, DriverStatement
from bot.store.rows import utterance_row
from bot.store.tables import processed_events, utterance_is_unfinished, utterances
from bot.store.upsert import insert_into

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
    rows = [
        utterance_row(acceptance.utterance)
        for acceptance, accepted in zip(acceptances, verdicts, strict=True)
        if accepted and acceptance.utterance is not None
    ]
    if rows:
        _INSERT_UTTERANCES.execute_many(driver, rows)
    return verdicts


def _record_keys(driver: Driver, seen_at: dict[str, datetime]) -> set[str]:
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
    return set(_insert_new_keys(driver.dialect.name, len(keys)).fetch(driver, parameters))


@cache
def _insert_new_keys(dialect: str, count: int) -> DriverStatement:
    """The insert of so many keys that returns those that were new."""
    insert = insert_into(dialect, processed_events).values(
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


def advance_many(driver: Driver, advances: Sequence[Advance]) -> None:
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
    _ADVANCE.execute_many(driver, rows)
