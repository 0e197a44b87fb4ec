"""The tables, with every invariant that a database can keep: rule 1, one open stream per session, each key once.

Only the schema lives here: no statement, no connection. The columns are the fields of the values in `bot.core.models`,
with `Channel` laid flat. `migrations/` brings a database to this shape; a test compares the two on both engines.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import EndReason, Mode, SessionState, StreamState, UtteranceState
from bot.store.column_types import UtcDateTime, choice, key

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_WHERE = "where"
"""The condition of a partial index, in its `info`."""


# The conditions of the partial indexes are written as literals: with a bound parameter neither engine uses the index.


def in_states(column: sa.Column[StrEnum], states: Iterable[StrEnum]) -> sa.ColumnElement[bool]:
    """`column IN (...)` over literal states, for an index and for the queries that want to use it."""
    return sa.type_coerce(column, sa.String).in_([sa.literal_column(f"'{state.value}'") for state in states])


def _partial_index(
    name: str, *columns: sa.Column[Any], where: sa.ColumnElement[bool], unique: bool = False
) -> sa.Index:
    """An index of the rows that `where` is true of."""
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, info={_WHERE: where})


@sa.event.listens_for(metadata, "before_create")
def _tell_postgresql(_: sa.MetaData, connection: Connection, **__: Any) -> None:
    """The conditions of the indexes, not before: an argument for PostgreSQL imports its dialect, 2 MB."""
    if connection.dialect.name == "postgresql":
        for index in (index for table in metadata.tables.values() for index in table.indexes if _WHERE in index.info):
            index.dialect_kwargs["postgresql_where"] = index.info[_WHERE]


processes = sa.Table(
    "processes",
    metadata,
    sa.Column("id", key(), primary_key=True),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("is_leaving", sa.Boolean, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("proof", sa.String, nullable=False),
)
"""The processes that share the database (`bot.cluster.membership`). An id never comes back: it is new at each start."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", key(), primary_key=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("state", choice(SessionState, "state"), nullable=False),
    sa.Column("mode", choice(Mode, "mode"), nullable=False),
    sa.Column("avatar", sa.String, nullable=False),
    sa.Column("voice", sa.String, nullable=False),
    sa.Column("quality", sa.String, nullable=False),
    sa.Column("link_nonce", key(), nullable=False, unique=True),
    sa.Column("started_by", sa.String, nullable=False),
    sa.Column("started_by_name", sa.String, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("live_at", UtcDateTime),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("end_reason", choice(EndReason, "end_reason")),
    sa.Column("end_detail", sa.Text),
    sa.Column("stop_requested_by", sa.String),
    sa.Column("speed", sa.Float),
    sa.Column("language", sa.String),
    # Last, and no field of `Session`: which process it is at is nothing that a session knows.
    sa.Column("owner", key(), sa.ForeignKey("processes.id", ondelete="SET NULL"), index=True),
)

session_is_open = sa.type_coerce(sessions.c.state, sa.String) != sa.literal_column(f"'{SessionState.CLOSED.value}'")
"""The session occupies its channel (rule 1)."""

one_open_session_per_channel = _partial_index(
    "uq_one_open_session_at_a_place", sessions.c.platform, sessions.c.channel, unique=True, where=session_is_open
)
"""Whichever of its workspaces a channel is heard through: two companies may share one."""

# Says less than the one above. Processes of the version before, which are still there while a newer one starts, name it
# when they open a session.
_partial_index(
    "uq_one_open_session_per_channel",
    sessions.c.platform,
    sessions.c.workspace,
    sessions.c.channel,
    unique=True,
    where=session_is_open,
)

session_is_ownerless = sa.and_(session_is_open, sessions.c.owner.is_(None))
"""No process looks after the session: it waits for one that claims it."""

_partial_index("ix_sessions_ownerless", sessions.c.id, where=session_is_ownerless)

_stop_is_requested = sa.and_(session_is_open, sessions.c.stop_requested_by.is_not(None))
_partial_index("ix_sessions_stop_requested", sessions.c.id, where=_stop_is_requested)

