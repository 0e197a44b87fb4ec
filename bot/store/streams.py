"""The statements on streams, as plain functions over a connection.

No transaction begins or ends here and nothing waits: `bot.store.store` runs these.
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import Channel, Stream, StreamState, StreamUsage
from bot.store.rows import in_batches, read_stream, stream_row
from bot.store.tables import sessions, stream_is_unsettled, streams

# A stream given up as lost may still be found at the provider and closed; `closed` is never left.
_MAY_COME_FROM = {
    StreamState.CREATING: (),
    StreamState.OPEN: (StreamState.CREATING, StreamState.OPEN),
    StreamState.CLOSING: (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING, StreamState.LOST),
    StreamState.CLOSED: (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING, StreamState.LOST),
    StreamState.LOST: (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING),
}


def record_stream(connection: Connection, stream: Stream) -> None:
    """Insert the stream, before the provider is called (rule 2)."""
    connection.execute(streams.insert(), stream_row(stream))


def bind_stream(connection: Connection, stream_id: str, upstream_id: str) -> bool:
    """Store the provider's id, whatever the state: also a stream that is being closed must be found there."""
    update = streams.update().where(streams.c.id == stream_id)
    return connection.execute(update.values(upstream_id=upstream_id)).rowcount > 0


def advance_stream(
    connection: Connection,
    stream_id: str,
    state: StreamState,
    *,
    hls_url: str | None,
    detail: str | None,
    moment: datetime,
) -> bool:
    """Move a stream forward; None leaves a column as it is. False if it cannot come from where it is."""
    changes: dict[str, object] = {"state": state}
    if hls_url is not None:
        changes["hls_url"] = hls_url
    if detail is not None:
        changes["end_detail"] = detail
    if not state.may_cost:
        changes["closed_at"] = moment
    update = streams.update().where(streams.c.id == stream_id, streams.c.state.in_(_MAY_COME_FROM[state]))
    return connection.execute(update.values(changes)).rowcount > 0


def unsettled_streams(connection: Connection) -> list[Stream]:
    """Every stream the provider may still hold open, oldest first."""
    query = sa.select(streams).where(stream_is_unsettled).order_by(streams.c.created_at, streams.c.id)
    return [read_stream(row) for row in connection.execute(query)]


def lost_streams(connection: Connection, provider: str) -> list[Stream]:
    """Every stream of a provider whose create got no reply and whose id is still not known."""
    is_lost = sa.and_(streams.c.state == StreamState.LOST, streams.c.upstream_id.is_(None))
    query = sa.select(streams).where(streams.c.provider == provider, is_lost).order_by(streams.c.created_at)
    return [read_stream(row) for row in connection.execute(query)]


def known_upstream_ids(connection: Connection, provider: str, upstream_ids: Collection[str]) -> set[str]:
    """Which of the provider's ids a row has, whatever its state."""
    known: set[str] = set()
    for ids in in_batches(sorted(upstream_ids)):
        # The second condition for the partial index.
        of_provider = (streams.c.provider == provider, streams.c.upstream_id.is_not(None))
        query = sa.select(streams.c.upstream_id).where(*of_provider, streams.c.upstream_id.in_(ids))
        known.update(connection.execute(query).scalars())
    return known


def streams_since(connection: Connection, moment: datetime) -> list[StreamUsage]:
    """For how long streams were open of those that were open at `moment` or later. One that the provider never
    named is left out: nobody knows whether it was open."""
    query = (
        sa.select(
            sessions.c.platform, sessions.c.workspace, sessions.c.channel, streams.c.created_at, streams.c.closed_at
        )
        .join_from(streams, sessions)
        .where(sa.or_(streams.c.closed_at >= moment, stream_is_unsettled), streams.c.upstream_id.is_not(None))
    )
    return [StreamUsage(Channel(*place), begun, over) for *place, begun, over in connection.execute(query)]
