"""The life cycle of every session of this process: start, find, stop, leave to another process, shut down.

Each session runs as a task of its own (`bot.sessions.session`); this module knows which there are. Decides nothing
about who may do what (`bot.access.permissions`) and says nothing to people (`bot.commands.router`). Which of all
sessions are this process's is known by `bot.sessions.ownership`; what an earlier process left is taken up by
`bot.sessions.recovery`.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog

from bot import sentences
from bot.core import ids
from bot.core.errors import Refused, StoreError
from bot.core.models import Actor, AuditEntry, Channel, EndReason, Mode, RoomAccess, Session, SessionState
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.views import SessionView
from bot.services import Services
from bot.sessions.elsewhere import SessionsElsewhere
from bot.sessions.orphans import OrphanedStreams, list_open
from bot.sessions.overview import SessionOverview, overview_of
from bot.sessions.ownership import SessionOwnership
from bot.sessions.record import UnsavedSessions
from bot.sessions.session import AvatarSession
from bot.sessions.session_view import view_of_row
from bot.store.audit import ADMIN_STOP
from bot.streams.page_bridge import SupportsBroadcast
from bot.telemetry import metrics

log = structlog.get_logger(__name__)

SYSTEM = Actor("bot", "bot", "the bot itself")
"""Who did what nobody asked for."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What somebody who starts a session asked for; None follows the channel, then the operator."""

    avatar: str | None = None
    voice: str | None = None
    quality: str | None = None
    mode: Mode | None = None
    speed: float | None = None
    language: str | None = None


SETTLE_TIME = 20.0
"""Seconds for what is being said when sessions go to another process: most messages are said within that."""


