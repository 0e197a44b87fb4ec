"""The row of a session follows it, and where it cannot, it is owed until it can."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.errors import StoreError, StoreUnavailable
from bot.core.models import EndReason, Mode, Session, SessionState, UtteranceState
from bot.sessions.record import SessionRecorder, UnsavedSessions
from bot.store.store import Store
from tests.builders import NOON, a_session, an_utterance
from tests.harness.blank_database import make_database
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults

FULL = StoreUnavailable("the test's disk is full")


@pytest.fixture
def faults() -> WriteFaults:
    return WriteFaults()


@pytest.fixture
async def store(tmp_path: Path, faults: WriteFaults) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    await make_database(url)
    async with await Store.open(url, ManualClock(), wrap_begin=faults.wrap) as store:
        yield store


@pytest.fixture
async def row(store: Store) -> SessionRecorder:
    return SessionRecorder(await store.sessions.open(a_session()), store)


@pytest.fixture
async def full_disk(row: SessionRecorder, faults: WriteFaults) -> WriteFaults:
    """Once the session has its row nothing can be written, until there is no failure any more."""
    faults.failure = FULL
    return faults


async def read(store: Store, session: Session) -> Session:
    found = await store.sessions.get(session.id)
    assert found is not None
    return found


async def test_the_row_follows_the_session_to_its_end(store: Store, row: SessionRecorder) -> None:
    await row.go_live(NOON)
    assert await read(store, row.session) == row.session
    await row.set_mode(Mode.CHAT)
    assert await read(store, row.session) == row.session
    await row.begin_to_close(EndReason.STOPPED, "asked to")
    assert await read(store, row.session) == row.session
    await row.close(NOON)
    session = await read(store, row.session)
    assert session == row.session
    assert (session.state, session.mode) == (SessionState.CLOSED, Mode.CHAT)
    assert (session.end_reason, session.end_detail) == (EndReason.STOPPED, "asked to")
    assert not row.is_dirty


async def test_a_session_is_not_live_before_its_row_says_so(row: SessionRecorder, full_disk: WriteFaults) -> None:
    with pytest.raises(StoreError):
        await row.go_live(NOON)
    with pytest.raises(StoreError):
        await row.set_mode(Mode.CHAT)
    assert (row.session.state, row.session.mode) == (SessionState.OPENING, Mode.REPEAT)


async def test_a_session_ends_although_its_row_cannot_say_so(row: SessionRecorder, full_disk: WriteFaults) -> None:
    await row.begin_to_close(EndReason.IDLE, None)
    assert row.is_dirty
    await row.close(NOON)
    assert (row.session.state, row.session.end_reason) == (SessionState.CLOSED, EndReason.IDLE)


async def test_an_owed_row_is_written_as_soon_as_it_can_be(
    store: Store, row: SessionRecorder, full_disk: WriteFaults
) -> None:
    full_disk.failure = None
    waiting, said = an_utterance(row.session), an_utterance(row.session)
    for utterance in (waiting, said):
        await store.utterances.accept((), utterance)
    await store.utterances.advance(said.id, UtteranceState.SPEAKING)
    full_disk.failure = FULL
    await row.begin_to_close(EndReason.IDLE, None)
    await row.close(NOON)
    owed = UnsavedSessions(store)
    owed.add(row.session)
    with pytest.raises(StoreError):
        await owed.write()
    full_disk.failure = None
    await owed.write()
    session = await read(store, row.session)
    assert (session.state, session.end_reason, session.closed_at) == (SessionState.CLOSED, EndReason.IDLE, NOON)
    assert (await store.utterances.queued([session.id]))[session.id] == []


async def test_a_row_that_was_written_is_owed_no_longer(store: Store, row: SessionRecorder) -> None:
    owed = UnsavedSessions(store)
    owed.add(row.session)
    await owed.write()
    await row.go_live(NOON)
    await owed.write()
    assert row.session.state is SessionState.LIVE
