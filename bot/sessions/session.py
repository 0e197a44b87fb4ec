"""One open session, as one task: it opens the first stream, serves work in the order it came, and closes everything.

All that happens to a session (a message, a command, a provider event, a timer) is put into its mailbox and done by this
task alone, so nothing here needs a lock. Asking for the end cancels whatever the task waits for; a create under way is
waited out first (rule 2). Knows no platform and no vendor.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import structlog

from bot import sentences
from bot.announcer import Announcer
from bot.core.billing import cost_of
from bot.core.errors import AuthenticationFailed, AvatarRelayError, ProviderError, StoreError, Sunset
from bot.core.events import NoticeKind
from bot.core.mailbox import Mailbox
from bot.core.models import EndReason, Mode, Playback, Session, SessionState, Stream, Utterance
from bot.core.ports import CatalogueEntry, InitialText
from bot.core.tasks import TaskSet
from bot.core.time_limit import time_limit
from bot.core.unexpected import report_unexpected
from bot.core.views import Phase, Reply, SessionView
from bot.services import Services
from bot.sessions.linger import StreamLinger
from bot.sessions.pending import PendingUtterances
from bot.sessions.record import SessionRecorder
from bot.sessions.session_view import end_message, view_of_running
from bot.sessions.stop import StopScope
from bot.sessions.stream_listener import StreamListener
from bot.sessions.timeouts import SessionTimeouts
from bot.sessions.view_publisher import ViewPublisher
from bot.speaking.item import greeting
from bot.speaking.speaker import Speaker
from bot.streams.streams import SessionStream, open_with_retry
from bot.telemetry import metrics

log = structlog.get_logger(__name__)


class AvatarSession:
    """An open session of this process.

    stop: asks it to close, from anywhere and at once. closed: it has; idle: nothing is said or about to be.
    mailbox: work for its task. speaker: what is said. pending: the messages whose rows are being written.
    audience: who can see or hear it. heard_in: the name of the place where it is heard besides the page.
    """

    def __init__(self, session: Session, services: Services, idle_timeout: float | None = None) -> None:
        """`idle_timeout`: what the channel has chosen, seconds."""
        self._services = services
        self._tasks = TaskSet()
        self._is_opening_stream = False
        self._avatar: CatalogueEntry | None = None
        self.heard_in: str | None = None
        self.policy = services.policy.with_idle_timeout(idle_timeout)
        self.recorder = SessionRecorder(session, services.store)
        self.announcer = Announcer(session.id, session.channel, services.event_bus)
        self.mailbox = Mailbox(services.clock)
        self.idle = self.mailbox.idle
        self.stop = StopScope()
        self.closed = asyncio.Event()
        self.pending = PendingUtterances()
        self.audience = services.audiences.of(session.id)
        self._views = ViewPublisher(self.view, self.announcer, self.mailbox, services.clock, services.precedence)
        self.stream = SessionStream(
            session.id,
            services.provider,
            services.store,
            services.closer,
            services.clock,
            self.announcer,
            services.opening_times,
            services.pictures,
        )
        self.speaker = Speaker(
            services,
            self.stream,
            self._tasks,
            self.mailbox,
            self.announcer,
            self.audience,
            open_stream=self._open_stream,
            on_error=self._note_unwritten,
            speed=session.speed,
        )
        self.listener = StreamListener(session.id, services, self.stream, self.speaker, self._tasks, self.mailbox)
        self._linger = StreamLinger(
            services,
            self.mailbox,
            self.stream,
            self.speaker,
            self.listener,
            self.audience,
            is_accepting=lambda: bool(self.pending),
        )
        self._timeouts = SessionTimeouts(
            self.policy, services, self.announcer, self.stop, self.stream, self.speaker, self.listener, self.audience
        )

    # --- asked from outside ------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many utterances have been taken, or are being written down, and have not begun."""
        return len(self.pending) + self.speaker.waiting

    @property
    def session(self) -> Session:
        """The session as it is now."""
        return self.recorder.session

    @property
    def is_live(self) -> bool:
        """Whether messages are said, so far as somebody is there to hear them."""
        return self.session.state is SessionState.LIVE

    @property
    def is_asleep(self) -> bool:
        """Whether it has no stream, although it is live: the next words open one."""
        return self.is_live and self.stream.current is None

    def may_begin_at_once(self, mode: Mode) -> bool:
        """Whether a message that is accepted now is the next to be said, so that its row may say so from the first.

        Of two that are accepted at once only the first is; and the session's task must have nothing to do, since what
        it does may come first.
        """
        return (
            self.is_live
            and self.idle.is_set()
            and not (self.stop.is_set or self.pending or self.speaker.is_held)
            and self.speaker.status.may_begin_at_once(mode)
        )

    def adopt(self, stream: Stream, playback: Playback | None, in_flight: Sequence[Utterance]) -> None:
        """Go on with a stream that an earlier process opened, and with `in_flight` left in it. Before `run`."""
        self.stream.adopt(stream, playback)
        self.speaker.adopt(in_flight)

    async def settle(self, seconds: float) -> None:
        """Let another process go on: begin nothing any more, and return when nothing is being said, or the session is
        over, or after `seconds`."""
        self.speaker.hold()
        # So that it is said anew whether there is nothing to do.
        self.mailbox.wake()
        with suppress(TimeoutError):
            async with time_limit(self._services.clock, seconds):
                await self.idle.wait()
                await self.pending.wait_persisted()

    def lose_channel(self, why: str) -> None:
        """Close the session, and say nothing in its channel any more: that is gone, or to stay as closed as it is."""
        self.announcer.fall_silent()
        self.stop.request(EndReason.STOPPED, why)

    async def set_mode(self, mode: Mode) -> None:
        """Change what becomes of the messages from now on."""
        await self.recorder.set_mode(mode)
        self._views.publish()

    def set_heard_in(self, name: str | None) -> None:
        """It is heard at a place of this name besides the page from now on; None if nowhere."""
        if name != self.heard_in:
            self.heard_in = name
            if not self.stop.is_set:
                self._views.publish()

    def set_idle_timeout(self, seconds: float | None) -> None:
        """Change how long the session stays without a message, from now on; None is as the operator has set it."""
        self.policy = self._services.policy.with_idle_timeout(seconds)
        if not self.stop.is_set:
            self._timeouts.set_policy(self.policy)
            self._keep_alive_soon()

    def extend(self) -> None:
        """Stay for another idle time although nobody writes; the provider's own idle timer has to know it too."""
        self.speaker.keep()
        self._keep_alive_soon()

    def wake(self) -> None:
        """Have a stream opened although there is nothing to say yet, where it has none and somebody is there."""
        self.speaker.keep()
        self.mailbox.post(self._wake)

    def _keep_alive_soon(self) -> None:
        if self._services.provider.capabilities.keeps_alive:
            self.listener.keep_alive()

    @property
    def seconds_left(self) -> float:
        """Seconds from now until the session reaches its longest stay."""
        lived = (self._services.clock.now() - self.session.created_at).total_seconds()
        # A clock that was set back must not let it stay longer.
        return min(self.policy.max_duration, max(0.0, self.policy.max_duration - lived))

    @property
    def cost(self) -> Decimal | None:
        """What the provider charges for the streams so far, US dollars, where a price is known."""
        return cost_of(self._services.provider.capabilities, self.stream.account.used.billed)

    def view(self) -> SessionView:
        """What may be shown of the session now."""
        return view_of_running(
            self.session,
            self._services,
            self.speaker,
            self.stream,
            self._avatar,
            waiting=self.waiting,
            is_opening_stream=self._is_opening_stream,
            avatar_is_away=self.listener.avatar_is_away,
            is_missed=self.audience.is_missing,
            is_ending=self.stop.is_set,
            heard_in=self.heard_in,
            watched_by=self.audience.names,
        )

    # --- the task ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live from the first stream to the confirmed end of the last.

        Cancelled from outside, it leaves everything as it is: the next start looks after it.
        """
        try:
            await self._serve_to_the_end()
            await self._close_surely()
        finally:
            self._timeouts.stop()
            self.mailbox.stop_timers()
            await self.stream.sound.aclose()
            await self._tasks.close()

    async def _serve_to_the_end(self) -> None:
        try:
            if not self.stop.is_set:
                with self.stop.scope():
                    await self._serve()
        except AvatarRelayError as error:
            self.recorder.is_dirty |= isinstance(error, StoreError)
            self._fail(error)
        except Exception as error:  # noqa: BLE001
            # Whatever mistake this is, the stream costs money until it is closed, and the channel is told.
            report_unexpected("session failed: unexpected error", error, session=self.session.id)
            self._fail(AvatarRelayError(type(error).__name__))

    def _note_unwritten(self, error: BaseException) -> None:
        """A state that nothing waited for was not written: the session fails by it, as by one that it waits for."""
        self.recorder.is_dirty = True
        if not self.stop.is_set:
            self.mailbox.post(self._raise, error)

    async def _raise(self, error: BaseException) -> None:
        raise error

    async def _serve(self) -> None:
        self._timeouts.start_max_duration(self.seconds_left)
        self._tasks.create_task(self._load_avatar_details(), name=f"avatar of {self.session.id}")
        if self.session.state is SessionState.OPENING:
            await self._open_first()
        elif self.stream.current is not None:
            self.listener.listen()
            # Nobody has kept it since the last process ended, and its next keep-alive may come too late.
            self._keep_alive_soon()
        # The wait for the first stream was nobody's silence.
        self.speaker.keep()
        self._timeouts.start_idle()
        with self.audience.follow(self.mailbox.wake):
            while not self.stop.is_set:
                await self.speaker.pump()
                self._views.publish_soon()
                self._linger.watch()
                if self.mailbox.is_empty and self.speaker.is_idle:
                    self.idle.set()
                await self.mailbox.serve()

    async def _open_first(self) -> None:
        self._views.publish()
        if not self.audience.is_required:
            await open_with_retry(self._open_and_greet, self._services.clock)
        await self.recorder.go_live(self._services.clock.now())
        text = sentences.live(self.session.mode, is_asleep=self.is_asleep)
        self.announcer.announce(Reply(text, link=self.view().watch_url), NoticeKind.LIVE)

    async def _wake(self) -> None:
        if self.stream.current is not None or self.audience.is_missing or not self.speaker.is_idle:
            return
        try:
            await self._open_and_greet()
        except (AuthenticationFailed, Sunset):
            raise
        except ProviderError as error:
            self.announcer.report_error(sentences.failure(error), error)

    async def _open_and_greet(self) -> None:
        if not self._services.provider.capabilities.requires_initial_text:
            await self._open_stream(None)
            return
        item = greeting(self.session.id, self.policy.greeting, self._services.clock)
        await self._open_stream(InitialText(item.utterance.id, item.utterance.text))
        self.speaker.greet(item)

    async def _open_stream(self, initial_text: InitialText | None) -> None:
        request = self.policy.stream_request(
            self._services.provider.capabilities,
            avatar=self.session.avatar,
            voice=self.session.voice,
            quality=self.session.quality,
            remaining=self.seconds_left,
            initial_text=initial_text,
            speed=self.session.speed,
            language=self.session.language,
        )
        self._is_opening_stream = True
        self._views.publish()
        try:
            await self.stream.open(request)
        finally:
            self._is_opening_stream = False
        self.listener.listen()

    async def _close_surely(self) -> None:
        """Close, and at least what costs money if that fails unexpectedly."""
        try:
            await self._close()
        except Exception as error:  # noqa: BLE001
            report_unexpected("closing a session failed: unexpected error", error, session=self.session.id)
            self.recorder.is_dirty = True
            reason, _ = self.stop.why
            await self.stream.close(reason.value)
            await self.stream.confirmed()
            self._say_goodbye(reason)
            await self.recorder.close(self._services.clock.now())

    async def _close(self) -> None:
        """Close everything at the provider, whatever the database says: an open stream costs more than a stale row.
        The recorder is dirty where the rows do not say how it ended."""
        reason, detail = self.stop.why
        self.stream.sound.cut()
        self._timeouts.stop()
        self.mailbox.stop_timers()
        self.announcer.is_closing = True
        await self.recorder.begin_to_close(reason, detail)
        await self.listener.stop()
        await self._let_the_queue_go()
        await self.stream.close(reason.value)
        await self.stream.confirmed()
        await self.recorder.close(self._services.clock.now())
        self._say_goodbye(reason)

    async def _let_the_queue_go(self) -> None:
        # Whoever is just writing down a message sees that the session ends, and drops it.
        await self.pending.wait_persisted()
        try:
            await self.speaker.abandon()
        except StoreError as error:
            self.recorder.is_dirty = True
            log.error("the last states of utterances could not be written", error=str(error))
        # Now, since the provider may take its time to confirm the close, and the program may end before.
        self.announcer.tell_left_unsaid()

    def _say_goodbye(self, reason: EndReason) -> None:
        metrics.sessions_ended.labels(reason=reason.value).inc()
        sentence = end_message(self.session, self._services.clock.now(), self.stream.account.used, self.cost)
        self.closed.set()
        self.idle.set()
        self.announcer.announce_end(replace(self.view(), phase=Phase.ENDED, ended=sentence), sentence)
        # Where the queue could not be let go, which fails in no way that is foreseen.
        self.announcer.tell_left_unsaid()

    def _fail(self, error: AvatarRelayError) -> None:
        sentence, reference = sentences.session_failed(error)
        log.error("session failed", session=self.session.id, reference=reference, error=str(error))
        self.stop.note_failure(sentence)

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _load_avatar_details(self) -> None:
        """Its name and picture are nice to have: a session does without them."""
        try:
            self._avatar = await self._services.catalogue.avatar(self.session.avatar)
        except ProviderError as error:
            log.info("could not fetch the list of avatars", session=self.session.id, error=str(error))
            return
        if not self.stop.is_set:
            self._views.publish()