class SessionRegistry:
    """Every open session of this process, by channel and by id. is_leaving: none is opened any more."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.is_leaving = False
        self._tasks = TaskSet()
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._by_channel: dict[Channel, AvatarSession] = {}
        self._by_id: dict[str, AvatarSession] = {}
        self._by_link: dict[str, AvatarSession] = {}
        self._owed = UnsavedSessions(services.store)
        self.ownership = SessionOwnership(
            services.store, services.provider.name, running=self._by_id.keys(), unsaved=self._owed.ids
        )
        self.unowned = OrphanedStreams(
            services.provider, services.store, services.clock, exclusive_key=services.policy.exclusive_key
        )
        self.elsewhere = SessionsElsewhere(services, self._overviews, lambda: self.spoken, self.apply_stop_requests)

    def _overviews(self) -> list[SessionOverview]:
        return [overview_of(running) for running in self]

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[AvatarSession]:
        return iter(tuple(self._by_id.values()))

    @property
    def provider(self) -> str:
        """The provider that all of them have."""
        return self.services.provider.name

    def serves(self, session_id: str) -> bool:
        """Whether a session runs here."""
        return session_id in self._by_id

    def in_channel(self, channel: Channel) -> AvatarSession | None:
        """The open session of a channel."""
        return self._by_channel.get(channel)

    def with_id(self, session_id: str) -> AvatarSession | None:
        """The open session with an id."""
        return self._by_id.get(session_id)

    def behind_link(self, link_nonce: str) -> AvatarSession | None:
        """The open session that a watch link leads to."""
        return self._by_link.get(link_nonce)

    # --- start and stop ----------------------------------------------------------------------------------------------

    async def start(
        self, channel: Channel, actor: Actor, wishes: StartOptions, *, at_once: int | None = None
    ) -> tuple[Session, bool]:
        """Open a session in a channel: the session in force, and whether it is new (rule 1).

        Returns once the row is written; the stream opens in the session's own task. Raises `Refused` where the
        workspace has `at_once` sessions already, and while the process leaves its sessions to others, and `StoreError`.
        """
        policy, clock, store = self.services.policy, self.services.clock, self.services.store
        if self.is_leaving:
            raise Refused(sentences.RESTARTING, stage="session")
        await self.flush_unsaved()
        chosen = await store.channels.settings(channel)
        session = Session(
            id=ids.new_session_id(),
            channel=channel,
            provider=self.services.provider.name,
            state=SessionState.OPENING,
            mode=wishes.mode or chosen.mode or policy.mode,
            avatar=wishes.avatar or policy.avatar,
            voice=wishes.voice or policy.voice,
            quality=wishes.quality or policy.quality,
            link_nonce=ids.new_nonce(),
            started_by=actor.key,
            started_by_name=actor.name,
            created_at=clock.now(),
            speed=wishes.speed,
            language=wishes.language,
        )
        in_force = await self.ownership.open(session, at_once)
        if in_force.id != session.id:
            return in_force, False
        self.serve(AvatarSession(session, self.services, chosen.idle_timeout))
        self.services.cluster.directory.opened(session)
        metrics.sessions_started.inc()
        await self.audit(actor, "start", session)
        return session, True

    async def stop(self, running: AvatarSession, reason: EndReason, actor: Actor) -> None:
        """Ask a session to close; `running.closed` tells when it is."""
        running.stop.request(reason)
        await self.audit(actor, ADMIN_STOP if reason is EndReason.ADMIN else "stop", running.session)

    async def end_in_channels(self, gone: Callable[[Channel], bool], why: str) -> None:
        """End the sessions of channels that are no longer there for the bot, or closed to it; nothing is said in them
        any more, also where the session ends already. `why` goes to the log and the audit."""
        for running in self:
            if gone(running.session.channel):
                is_news = not running.stop.is_set
                running.lose_channel(why)
                if is_news:
                    await self.audit(SYSTEM, "channel gone", running.session, why)

    async def view(self, session_id: str) -> SessionView | None:
        """What a panel shows of a session, whatever became of it; None if it never was."""
        if (running := self._by_id.get(session_id)) is not None:
            return running.view()
        session = await self.services.store.sessions.get(session_id)
        return None if session is None else await view_of_row(session, self.services)

    async def reconcile(self) -> None:
        """Compare the rows with what the provider has open, and fix the difference: streams it has ended by itself
        without saying so, of the sessions here; and streams it has open that no row owns (`bot.sessions.orphans`),
        which one process of all looks after."""
        before = {running: running.stream.current for running in self}
        listed = await list_open(self.services.provider)
        if listed is None:
            return
        known = frozenset(stream.upstream_id for stream in listed)
        for running, stream in before.items():
            if stream is not None and stream.upstream_id not in known:
                metrics.reconciled.labels(what="ended by the provider").inc()
                running.mailbox.post(running.listener.stream_ended, stream.id, "not in the provider's list")
                await self.audit(SYSTEM, "stream ended by the provider", running.session, stream.id)
        if not self.services.cluster.directory.is_first:
            self.unowned.forget()
            return
        for upstream_id in await self.unowned.reconcile(listed):
            await self.audit(SYSTEM, "closed a stream that no session owns", None, upstream_id)

    async def apply_stop_requests(self) -> None:
        """Close the sessions that another process (the shell) has asked to close."""
        for session_id, _by in await self.services.store.sessions.stop_requests():
            if (running := self._by_id.get(session_id)) is not None:
                running.stop.request(EndReason.ADMIN)

    async def flush_unsaved(self) -> None:
        """Write down how sessions ended whose rows could not be written then: until that is done they occupy their
        channels. Raises `StoreError` while the database is still in trouble."""
        await self._owed.write()

    async def shut_down(self) -> None:
        """Close every session and wait for each confirmation."""
        for running in tuple(self._by_id.values()):
            running.stop.request(EndReason.SHUTDOWN)
        await asyncio.gather(*(running.closed.wait() for running in tuple(self._by_id.values())))

    @property
    def spoken(self) -> dict[str, float]:
        """Seconds of speech in the streams that are open now, by their ids: their rows do not say it yet."""
        accounts = [(running.stream.current, running.stream.account) for running in self]
        return {stream.id: account.spoken.seconds for stream, account in accounts if stream is not None}

    async def save_spoken(self) -> None:
        """Write down what the open streams have said so far, for the process that goes on with them. A database in
        trouble is logged and no reason to fail."""
        try:
            await self.services.store.streams.note_spoken(self.spoken)
        except StoreError as error:
            log.error("what was spoken could not be written", error=str(error))

    async def settle(self, sessions: Iterable[AvatarSession]) -> None:
        """Have what is being said in some sessions said to the end, for `SETTLE_TIME` at most, and begin nothing: what
        waits, and what still comes, is for the process that goes on with them."""
        await asyncio.gather(*(running.settle(SETTLE_TIME) for running in sessions))

    async def release(self, sessions: Iterable[AvatarSession]) -> None:
        """Leave sessions as they are to whoever claims them; those that are closing are closed to the end here. Raises
        `StoreError`: they are served nowhere then, until this process ends."""
        released = [running for running in sessions if not running.stop.is_set and self.serves(running.session.id)]
        streams = {stream.id for running in released if (stream := running.stream.current) is not None}
        spoken = {stream: seconds for stream, seconds in self.spoken.items() if stream in streams}
        rows = [running.session for running in released]
        for session in rows:
            # What comes for it from here on is kept for the next owner: nobody may read that there is no avatar.
            self.services.cluster.directory.released(session)
        for running in released:
            await cancel_and_wait(self._serving[running.session.id])
        await self.services.cluster.claims.let_go(rows)
        await self.services.store.streams.note_spoken(spoken)
        await self.services.store.sessions.release([session.id for session in rows])
        await self.services.cluster.claims.released()

    async def abandon_all(self) -> None:
        """Give up whatever still runs; the rows tell the next start what to look after."""
        await self._tasks.close()

    def serve(self, running: AvatarSession) -> None:
        """Run a session in a task of its own; from now on it is found here."""
        session = running.session
        self._by_channel[session.channel] = running
        self._by_id[session.id] = running
        self._by_link[session.link_nonce] = running
        metrics.open_sessions.set(len(self._by_id))
        serving = self._tasks.create_task(self._run_and_forget(running), name=f"session {session.id}")
        self._serving[session.id] = serving

    async def _run_and_forget(self, running: AvatarSession) -> None:
        try:
            await running.run()
            self.services.cluster.directory.closed(running.session)
        finally:
            session = running.session
            self._serving.pop(session.id, None)
            self._by_id.pop(session.id, None)
            self._by_link.pop(session.link_nonce, None)
            if self._by_channel.get(session.channel) is running:
                del self._by_channel[session.channel]
            if running.recorder.is_dirty:
                self._owed.add(session)
            metrics.open_sessions.set(len(self._by_id))
            running.closed.set()

    async def audit(self, actor: Actor, action: str, session: Session | None, detail: str | None = None) -> None:
        """Write down who did what. It is done already, so a database in trouble is logged and no reason to fail."""
        entry = AuditEntry(
            at=self.services.clock.now(),
            actor=f"{actor.key} ({actor.name[:64]})",
            action=action,
            channel=str(session.channel) if session else None,
            session_id=session.id if session else None,
            detail=detail,
        )
        try:
            await self.services.store.audit.add(entry)
        except StoreError as error:
            log.error("the audit could not be written", action=action, actor=entry.actor, error=str(error))

    # --- the watch page ----------------------------------------------------------------------------------------------

    async def view_by_link(self, link_nonce: str) -> SessionView | None:
        """What a watch link shows; None if the link was revoked or never was."""
        if (running := self.behind_link(link_nonce)) is not None:
            return running.view()
        session = await self.services.store.sessions.by_link(link_nonce)
        return None if session is None else await view_of_row(session, self.services)

    def link_in(self, channel: Channel) -> str | None:
        """The link of the session that is open in a channel, by its nonce."""
        running = self.in_channel(channel)
        return None if running is None else running.session.link_nonce

    async def link_of(self, session_id: str) -> str | None:
        """The link of a session, whatever became of it, by its nonce; None if it never was."""
        running = self.with_id(session_id)
        session = running.session if running else await self.services.store.sessions.get(session_id)
        return None if session is None else session.link_nonce

    async def room_access(self, link_nonce: str) -> RoomAccess | None:
        """How one more page enters the room of the session behind a link; None if there is no room to enter now.

        Raises `ProviderError` if a room of the operator's own is not available.
        """
        running = self.behind_link(link_nonce)
        stream, playback = (running.stream.current, running.stream.playback) if running else (None, None)
        if stream is None or stream.upstream_id is None or playback is None:
            return None
        if playback.is_broadcast and isinstance(self.services.provider, SupportsBroadcast):
            return await self.services.provider.door(stream.upstream_id)
        if playback.livekit_url is None:
            return None
        return RoomAccess(stream.upstream_id, playback.livekit_url, playback.livekit_token or "")
