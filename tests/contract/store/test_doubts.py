"""What is in doubt until people have been told, on both engines: noted with the end of the utterance, or not at all."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.core.errors import StoreError
from bot.core.models import Session, SessionState, Utterance, UtteranceState
from bot.store import migrate
from bot.store.store import Store
from bot.store.tables import utterances
from tests.builders import NOON, a_session, an_utterance
from tests.harness.clock import ManualClock

IN_FLIGHT = (UtteranceState.SENDING, UtteranceState.SPEAKING)


async def left_in_flight(store: Store, *states: UtteranceState) -> tuple[Session, list[Utterance]]:
    """A session with an utterance in each of these states."""
    session = await store.sessions.open(a_session())
    left = [an_utterance(session) for _ in states]
    for utterance, state in zip(left, states, strict=True):
        await store.utterances.accept((), utterance)
        await store.utterances.advance(utterance.id, state)
    return session, left


async def rename(url: str, table: str, name: str) -> None:
    statement = sa.text(f"ALTER TABLE {table} RENAME TO {name}")
    await migrate.over_connection(url, lambda connection: connection.execute(statement))


async def doubts_of(store: Store, session: Session) -> list[str]:
    return [utterance.id for utterance in (await store.doubts.of_sessions([session.id]))[session.id]]


async def test_what_was_in_flight_is_in_doubt_until_somebody_has_told(store: Store) -> None:
    session, left = await left_in_flight(store, *UtteranceState)
    other, _ = await left_in_flight(store, UtteranceState.SENDING)
    await store.utterances.mark_in_flight_unknown([session.id])
    found = (await store.doubts.of_sessions([session.id, other.id]))[session.id]
    in_doubt = [each.id for each, state in zip(left, UtteranceState, strict=True) if state in IN_FLIGHT]
    assert [each.id for each in found] == in_doubt
    assert {each.state for each in found} == {UtteranceState.UNKNOWN}
    assert await doubts_of(store, other) == []

    await store.utterances.mark_in_flight_unknown([session.id])
    assert await doubts_of(store, session) == in_doubt
    await store.doubts.settle(in_doubt[:1])
    assert await doubts_of(store, session) == in_doubt[1:]
    await store.doubts.settle(in_doubt)
    assert await doubts_of(store, session) == []
    await store.doubts.settle([])


async def test_what_people_have_been_told_already_is_in_no_doubt(store: Store) -> None:
    session, _ = await left_in_flight(store, *IN_FLIGHT)
    await store.utterances.mark_in_flight_unknown([session.id], are_told=True)
    assert await doubts_of(store, session) == []


async def test_what_cannot_be_noted_as_in_doubt_stays_in_flight(store: Store, url: str) -> None:
    session, (utterance,) = await left_in_flight(store, UtteranceState.SENDING)
    await rename(url, "doubts", "away")
    try:
        with pytest.raises(StoreError):
            await store.utterances.mark_in_flight_unknown([session.id])
        state = sa.select(utterances.c.state).where(utterances.c.id == utterance.id)
        read = await store._connections.read(lambda connection: connection.execute(state).scalar_one())
        assert read is UtteranceState.SENDING
    finally:
        await rename(url, "away", "doubts")


async def test_sessions_that_are_closed_leave_theirs_behind(store: Store) -> None:
    closed, (first, second) = await left_in_flight(store, *IN_FLIGHT)
    runs, _ = await left_in_flight(store, UtteranceState.SENDING)
    await store.utterances.mark_in_flight_unknown([closed.id, runs.id])
    assert await store.doubts.left_behind() == []
    await store.sessions.advance(closed.id, SessionState.CLOSED)
    ((session, left),) = await store.doubts.left_behind()
    assert (session.id, session.channel, session.state) == (closed.id, closed.channel, SessionState.CLOSED)
    assert [utterance.id for utterance in left] == [first.id, second.id]


async def test_old_doubts_are_given_up(store: Store, clock: ManualClock) -> None:
    old, _ = await left_in_flight(store, UtteranceState.SENDING)
    await store.utterances.mark_in_flight_unknown([old.id])
    await clock.advance(10)
    new, (utterance,) = await left_in_flight(store, UtteranceState.SENDING)
    await store.utterances.mark_in_flight_unknown([new.id])
    assert await store.doubts.forget(NOON + timedelta(seconds=10)) == 1
    assert (await doubts_of(store, old), await doubts_of(store, new)) == ([], [utterance.id])
