"""The streams: what the provider was asked to open, written down before it is asked (rule 2). A `Repository`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import Channel, Stream, StreamState, StreamUsage
from bot.store.repository import Repository, reads, writes, writes_patiently
from bot.store.rows import in_batches, read_stream, stream_row
from bot.store.tables import session_is_open, sessions, stream_is_unsettled, streams

# A stream given up as lost may still be found at the provider and closed; `closed` is never left.
_MAY_COME_FROM = {
    StreamState.CREATING: (),
    StreamState.OPEN: (StreamState.CREATING, StreamState.OPEN),
    StreamState.CLOSING: (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING, StreamState.LOST),
    StreamState.CLOSED: (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING, StreamState.LOST),
    StreamState.LOST: (StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING),
}


class StreamRepository(Repository):
    """Reads and writes streams."""

    @writes
    def record(self, connection: Connection, stream: Stream) -> None:
        """Insert the stream, before the provider is called (rule 2).

        Raises `StoreError` if the session has a stream in `creating` or `open`.
        """
        connection.execute(streams.insert(), stream_row(stream))

    @writes
    def bind(self, connection: Connection, stream_id: str, upstream_id: str) -> bool:
        """Store the provider's id, whatever the state: also a stream that is being closed must be found there.
        False if the stream is unknown.

        Raises `StoreError` if another stream of the provider has that id.
        """
        update = streams.update().where(streams.c.id == stream_id)
        return connection.execute(update.values(upstream_id=upstream_id)).rowcount > 0

    @writes
    def advance(
        self,
        connection: Connection,
        stream_id: str,
        state: StreamState,
        *,
        hls_url: str | None = None,
        detail: str | None = None,
        closed_at: datetime | None = None,
        spoken_seconds: float | None = None,
    ) -> bool:
        """Move a stream forward and set what is given; `closed` and `lost` set the time from the clock where
        `closed_at` does not tell it.

        False, and no change, where it is further already. A `lost` stream that turns up may still be closed.
        """
        return self._advance(connection, stream_id, state, hls_url, detail, closed_at, spoken_seconds)

    @writes_patiently
    def note_ended(
        self, connection: Connection, stream_id: str, *, detail: str, spoken_seconds: float | None = None
    ) -> bool:
        """The provider has ended a stream by itself: as `advance` to `closed`."""
        return self._advance(connection, stream_id, StreamState.CLOSED, None, detail, None, spoken_seconds)

    def _advance(
        self,
        connection: Connection,
        stream_id: str,
        state: StreamState,
        hls_url: str | None,
        detail: str | None,
        closed_at: datetime | None,
        spoken_seconds: float | None,
    ) -> bool:
        changes: dict[str, object] = {"state": state}
        if hls_url is not None:
            changes["hls_url"] = hls_url
        if detail is not None:
            changes["end_detail"] = detail
        if spoken_seconds is not None:
            changes["spoken_seconds"] = spoken_seconds
        if not state.may_cost:
            changes["closed_at"] = closed_at or self._clock.now()
        update = streams.update().where(streams.c.id == stream_id, streams.c.state.in_(_MAY_COME_FROM[state]))
        return connection.execute(update.values(changes)).rowcount > 0

    @writes
    def note_spoken(self, connection: Connection, spoken_seconds: Mapping[str, float]) -> None:
        """Store how many seconds of speech streams have had so far, by their ids, for the process that goes on with
        them. All else is written where they close (`advance`)."""
        for stream_id, seconds in spoken_seconds.items():
            connection.execute(streams.update().where(streams.c.id == stream_id).values(spoken_seconds=seconds))

    @reads
    def unsettled(self, connection: Connection) -> list[Stream]:
        """Every stream the provider may still hold open (`creating`, `open`, `closing`), oldest first."""
        query = sa.select(streams).where(stream_is_unsettled).order_by(streams.c.created_at, streams.c.id)
        return [read_stream(row) for row in connection.execute(query)]

    @reads
    def unsettled_of(self, connection: Connection, session_ids: Sequence[str]) -> list[Stream]:
        """Those of some sessions."""
        found: list[Stream] = []
        for ids in in_batches(session_ids):
            query = sa.select(streams).where(stream_is_unsettled, streams.c.session_id.in_(ids))
            query = query.order_by(streams.c.created_at, streams.c.id)
            found += [read_stream(row) for row in connection.execute(query)]
        return found

    @reads
    def left_behind(self, connection: Connection) -> list[Stream]:
        """Those of sessions that are closed, so that no process looks after them with the session."""
        query = sa.select(streams).join_from(streams, sessions).where(stream_is_unsettled, ~session_is_open)
        return [read_stream(row) for row in connection.execute(query.order_by(streams.c.created_at, streams.c.id))]

    @reads
    def lost(self, connection: Connection, provider: str) -> list[Stream]:
        """Every stream of a provider whose create got no reply and whose id is still not known."""
        is_lost = sa.and_(streams.c.state == StreamState.LOST, streams.c.upstream_id.is_(None))
        query = sa.select(streams).where(streams.c.provider == provider, is_lost).order_by(streams.c.created_at)
        return [read_stream(row) for row in connection.execute(query)]

    @reads
    def known_upstream_ids(self, connection: Connection, provider: str, upstream_ids: Collection[str]) -> set[str]:
        """Which of the provider's ids of streams a row has, whatever its state."""
        known: set[str] = set()
        for ids in in_batches(sorted(upstream_ids)):
            # The second condition for the partial index.
            of_provider = (streams.c.provider == provider, streams.c.upstream_id.is_not(None))
            query = sa.select(streams.c.upstream_id).where(*of_provider, streams.c.upstream_id.in_(ids))
            known.update(connection.execute(query).scalars())
        return known

    @reads
    def usage_since(self, connection: Connection, moment: datetime) -> list[StreamUsage]:
        """For how long streams were open of those that were open at `moment` or later. One that the provider never
        named is left out: nobody knows whether it was open."""
        query = _USAGE.where(sa.or_(streams.c.closed_at >= moment, stream_is_unsettled))
        return [_read_usage(row) for row in connection.execute(query)]

    @reads
    def usage_of(self, connection: Connection, session_ids: Sequence[str]) -> dict[str, list[StreamUsage]]:
        """For how long the streams of sessions were open, by session, as `usage_since`; each of them has an entry."""
        used: dict[str, list[StreamUsage]] = {session_id: [] for session_id in session_ids}
        for ids in in_batches(session_ids):
            for row in connection.execute(_USAGE.where(streams.c.session_id.in_(ids))):
                use = _read_usage(row)
                used[use.session_id].append(use)
        return used


_USAGE = (
    sa.select(
        sessions.c.platform,
        sessions.c.workspace,
        sessions.c.channel,
        streams.c.session_id,
        streams.c.id,
        streams.c.created_at,
        streams.c.closed_at,
        streams.c.spoken_seconds,
    )
    .join_from(streams, sessions)
    .where(streams.c.upstream_id.is_not(None))
)


def _read_usage(row: Sequence[Any]) -> StreamUsage:
    platform, workspace, channel, *rest = row
    return StreamUsage(Channel(platform, workspace, channel), *rest)
