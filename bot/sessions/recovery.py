"""What becomes of the streams that an earlier process left open (rule 2): taken over, closed, or noted as gone or lost;
and whether what waits has done so for too long.

Looks, and writes rows; which session runs on is decided in `bot.sessions.registry`. Knows no vendor.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from bot.core.errors import ProviderError
from bot.core.models import Playback, Session, SessionState, Stream, StreamState
from bot.core.ports import StreamStatus
from bot.services import Services
from bot.sessions.orphans import list_open
from bot.streams.accounting import count_ended

log = structlog.get_logger(__name__)

CONCURRENT_LOOKUPS = 32
"""Status requests that run side by side while recovering: quick for 1,000 sessions, no flood for the provider."""


async def recover_streams(
    services: Services, streams: Sequence[Stream], sessions: dict[str, Session]
) -> dict[str, tuple[Stream, Playback | None]]:
    """The streams that their sessions take over, by session: to go on with, or to close where the session only
    closes. All others are closed, or noted as gone or lost; nobody waits for that here."""
    open_streams: dict[str, tuple[Stream, Playback | None]] = {}
    open_now = await list_open(services.provider) if streams else None
    listed = None if open_now is None else frozenset(stream.upstream_id for stream in open_now)
    limit = asyncio.Semaphore(CONCURRENT_LOOKUPS)
    activity = await services.store.utterances.last_activity([stream.session_id for stream in streams])

    async def look_up(stream: Stream) -> None:
        async with limit:
            session = sessions.get(stream.session_id)
            if stream.provider != services.provider.name:
                log.warning("a stream of another provider is still open in the books", stream=stream.id)
            elif stream.upstream_id is None:
                await services.store.streams.advance(stream.id, StreamState.LOST, detail="no reply before the end")
            elif (
                session is not None
                and session.state is not SessionState.LIVE
                and stream.state is not StreamState.CLOSING
            ):
                open_streams[session.id] = _with_playback(stream, StreamStatus(is_open=True))
            elif session is None or stream.state is not StreamState.OPEN:
                services.closer.begin(stream, "found open after a restart")
            elif (status := await _status(services, stream, listed)).is_open:
                open_streams[session.id] = _with_playback(stream, status)
            else:
                over_at = _over_at(services, stream, activity.get(stream.session_id))
                count_ended(stream, services.provider.capabilities, over_at)
                await services.store.streams.advance(
                    stream.id, StreamState.CLOSED, detail=status.detail, closed_at=over_at
                )

    async with asyncio.TaskGroup() as group:
        for stream in streams:
            group.create_task(look_up(stream))
    return open_streams


def waited_in_vain(services: Services, last_word: datetime | None) -> bool:
    """Whether what waits in a session has done so for `queue_max_age` without anything being said that it had to wait
    for: all processes were away. last_word: when something was last accepted or said there."""
    if last_word is None:
        return False
    return (services.clock.now() - last_word).total_seconds() >= services.policy.queue_max_age


def _over_at(services: Services, stream: Stream, last_activity: datetime | None) -> datetime:
    """When a stream that was found closed was so at the latest, by the limits it was given: what it cost while
    nobody here was looking must not count for longer."""
    capabilities = services.provider.capabilities
    idle = timedelta(seconds=services.policy.unattended_limit(capabilities))
    longest = timedelta(seconds=capabilities.max_duration)
    begun = stream.created_at
    return min(services.clock.now(), max(begun, last_activity or begun) + idle, begun + longest)


async def _status(services: Services, stream: Stream, listed: frozenset[str] | None) -> StreamStatus:
    if listed is not None:
        return StreamStatus(is_open=stream.upstream_id in listed, detail="not in the provider's list")
    try:
        return await services.provider.status(stream.upstream_id or "")
    except ProviderError as error:
        log.warning("the state of a stream is not known; it counts as open", stream=stream.id, error=str(error))
        return StreamStatus(is_open=True)


def _with_playback(stream: Stream, status: StreamStatus) -> tuple[Stream, Playback | None]:
    playback = status.playback
    if playback is None and stream.hls_url is not None:
        playback = Playback(hls_url=stream.hls_url)
    return replace(stream, state=StreamState.OPEN), playback
