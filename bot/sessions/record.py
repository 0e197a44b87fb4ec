"""The row of a session and the value that stands for it in memory, kept in step from the first stream to the end.

A database in trouble must not keep a session open that costs money: the end is noted in memory all the same, and its
row is owed until it can be written.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

import structlog

from bot.core.errors import StoreError
from bot.core.models import EndReason, Mode, Session, SessionState
from bot.store.store import Store

log = structlog.get_logger(__name__)


class SessionRecorder:
    """One session as it is.

    is_dirty: the rows of the session and of its utterances may not say how it ended.
    """

    def __init__(self, session: Session, store: Store) -> None:
        self._store = store
        self.session = session
        self.is_dirty = False

    async def go_live(self, now: datetime) -> None:
        """The first stream can be watched. Raises `StoreError`; then nothing has changed."""
        await self._store.sessions.advance(self.session.id, SessionState.LIVE, live_at=now)
        self.session = replace(self.session, state=SessionState.LIVE, live_at=now)

    async def set_mode(self, mode: Mode) -> None:
        """Change what becomes of the messages from now on. Raises `StoreError`; then nothing has changed."""
        await self._store.sessions.set_mode(self.session.id, mode)
        self.session = replace(self.session, mode=mode)

    async def begin_to_close(self, reason: EndReason, detail: str | None) -> None:
        """The session is closing, and why."""
        self.session = replace(self.session, state=SessionState.CLOSING, end_reason=reason, end_detail=detail)
        await self._record()

    async def close(self, now: datetime) -> None:
        """The session is closed: the provider has confirmed it."""
        self.session = replace(self.session, state=SessionState.CLOSED, closed_at=now)
        await self._record()

    async def _record(self) -> None:
        s = self.session
        try:
            await self._store.sessions.advance(
                s.id, s.state, closed_at=s.closed_at, end_reason=s.end_reason, end_detail=s.end_detail
            )
        except StoreError as error:
            self.is_dirty = True
            log.error("the end of a session could not be written", session=s.id, state=s.state.value, error=str(error))


class UnsavedSessions:
    """Sessions of this process that have ended without their rows saying so: until they do, they occupy their
    channels."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owed: dict[str, Session] = {}

    @property
    def ids(self) -> Collection[str]:
        """Whose rows are owed."""
        return self._owed.keys()

    def add(self, session: Session) -> None:
        """Note a session whose rows are owed."""
        self._owed[session.id] = session

    async def write(self) -> None:
        """Write down what is owed. Raises `StoreError` while the database is still in trouble."""
        for session in tuple(self._owed.values()):
            await self._store.utterances.mark_in_flight_unknown([session.id], are_told=True)
            await self._store.utterances.drop_queued(session.id)
            await self._store.sessions.advance(
                session.id,
                SessionState.CLOSED,
                closed_at=session.closed_at,
                end_reason=session.end_reason,
                end_detail=session.end_detail,
            )
            self._owed.pop(session.id, None)
