"""The sessions: one open session in each channel, from its opening to its close.

A `Repository`. What belongs to a session is elsewhere: its streams in `bot.store.streams`, what it says in
`bot.store.utterances`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.errors import StoreError
from bot.core.models import Channel, EndReason, Mode, Session, SessionState
from bot.store.repository import Repository, reads, writes
from bot.store.rows import in_batches, read_session, session_row
from bot.store.tables import one_open_session_per_channel, session_is_open, session_is_ownerless, sessions
from bot.store.upsert import insert_into

ATTEMPTS = 3

_LOCK_WORKSPACE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")

_ORDER = (SessionState.OPENING, SessionState.LIVE, SessionState.CLOSING, SessionState.CLOSED)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Whose an open session is. owner: a process; None if nobody's."""

    id: str
    channel: Channel
    provider: str
    link_nonce: str
    owner: str | None


class SessionRepository(Repository):
    """Reads and writes sessions."""

    @writes
    def open(self, connection: Connection, session: Session) -> Session:
        """Insert the session, or return the one that already occupies its channel, perhaps as one of another workspace
        (rule 1)."""
        return self._open(connection, session)

    @writes
    def open_within(self, connection: Connection, session: Session, at_once: int) -> Session | None:
        """As `open`; None, and nothing changes, if the workspace has `at_once` open sessions already. Of several
        processes that start one there each sees what the others have started."""
        if (occupant := _running_in(connection, session.channel)) is not None:
            return occupant
        channel = session.channel
        if connection.dialect.name == "postgresql":
            # Until this transaction is over. SQLite has one writer anyway.
            connection.execute(_LOCK_WORKSPACE, {"name": f"avatar-relay {channel.platform} {channel.workspace}"})
        here = sa.and_(sessions.c.platform == channel.platform, sessions.c.workspace == channel.workspace)
        query = sa.select(sa.func.count()).select_from(sessions).where(session_is_open, here)
        if connection.execute(query).scalar_one() >= at_once:
            return _running_in(connection, channel)
        return self._open(connection, session)

    def _open(self, connection: Connection, session: Session) -> Session:
        unless_open = insert_into(connection.dialect.name, sessions).on_conflict_do_nothing(
            index_elements=one_open_session_per_channel.columns, index_where=session_is_open
        )
        for _ in range(ATTEMPTS):
            if connection.execute(unless_open, session_row(session) | {"owner": self._process}).rowcount:
                return session
            if (occupant := _running_in(connection, session.channel)) is not None:
                return occupant
            # Another process closed it between the two statements; the channel is free now.
        raise StoreError("the channel changes hands too fast to open a session in it")

    @writes
    def advance(
        self,
        connection: Connection,
        session_id: str,
        state: SessionState,
        *,
        live_at: datetime | None = None,
        closed_at: datetime | None = None,
        end_reason: EndReason | None = None,
        end_detail: str | None = None,
    ) -> bool:
        """Move a session forward and set what is given. False, and no change, where it is already there or further.

        Of several that want the same step one gets True. `live_at` and `closed_at` are the clock's where left out.
        """
        if state is SessionState.LIVE:
            live_at = live_at or self._clock.now()
        if state is SessionState.CLOSED:
            closed_at = closed_at or self._clock.now()
        given = {"live_at": live_at, "closed_at": closed_at, "end_reason": end_reason, "end_detail": end_detail}
        changes: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        if state is SessionState.CLOSED:
            changes["owner"] = None
        earlier = _ORDER[: _ORDER.index(state)]
        update = sessions.update().where(sessions.c.id == session_id, sessions.c.state.in_(earlier))
        return connection.execute(update.values(state=state, **changes)).rowcount > 0

    @writes
    def claim(
        self, connection: Connection, provider: str, among: Sequence[str] | None = None, limit: int | None = None
    ) -> list[Session]:
        """Make open sessions of `provider` that no process owns this process's, and return them, oldest first: all, or
        those `among` these ids, and `limit` at the most. Of two that claim at once each gets what the other does not. A
        store of no process gets them and leaves them."""
        free = sa.select(sessions.c.id).where(session_is_ownerless, sessions.c.provider == provider)
        free = free.order_by(sessions.c.id)
        # SQLite has one writer anyway, and no such words.
        free = free.with_for_update(skip_locked=True)
        ids: list[str] = []
        for portion in [None] if among is None else in_batches(among):
            chosen = free if portion is None else free.where(sessions.c.id.in_(portion))
            ids += connection.execute(chosen if limit is None else chosen.limit(limit - len(ids))).scalars()
        rows: list[Sequence[Any]] = []
        for portion in in_batches(ids):
            update = sessions.update().where(sessions.c.id.in_(portion)).values(owner=self._process)
            rows += connection.execute(update.returning(*sessions.c)).all()
        return _oldest_first(rows)

    @reads
    def ownerless(self, connection: Connection) -> list[OpenSession]:
        """The open sessions that wait for a process."""
        return [
            _read_open(row) for row in connection.execute(_OPEN.where(session_is_ownerless).order_by(sessions.c.id))
        ]

    @reads
    def owners(self, connection: Connection) -> list[OpenSession]:
        """Whose each open session is."""
        return [_read_open(row) for row in connection.execute(_OPEN.where(session_is_open))]

    @reads
    def owner_at(self, connection: Connection, platform: str, channel: str) -> OpenSession | None:
        """Whose the open session of a channel is, whatever its workspace; None if there is none."""
        is_there = sessions.c.platform == platform, sessions.c.channel == channel
        row = connection.execute(_OPEN.where(session_is_open, *is_there).limit(1)).first()
        return None if row is None else _read_open(row)

    @reads
    def owner_behind(self, connection: Connection, nonce: str) -> OpenSession | None:
        """Whose the open session is that a watch link names; None if there is none."""
        row = connection.execute(_OPEN.where(session_is_open, sessions.c.link_nonce == nonce)).first()
        return None if row is None else _read_open(row)

    @writes
    def release(self, connection: Connection, session_ids: Sequence[str]) -> None:
        """Leave open sessions of this process to whoever claims them."""
        for ids in in_batches(session_ids):
            mine = sessions.c.id.in_(ids), session_is_open, sessions.c.owner == self._process
            connection.execute(sessions.update().where(*mine).values(owner=None))

    @writes
    def release_all_but(self, connection: Connection, session_ids: Collection[str]) -> None:
        """Leave to whoever claims them the open sessions of this process that are none of these: those of which it does
        not know."""
        mine = session_is_open, sessions.c.owner == self._process
        unknown = set(connection.execute(sa.select(sessions.c.id).where(*mine)).scalars()).difference(session_ids)
        for ids in in_batches(sorted(unknown)):
            connection.execute(sessions.update().where(sessions.c.id.in_(ids), *mine).values(owner=None))

    @writes
    def set_mode(self, connection: Connection, session_id: str, mode: Mode) -> bool:
        """Change the mode of an open session. False if it is closed or unknown."""
        return _change_open(connection, session_id, mode=mode)

    @writes
    def request_stop(self, connection: Connection, session_id: str, by: str) -> bool:
        """Ask whoever owns the session to close it. False if it is closed or unknown."""
        return _change_open(connection, session_id, stop_requested_by=by)

    @reads
    def stop_requests(self, connection: Connection) -> list[tuple[str, str]]:
        """(session id, who asked) of every open session that should be closed."""
        query = (
            sa.select(sessions.c.id, sessions.c.stop_requested_by)
            .where(session_is_open, sessions.c.stop_requested_by.is_not(None))
            .order_by(sessions.c.id)
        )
        return [(session_id, by) for session_id, by in connection.execute(query)]

    @reads
    def open_elsewhere(self, connection: Connection) -> list[tuple[Session, str | None]]:
        """Every open session that is not this process's, with the process whose it is, where it is one's; oldest
        first."""
        rows = connection.execute(sa.select(sessions).where(session_is_open)).all()
        owners = {row.id: row.owner for row in rows}
        return [(each, owners[each.id]) for each in _oldest_first(rows) if owners[each.id] != self._process]

    @reads
    def running_in(self, connection: Connection, channel: Channel) -> Session | None:
        """The session that occupies the channel: every state but `closed`."""
        return _running_in(connection, channel)

    @reads
    def get(self, connection: Connection, session_id: str) -> Session | None:
        """A session by its id, whatever its state."""
        return _one(connection, sessions.c.id == session_id)

    @reads
    def by_link(self, connection: Connection, nonce: str) -> Session | None:
        """The session a watch link names, whatever its state."""
        return _one(connection, sessions.c.link_nonce == nonce)

    @reads
    def all_open(self, connection: Connection) -> list[Session]:
        """Every session that is not closed, oldest first."""
        return _oldest_first(connection.execute(sa.select(sessions).where(session_is_open)).all())


_OPEN = sa.select(
    sessions.c.id,
    sessions.c.platform,
    sessions.c.workspace,
    sessions.c.channel,
    sessions.c.provider,
    sessions.c.link_nonce,
    sessions.c.owner,
)


def _read_open(row: Sequence[Any]) -> OpenSession:
    session_id, platform, workspace, channel, *rest = row
    return OpenSession(session_id, Channel(platform, workspace, channel), *rest)


def _oldest_first(rows: Sequence[Sequence[Any]]) -> list[Session]:
    return sorted(map(read_session, rows), key=lambda session: (session.created_at, session.id))


def _change_open(connection: Connection, session_id: str, **changes: object) -> bool:
    update = sessions.update().where(sessions.c.id == session_id, session_is_open)
    return connection.execute(update.values(**changes)).rowcount > 0


def _running_in(connection: Connection, channel: Channel) -> Session | None:
    return _one(connection, session_is_open, sessions.c.platform == channel.platform, sessions.c.channel == channel.id)


def _one(connection: Connection, *conditions: sa.ColumnElement[bool]) -> Session | None:
    row = connection.execute(sa.select(sessions).where(*conditions)).one_or_none()
    return None if row is None else read_session(row)
