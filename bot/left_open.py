"""Closing sessions that no process runs: what the shell does while the bot is down, and what a start does for sessions
of a provider that is no longer the chosen one. Knows rows and streams, not people."""

from collections.abc import Sequence
from datetime import datetime

from bot.model import EndReason, Session, SessionState
from bot.store.store import Store
from bot.streams import StreamCloser


async def close_left_open(
    store: Store, closer: StreamCloser, sessions: Sequence[Session], now: datetime, detail: str
) -> int:
    """Close the streams of `sessions` at their provider, which must be the one of `closer`, and then the sessions.

    Returns how many streams the provider did not confirm; their rows stay unsettled and the next start goes on.
    """
    ids = {session.id for session in sessions}
    await store.settle_in_flight(sorted(ids))
    unconfirmed = 0
    for stream in await store.unsettled_streams():
        if stream.session_id in ids:
            unconfirmed += not await closer.close(stream, detail)
    for session in sessions:
        await close_rows(store, now, session, detail)
    return unconfirmed


async def close_rows(store: Store, now: datetime, session: Session, detail: str) -> None:
    """Note that a session is over; what was queued in it is dropped."""
    await store.drop_queued(session.id)
    await store.advance_session(session.id, SessionState.CLOSING, end_reason=EndReason.ADMIN, end_detail=detail)
    await store.advance_session(session.id, SessionState.CLOSED, closed_at=now)
