"""The statements on sessions and channel settings, as plain functions over a connection.

No transaction begins or ends here and nothing waits: `bot.store.store` runs these.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bot.core.errors import StoreError
from bot.core.models import Channel, ChannelSettings, EndReason, Mode, Session, SessionState
from bot.store.rows import channel_row, read_session, session_row
from bot.store.tables import channel_settings, one_open_session_per_channel, session_is_open, sessions

ATTEMPTS = 3

_ORDER = (SessionState.OPENING, SessionState.LIVE, SessionState.CLOSING, SessionState.CLOSED)

# Both dialects write the same ON CONFLICT; SQLAlchemy has it in each dialect's own insert.
_Insert = sqlite.Insert | postgresql.Insert
_INSERT_SESSION: dict[str, _Insert] = {"sqlite": sqlite.insert(sessions), "postgresql": postgresql.insert(sessions)}
_INSERT_UNLESS_OPEN = {
    dialect: insert.on_conflict_do_nothing(
        index_elements=one_open_session_per_channel.columns, index_where=session_is_open
    )
    for dialect, insert in _INSERT_SESSION.items()
}
_INSERT_SETTINGS: dict[str, _Insert] = {
    "sqlite": sqlite.insert(channel_settings),
    "postgresql": postgresql.insert(channel_settings),
}
_CHOICES = ("mode", "idle_timeout")
_CHOOSE = {
    (dialect, choice): insert.on_conflict_do_update(
        index_elements=channel_settings.primary_key.columns, set_={choice: insert.excluded[choice]}
    )
    for dialect, insert in _INSERT_SETTINGS.items()
    for choice in _CHOICES
}


def open_session(connection: Connection, session: Session) -> Session:
    """Insert the session, or return the one that already occupies its channel (rule 1)."""
    for _ in range(ATTEMPTS):
        inserted = connection.execute(_INSERT_UNLESS_OPEN[connection.dialect.name], session_row(session))
        if inserted.rowcount:
            return session
        occupant = running_session(connection, session.channel)
        if occupant is not None:
            return occupant
        # Another process closed it between the two statements; the channel is free now.
    raise StoreError("the channel changes hands too fast to open a session in it")


def advance_session(
    connection: Connection,
    session_id: str,
    state: SessionState,
    *,
    live_at: datetime | None,
    closed_at: datetime | None,
    end_reason: EndReason | None,
    end_detail: str | None,
) -> bool:
    """Move a session forward; None leaves a column as it is. False if it is already there or further."""
    given = {"live_at": live_at, "closed_at": closed_at, "end_reason": end_reason, "end_detail": end_detail}
    changes = {name: value for name, value in given.items() if value is not None}
    earlier = _ORDER[: _ORDER.index(state)]
    update = sessions.update().where(sessions.c.id == session_id, sessions.c.state.in_(earlier))
    return connection.execute(update.values(state=state, **changes)).rowcount > 0


def change_open_session(connection: Connection, session_id: str, **changes: object) -> bool:
    """Set columns of a session that is not closed. False if there is none."""
    update = sessions.update().where(sessions.c.id == session_id, session_is_open)
    return connection.execute(update.values(**changes)).rowcount > 0


def running_session(connection: Connection, channel: Channel) -> Session | None:
    """The session that occupies the channel."""
    return _one(
        connection, session_is_open, *(sessions.c[name] == value for name, value in channel_row(channel).items())
    )


def session(connection: Connection, session_id: str) -> Session | None:
    """A session by its id, whatever its state."""
    return _one(connection, sessions.c.id == session_id)


def session_by_link(connection: Connection, nonce: str) -> Session | None:
    """The session a watch link names, whatever its state."""
    return _one(connection, sessions.c.link_nonce == nonce)


def open_sessions(connection: Connection) -> list[Session]:
    """Every session that is not closed, oldest first."""
    rows = connection.execute(sa.select(sessions).where(session_is_open)).all()
    return sorted(map(read_session, rows), key=lambda session: (session.created_at, session.id))


def stop_requests(connection: Connection) -> list[tuple[str, str]]:
    """(session id, who asked) of every open session that should be closed."""
    query = (
        sa.select(sessions.c.id, sessions.c.stop_requested_by)
        .where(session_is_open, sessions.c.stop_requested_by.is_not(None))
        .order_by(sessions.c.id)
    )
    return [(session_id, by) for session_id, by in connection.execute(query)]


def settings_of(connection: Connection, channel: Channel) -> ChannelSettings:
    """What the channel has chosen; nothing where it never chose."""
    query = sa.select(*(channel_settings.c[choice] for choice in _CHOICES)).where(
        *(channel_settings.c[name] == value for name, value in channel_row(channel).items())
    )
    row = connection.execute(query).one_or_none()
    return ChannelSettings(*row) if row is not None else ChannelSettings()


def chosen_idle_timeouts(connection: Connection) -> dict[Channel, float]:
    """The idle time of every channel that has chosen one."""
    choices = channel_settings.c
    query = sa.select(choices.platform, choices.workspace, choices.channel, choices.idle_timeout)
    rows = connection.execute(query.where(choices.idle_timeout.is_not(None)))
    return {Channel(*place): seconds for *place, seconds in rows}


def choose_for_channel(connection: Connection, channel: Channel, choice: str, value: Mode | float | None) -> None:
    """Remember one choice (a field of `ChannelSettings`) for the channel's next sessions; None follows the operator."""
    connection.execute(_CHOOSE[connection.dialect.name, choice], {**channel_row(channel), choice: value})


def _one(connection: Connection, *conditions: sa.ColumnElement[bool]) -> Session | None:
    row = connection.execute(sa.select(sessions).where(*conditions)).one_or_none()
    return None if row is None else read_session(row)
