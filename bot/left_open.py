"""Closing what no process runs: what the shell does while the bot is down, and what a start does for sessions and
streams of a provider that is no longer the chosen one. Knows rows and streams, not people.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from bot.core.models import EndReason, Session, SessionState, Stream, StreamState
from bot.store.store import Store
from bot.streams import StreamCloser


async def close_sessions(
    store: Store, closer: StreamCloser | None, sessions: Sequence[Session], now: datetime, detail: str
) -> int:
    """Close the streams of `sessions`, which all have one provider, and then the sessions.

    closer: of that provider; None where the provider ended with the process that ran it (the simulator).
    Returns how many streams the provider did not confirm; their rows stay unsettled and the next start goes on.
    """
    ids = {session.id for session in sessions}
    await store.settle_in_flight(sorted(ids))
    streams = [stream for stream in await store.unsettled_streams() if stream.session_id in ids]
    unconfirmed = await close_streams(store, closer, streams, detail)
    for session in sessions:
        await store.drop_queued(session.id)
        await store.advance_session(session.id, SessionState.CLOSING, end_reason=EndReason.ADMIN, end_detail=detail)
        await store.advance_session(session.id, SessionState.CLOSED, closed_at=now)
    return unconfirmed


async def close_streams(store: Store, closer: StreamCloser | None, streams: Iterable[Stream], detail: str) -> int:
    """Close streams that nobody uses, as `close_sessions` does. Returns how many the provider did not confirm."""
    unconfirmed = 0
    for stream in streams:
        if closer is None:
            await store.advance_stream(stream.id, StreamState.CLOSED, detail=detail)
        elif stream.upstream_id is None:
            # The reply to its create never came, so nobody can name it: it ends by the idle limit set with the create.
            await store.advance_stream(stream.id, StreamState.LOST, detail=detail)
        else:
            unconfirmed += not await closer.close(stream, detail)
    return unconfirmed
