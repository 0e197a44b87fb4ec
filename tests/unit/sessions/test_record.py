"""The row of a session follows it, and where it cannot, it is owed until it can."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.core.errors import StoreError, StoreUnavailable
from bot.core.models import EndReason, Mode, Session, SessionState, UtteranceState
from bot.sessions.record import SessionRecorder, UnsavedSessions
from bot.store import migrate
from bot.store.store import Store
from tests.builders import NOON, a_session, an_utterance
from tests.harness.clock import ManualClock


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    await migrate.upgrade(f"sqlite:///{tmp_path / 'relay.db'}")
    async with await Store.open(f"sqlite:///{tmp_path / 'relay.db'}", ManualClock()) as store:
        yield store


@pytest.fixture
async def row(store: Store) -> SessionRecorder:
    return SessionRecorder(await store.open_session(a_session()), store)


@pytest.fixture
def full_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing can be written until it is undone."""

    async def fail(_: Any) -> None:
        raise StoreUnavailable("the test's disk is full")

    monkeypatch.setattr(store._writer, "_transact", fail)
    return monkeypatch


async def read(store: Store, session: Session) -> Session:
    found = await store.session(session.id)
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


async def test_a_session_is_not_live_before_its_row_says_so(
    row: SessionRecorder, full_disk: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError):
        await row.go_live(NOON)
    with pytest.raises(StoreError):
        await row.set_mode(Mode.CHAT)
    assert (row.session.state, row.session.mode) == (SessionState.OPENING, Mode.REPEAT)


async def test_a_session_ends_although_its_row_cannot_say_so(
    row: SessionRecorder, full_disk: pytest.MonkeyPatch
) -> None:
    await row.begin_to_close(EndReason.IDLE, None)
    assert row.is_dirty
    await row.close(NOON)
    assert (row.session.state, row.session.end_reason) == (SessionState.CLOSED, EndReason.IDLE)


async def test_an_owed_row_is_written_as_soon_as_it_can_be(
    store: Store, row: SessionRecorder, full_disk: pytest.MonkeyPatch
) -> None:
    full_disk.undo()
    waiting, said = an_utterance(row.session), an_utterance(row.session)
    for utterance in (waiting, said):
        await store.accept((), utterance)
    await store.advance_utterance(said.id, UtteranceState.SPEAKING)
    full_disk.setattr(store._writer, "_transact", _fail)
    await row.begin_to_close(EndReason.IDLE, None)
    await row.close(NOON)
    owed = UnsavedSessions(store)
    owed.add(row.session)
    with pytest.raises(StoreError):
        await owed.write()
    full_disk.undo()
    await owed.write()
    session = await read(store, row.session)
    assert (session.state, session.end_reason, session.closed_at) == (SessionState.CLOSED, EndReason.IDLE, NOON)
    assert (await store.queued_utterances([session.id]))[session.id] == []


async def test_a_row_that_was_written_is_owed_no_longer(store: Store, row: SessionRecorder) -> None:
    owed = UnsavedSessions(store)
    owed.add(row.session)
    await owed.write()
    await row.go_live(NOON)
    await owed.write()
    assert row.session.state is SessionState.LIVE


async def _fail(_: Any) -> None:
    raise StoreUnavailable("the test's disk is full")
