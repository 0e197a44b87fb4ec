"""Open streams of the provider that no row has open: a create whose reply was lost, one that we took for ended, or
somebody else's on the same key.

What may belong to somebody else is counted and told, never touched, unless the operator says that the key is ours alone
(`AVATAR_KEY_EXCLUSIVE`). Knows no vendor.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from bot.core.errors import ProviderError
from bot.core.models import EndReason, Session, SessionState, Stream, StreamState
from bot.core.ports import AvatarProvider, Clock, OpenStream
from bot.store.store import Store
from bot.streams.streams import StreamCloser
from bot.telemetry import metrics

log = structlog.get_logger(__name__)


async def close_sessions(
    store: Store, closer: StreamCloser | None, sessions: Sequence[Session], now: datetime, detail: str
) -> int:
    """Close the streams of `sessions`, which all have one provider, and then the sessions.

    closer: of that provider; None if the provider ended with the process that ran it (the simulator).
    Returns how many streams the provider did not confirm; their rows stay unsettled and the next start goes on.
    """
    ids = {session.id for session in sessions}
    await store.utterances.mark_in_flight_unknown(sorted(ids))
    streams = [stream for stream in await store.streams.unsettled() if stream.session_id in ids]
    unconfirmed = await close_streams(store, closer, streams, detail)
    for session in sessions:
        await store.utterances.drop_queued(session.id)
        await store.sessions.advance(session.id, SessionState.CLOSING, end_reason=EndReason.ADMIN, end_detail=detail)
        await store.sessions.advance(session.id, SessionState.CLOSED, closed_at=now)
    return unconfirmed


async def close_streams(store: Store, closer: StreamCloser | None, streams: Iterable[Stream], detail: str) -> int:
    """Close streams that nobody uses, as `close_sessions` does. Returns how many the provider did not confirm."""
    unconfirmed = 0
    for stream in streams:
        if closer is None:
            await store.streams.advance(stream.id, StreamState.CLOSED, detail=detail)
        elif stream.upstream_id is None:
            # The reply to its create never came, so nobody can name it: it ends by the idle limit set with the create.
            await store.streams.advance(stream.id, StreamState.LOST, detail=detail)
        else:
            unconfirmed += not await closer.close(stream, detail)
    return unconfirmed


LOST_WITHIN = timedelta(seconds=120)
"""How far the provider's time of a create may lie from ours: its clock, and the longest a create may take."""


async def list_open(provider: AvatarProvider) -> Sequence[OpenStream] | None:
    """Every open stream of the account, in one call; None if the provider cannot tell that way, or not now."""
    if not provider.capabilities.lists_open:
        return None
    try:
        return await provider.list_open()
    except ProviderError as error:
        log.warning("the open streams could not be listed; they count as open", error=str(error))
        return None


class OrphanedStreams:
    """Looks after the streams that nobody here owns."""

    def __init__(self, provider: AvatarProvider, store: Store, clock: Clock, *, exclusive_key: bool) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._key_is_ours = exclusive_key
        self._seen: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """How many there were at the last look."""
        return len(self._seen)

    def forget(self) -> None:
        """Another process looks after them."""
        if self._seen:
            self._seen = frozenset()
            metrics.unowned_streams.set(0)

    async def reconcile(self, listed: Sequence[OpenStream]) -> list[str]:
        """Take note of who is unowned among the provider's open streams, and close those that are surely ours, at the
        second look.

        Returns the upstream ids of those that were closed. Raises `StoreError`.
        """
        rows = await self._store.streams.unsettled()
        owned = {row.upstream_id for row in rows}
        unowned = {stream.upstream_id: stream for stream in listed if stream.upstream_id not in owned}
        before, self._seen = self._seen, frozenset(unowned)
        metrics.unowned_streams.set(len(unowned))
        if new := self._seen - before:
            log.warning("the provider has open streams that no session here owns", streams=len(new))
        seen_twice = before & self._seen
        known = await self._store.streams.known_upstream_ids(self._provider.name, seen_twice) if seen_twice else set()
        # While a create is under way, its reply may name an unknown one yet.
        if self._key_is_ours and all(row.upstream_id is not None for row in rows):
            ours = seen_twice
        else:
            ours = seen_twice & known
        return [each for each in ours if await self._close(unowned[each], is_known=each in known)]

    async def _close(self, stream: OpenStream, *, is_known: bool) -> bool:
        try:
            await self._provider.close(stream.upstream_id)
        except ProviderError as error:
            log.warning("a stream that no session owns could not be closed; I try again", error=str(error))
            return False
        metrics.reconciled.labels(what="closed, no session owned it").inc()
        if not is_known and (row := await self._row_of(stream)) is not None:
            await self._store.streams.bind(row.id, stream.upstream_id)
            await self._store.streams.advance(row.id, StreamState.CLOSED, detail="found by listing, and closed")
        return True

    async def _row_of(self, stream: OpenStream) -> Stream | None:
        """The row of the create whose lost reply would have named the stream, as far as the times tell."""
        created_at = stream.created_at
        if created_at is None:
            return None
        lost = await self._store.streams.lost(self._provider.name)
        near = [row for row in lost if abs(row.created_at - created_at) <= LOST_WITHIN]
        return min(near, key=lambda row: abs(row.created_at - created_at), default=None)