streams = sa.Table(
    "streams",
    metadata,
    sa.Column("id", key(), primary_key=True),
    sa.Column("session_id", key(), sa.ForeignKey("sessions.id"), nullable=False, index=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("state", choice(StreamState, "state"), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("upstream_id", sa.String),
    sa.Column("hls_url", sa.Text),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("end_detail", sa.Text),
    sa.Column("spoken_seconds", sa.Float),
)

_stream_is_current = in_states(streams.c.state, (StreamState.CREATING, StreamState.OPEN))
_upstream_is_known = streams.c.upstream_id.is_not(None)
stream_is_unsettled = in_states(streams.c.state, (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING))
"""The provider may still charge for the stream; the same as `StreamState.may_cost`."""

_partial_index("uq_one_open_stream_per_session", streams.c.session_id, unique=True, where=_stream_is_current)
_partial_index(
    "uq_streams_provider_upstream_id",
    streams.c.provider,
    streams.c.upstream_id,
    unique=True,
    where=_upstream_is_known,
)
_partial_index("ix_streams_unsettled", streams.c.created_at, where=stream_is_unsettled)

utterances = sa.Table(
    "utterances",
    metadata,
    sa.Column("id", key(), primary_key=True),
    sa.Column("session_id", key(), sa.ForeignKey("sessions.id"), nullable=False, index=True),
    sa.Column("mode", choice(Mode, "mode"), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("author", sa.String, nullable=False),
    sa.Column("author_name", sa.String, nullable=False),
    sa.Column("state", choice(UtteranceState, "state"), nullable=False),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("message_id", sa.String),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("detail", sa.Text),
)

utterance_is_unfinished = in_states(
    utterances.c.state, (UtteranceState.QUEUED, UtteranceState.SENDING, UtteranceState.SPEAKING)
)
"""Something more will happen to the utterance: not `UtteranceState.is_final`."""

_partial_index("ix_utterances_unfinished", utterances.c.session_id, utterances.c.id, where=utterance_is_unfinished)

doubts = sa.Table(
    "doubts",
    metadata,
    sa.Column("utterance_id", key(), sa.ForeignKey("utterances.id"), primary_key=True),
    sa.Column("session_id", key(), sa.ForeignKey("sessions.id"), nullable=False, index=True),
)
"""Utterances that became `unknown` as a process left them in flight, and of which people have not been told yet; the
row goes when they have been. Not fenced: to note that somebody was told is right whoever told them."""

processed_events = sa.Table(
    "processed_events",
    metadata,
    sa.Column("key", key(), primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False, index=True),
)

channel_settings = sa.Table(
    "channel_settings",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("workspace", sa.String, primary_key=True),
    sa.Column("channel", sa.String, primary_key=True),
    sa.Column("mode", choice(Mode, "mode")),
    sa.Column("idle_timeout", sa.Float),
)

panels = sa.Table(
    "panels",
    metadata,
    sa.Column("session_id", key(), sa.ForeignKey("sessions.id"), primary_key=True),
    sa.Column("platform", sa.String, nullable=False, index=True),
    sa.Column("reference", sa.String, nullable=False),
)
"""Panels that still have to be drawn: the row goes when a panel has been drawn for the last time."""

outlets = sa.Table(
    "outlets",
    metadata,
    sa.Column("session_id", key(), sa.ForeignKey("sessions.id"), primary_key=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("place", sa.String, nullable=False),
)
"""Where a session is heard outside the watch page; the row goes when it leaves there."""

parcels = sa.Table(
    "parcels",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)
"""What came in for a session while the process that owned it could not be reached; the row goes when it is handled. Not
fenced: to keep what somebody wrote is right whoever does it."""

blocks = sa.Table(
    "blocks",
    metadata,
    sa.Column("person", key(), primary_key=True),
    sa.Column("workspace", key(), primary_key=True),
    sa.Column("blocked_by", sa.String, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)

installations = sa.Table(
    "installations",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("workspace", key(), primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("installed_at", UtcDateTime, nullable=False),
)
"""What a workspace gave the app when it was installed there. `sealed` is encrypted by the adapter that knows it."""

oauth_states = sa.Table(
    "oauth_states",
    metadata,
    sa.Column("state", key(), primary_key=True),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)

shards = sa.Table(
    "shards",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("of", sa.Integer, nullable=False),
    sa.Column("owner", key(), sa.ForeignKey("processes.id", ondelete="SET NULL"), index=True),
)
"""The parts that a platform splits its connection into, and which process has each (`bot.store.shards`)."""

shard_sharers = sa.Table(
    "shard_sharers",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("process", key(), sa.ForeignKey("processes.id", ondelete="CASCADE"), primary_key=True),
)
"""The processes that can connect shards of a platform: it may be that not all have the platform, or reach it."""

shard_tickets = sa.Table(
    "shard_tickets",
    metadata,
    sa.Column("platform", sa.String, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_at", UtcDateTime, nullable=False),
)
"""When the next process may introduce a shard of a bucket to the platform, which takes one at a time."""

rates = sa.Table(
    "rates",
    metadata,
    sa.Column("person", key(), primary_key=True),
    sa.Column("minute", sa.BigInteger, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("characters", sa.Integer, nullable=False),
)
"""What people have sent within one minute since 1970. Only where there is a limit, and several processes count it."""

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("nonce", key(), primary_key=True),
    sa.Column("page", sa.String, nullable=False),
    sa.Column("taken_at", UtcDateTime, nullable=False, index=True),
)
"""Which page has a ticket that is good for one."""

# No foreign key: who did what is kept whatever becomes of the session, and writing it down must not fail.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("channel", sa.String),
    sa.Column("session_id", key()),
    sa.Column("detail", sa.Text),
)

FENCED = (sessions, streams, utterances, processed_events, panels, outlets)
"""What was accepted, and where a session is seen and heard. On PostgreSQL nothing in it is written by a process whose
row is gone: its statement fails with `FENCED_STATE`. A condition in the statement would not be enough: at READ
COMMITTED it could be decided before another process takes over, and be committed after that one has read. The row is
locked, so the delete waits for whoever writes, and whoever writes for the delete. Connections that name no process (the
shell) are not looked at."""

FENCED_STATE = "RL001"
"""The SQLSTATE of that refusal."""

PROCESS_SETTING = "relay.process"
"""The setting of a connection that names the process it belongs to."""

_STILL_A_MEMBER = f"""
CREATE OR REPLACE FUNCTION still_a_member() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  me text := current_setting('{PROCESS_SETTING}', true);
BEGIN
  IF me <> '' THEN
    PERFORM 1 FROM processes WHERE id = me FOR KEY SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'this process no longer owns anything' USING ERRCODE = '{FENCED_STATE}';
    END IF;
  END IF;
  RETURN NULL;
END
$$
"""


@sa.event.listens_for(metadata, "after_create")
def _fence(_: sa.MetaData, connection: Connection, **__: Any) -> None:
    if connection.dialect.name != "postgresql":
        return
    connection.exec_driver_sql(_STILL_A_MEMBER)
    for table in FENCED:
        connection.exec_driver_sql(
            f"CREATE TRIGGER still_a_member BEFORE INSERT OR UPDATE OR DELETE ON {table.name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION still_a_member()"
        )


@sa.event.listens_for(metadata, "after_drop")
def _unfence(_: sa.MetaData, connection: Connection, **__: Any) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP FUNCTION IF EXISTS still_a_member()")
