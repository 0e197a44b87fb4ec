"""What becomes of what an earlier process left (rules 2, 7): its sessions run on here or only close, and their streams
are taken over, closed, or noted as gone or lost. What waits is said, or has waited for too long.

When something is claimed, and how much, is decided in `bot.cluster.claims`. Knows no vendor.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from bot.cluster.claims import Recovery
from bot.core import ids
from bot.core.errors import ProviderError
from bot.core.models import EndReason, Playback, Session, SessionState, Stream, StreamState, Utterance
from bot.core.ports import StreamStatus
from bot.sentences import restarted
from bot.services import Services
from bot.sessions.doubts import UntoldDoubts
from bot.sessions.orphans import list_open
from bot.sessions.registry import SessionRegistry
from bot.sessions.session import AvatarSession
from bot.streams.accounting import count_ended

log = structlog.get_logger(__name__)

CONCURRENT_LOOKUPS = 32
"""Status requests that run side by side while recovering: quick for 1,000 sessions, no flood for the provider."""


class SessionRecovery:
    """Takes sessions up into the registry of this process. What one call does not finish, the next one does."""

    def __init__(self, sessions: SessionRegistry) -> None:
        self._sessions = sessions
        self._services = sessions.services
        self._doubts = UntoldDoubts(sessions.services.store, sessions.services.event_bus)

    async def close(self) -> None:
        """Wait for nothing more."""
        await self._doubts.close()

    async def recover(
        self,
        among: Sequence[str] | None = None,
        limit: int | None = None,
        *,
        left_behind: bool = True,
        after_absence: bool = True,
    ) -> Recovery:
        """Claim open sessions that no process owns, and look after what an earlier one left open in them: all, or those
        `among` these ids and `limit` at the most. left_behind: what is still open of sessions that are closed is looked
        after, too. after_absence: nobody may have run for a while before. Where it is False, processes took over from
        each other, and no time of day is looked at: those of two machines may differ.

        Streams the provider still has open are adopted where their session was live, closed otherwise. What was in
        flight becomes unknown and is not said again; what was queued is said, unless nobody was there to say it for
        `queue_max_age`, after an absence.

        Raises `StoreError`. What was claimed until then is gone on with the next time.
        """
        services, store = self._services, self._services.store
        await self._sessions.ownership.claim(among, limit)
        found_free = self._sessions.ownership.claimed
        sessions = sorted(found_free.values(), key=lambda session: (session.created_at, session.id))
        claimed = [session.id for session in sessions]
        if not (sessions or left_behind):
            return Recovery()
        chosen = await store.channels.chosen_idle_timeouts()
        unsettled = await store.streams.unsettled_of(claimed)
        if left_behind:
            unsettled += await store.streams.left_behind()
        streams = await recover_streams(services, unsettled, found_free)
        queues = await store.utterances.queued(claimed)
        last_words = await store.utterances.last_word(claimed) if after_absence else {}
        uses = await store.streams.usage_of(claimed)
        await store.utterances.mark_in_flight_unknown(claimed)
        # Not only what has just been marked: an earlier process, or this one without an answer to its commit, may have
        # done that and told nobody.
        doubts = await store.doubts.of_sessions(claimed)
        if left_behind:
            await self._doubts.tell_left_behind()
        now = services.clock.now()
        adopted, unknown = 0, 0
        for session in sessions:
            del found_free[session.id]
            in_doubt = doubts[session.id]
            running = AvatarSession(session, services, chosen.get(session.channel))
            if (found := streams.get(session.id)) is not None:
                running.adopt(*found, in_doubt)
            current = running.stream.current
            running.stream.account.restore(
                (use for use in uses[session.id] if current is None or use.stream_id != current.id), now
            )
            self._doubts.tell(session, in_doubt)
            adopted += self._resume(running, in_doubt, queues.get(session.id, ()))
            if waited_in_vain(services, last_words.get(session.id)):
                running.speaker.expire()
            unknown += len(in_doubt)
        return Recovery(adopted, len(sessions) - adopted, unknown, sessions)

    def _resume(self, running: AvatarSession, in_doubt: Iterable[Utterance], queued: Iterable[Utterance]) -> bool:
        """Run a session again. False if it was not live, so that it only closes."""
        session = running.session
        for utterance in in_doubt:
            ids.continue_after(utterance.id)
        for utterance in queued:
            ids.continue_after(utterance.id)
            running.speaker.enqueue(utterance)
        if session.state is SessionState.CLOSING and session.end_reason is not None:
            running.stop.request(session.end_reason, session.end_detail)
        elif session.stop_requested_by is not None:
            running.stop.request(EndReason.ADMIN)
        elif session.state is not SessionState.LIVE:
            running.stop.request(EndReason.FAILED, restarted())
        self._sessions.serve(running)
        return not running.stop.is_set


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
