"""The speaking loop of one session: what people do to it, what is sent, and what becomes of what was not taken. What is
sent next is decided by `bot.speaking.scheduler`; how speech ends early is in `bot.speaking.interruption`.

One utterance is being said (`current`) and at most one has been sent ahead, where the provider allows it. Text goes
out in pieces, so that a provider never gets more than it takes at once, and never so far ahead of the voice that its
text-idle timer could run out while the avatar still talks. Every method that waits runs in the session's own task, one
after the other; time and provider events come in as further work for that task. Knows no platform and no vendor."""

from collections.abc import Awaitable, Callable, Sequence

from bot import sentences
from bot.announcer import Announcer
from bot.core.audience import Audience
from bot.core.errors import AuthenticationFailed, AvatarAway, ProviderError, QuotaExhausted, StreamGone, Sunset
from bot.core.mailbox import Mailbox
from bot.core.models import Utterance, UtteranceState
from bot.core.ports import InitialText
from bot.core.tasks import TaskSet
from bot.services import Services
from bot.speaking.answers import Conversation
from bot.speaking.chunks import Chunker
from bot.speaking.expiry import QueueExpiry
from bot.speaking.interruption import SpeechFailures, SpeechInterrupter
from bot.speaking.item import SpeechItem, StateRecorder
from bot.speaking.playout import Playout
from bot.speaking.queue import SpeechQueue
from bot.speaking.retry import RetryAfter, decide
from bot.speaking.scheduler import SpeechScheduler
from bot.speaking.sender import SpeechSender
from bot.speaking.status import SpeechStatus
from bot.speaking.tracker import PlaybackTracker
from bot.streams.streams import SessionStream
from bot.telemetry import metrics
from bot.text import estimate_duration

PAGE_JOINS = 5.0
"""Seconds that an open watch page has to join a new stream before anybody is told that a viewer is missing. Our choice:
two looks (`bot.speaking.retry.VIEWER_POLL_INTERVAL`) and a little more."""


class Speaker:
    """Order in, speech out. status: how it is doing, for everybody else."""

    def __init__(
        self,
        services: Services,
        stream: SessionStream,
        tasks: TaskSet,
        mailbox: Mailbox,
        announcer: Announcer,
        audience: Audience,
        *,
        open_stream: Callable[[InitialText | None], Awaitable[None]],
        on_error: Callable[[BaseException], None],
        speed: float | None = None,
    ) -> None:
        """`open_stream` opens the next stream of the session. `on_error` as in `bot.speaking.item.StateRecorder`.
        `speed`: how fast it speaks, where that was chosen."""
        self._clock = services.clock
        self._capabilities = services.provider.capabilities
        self._stream = stream
        self._mailbox = mailbox
        self._announcer = announcer
        self._audience = audience
        conversation = Conversation(services.chat_model, services.policy.knowledge)
        self._chunker = Chunker(self._capabilities, conversation, tasks, on_chunk=mailbox.wake)
        self._states = StateRecorder(services.store, services.clock, announcer, on_error)
        self.queue = SpeechQueue(services.store, self._chunker, self._states)
        self._playout = Playout(services.clock, stream.account.spoken)
        self._scheduler = SpeechScheduler(
            self._capabilities,
            services.clock,
            mailbox,
            announcer,
            self.queue,
            self._playout,
            self._chunker,
            self._states,
            audience,
        )
        self._expiry = QueueExpiry(self.queue, services.policy.queue_max_age, services.clock, mailbox, announcer)
        self._failures = SpeechFailures(self._playout, self._chunker, self._states, announcer)
        self._sender = SpeechSender(services.provider, stream, open_stream, speed)
        self.status = SpeechStatus(
            services.clock,
            self._capabilities,
            stream,
            self.queue,
            self._playout,
            self._chunker,
            self._states,
            audience,
        )
        self.tracker = PlaybackTracker(
            self._playout,
            self._states,
            mailbox,
            reports_speech=self._capabilities.reports_speech,
            doubt=None if self._capabilities.confirms_text else self._failures.fail_in_doubt,
        )
        self._interrupter = SpeechInterrupter(
            stream,
            self._sender,
            self.queue,
            self._playout,
            self._chunker,
            self._states,
            self.status,
            self.tracker,
            self._failures,
            announcer,
        )

    # --- what people do ----------------------------------------------------------------------------------------------

    def enqueue(self, utterance: Utterance) -> None:
        """Take an utterance whose row is written; from any task. It gets in line behind every command given before
        it: what those do, and whether the queue is held after them, is none of its business."""
        self.status.arrived.append(SpeechItem(utterance))
        self._mailbox.post(self._get_in_line)

    async def _get_in_line(self) -> None:
        self.queue.add(self.status.arrived.popleft())
        self.status.is_paused = False
        self.keep()

    def expire(self) -> None:
        """Drop what has been enqueued so far, and tell: nobody could say it for too long. From any task."""
        self._mailbox.post(self._expiry.drop_all)

    async def interrupt(self) -> None:
        """Silence now. What waits is kept, and waits until the next message or a skip."""
        self.status.is_paused = bool(self.queue or self.ahead)
        await self._interrupter.cut()

    async def skip(self) -> None:
        """Cut what is being said, or is about to be, and go on with the next."""
        if self.is_idle or self.status.is_talking_on:
            self.status.is_paused = False
        elif self.current is None:
            # Written in the same moment, or skipped twice: its turn has come, and nobody has had time to begin it.
            self._playout.begin(self.queue.take())
        await self._interrupter.cut()

    async def clear(self) -> None:
        """Empty the queue; what is being said is said to the end."""
        await self._interrupter.clear()

    async def edit(self, message_id: str, text: str) -> None:
        """Say what a message says now, where it still waits. Raises `StoreError`."""
        await self._interrupter.return_to_queue()
        await self.queue.edit(message_id, text)

    def hold(self) -> None:
        """Begin nothing any more: another process is to say what waits."""
        self._scheduler.is_held = True

    def keep(self) -> None:
        """Count as activity that somebody wants the avatar to stay."""
        self.status.wanted_at = self._clock.monotonic()

    async def abandon(self) -> None:
        """The session closes: nothing more is said, and every utterance gets its last state.

        Raises `StoreError` if some of them could not be written; all are told all the same.
        """
        await self._interrupter.abandon()

    # --- what may be known of it -------------------------------------------------------------------------------------

    @property
    def current(self) -> SpeechItem | None:
        """The item that is being said, or is about to be."""
        return self._playout.current

    @property
    def is_saying_something(self) -> bool:
        """Whether there is something to cut, or will be once the messages that just came in are looked at."""
        return self.current is not None or self.status.is_talking_on or bool(self.status.arrived)

    @property
    def ahead(self) -> SpeechItem | None:
        """The item that was sent ahead."""
        return self._playout.ahead

    @property
    def waiting(self) -> int:
        """How many utterances have not begun to be said."""
        return self.status.waiting

    def queued(self) -> list[Utterance]:
        """The utterances that have not begun to be said, in their order."""
        ahead = [self.ahead] if self.ahead else []
        return [item.utterance for item in (*ahead, *self.queue, *self.status.arrived)]

    @property
    def is_idle(self) -> bool:
        """Nothing is being said and nothing is about to be."""
        return self.current is None and (not self.queue or self.status.is_paused or self.is_held)

    @property
    def is_held(self) -> bool:
        """Whether nothing begins any more here."""
        return self._scheduler.is_held

    # --- what becomes of the stream -----------------------------------------------------------------------------------

    def adopt(self, in_flight: Sequence[Utterance]) -> None:
        """Note that an earlier process left this in the stream, so that the voice may still be at it."""
        self._playout.talk_until(self._clock.monotonic() + self._sender.estimate_remaining(in_flight))

    async def stream_ended(self, why: StreamGone) -> None:
        """The stream is gone: nobody knows how far what was being said has come. What waits is said in the next one."""
        await self._interrupter.stream_ended(why)

    def stream_let_go(self) -> None:
        """The stream was closed while nothing was heard."""
        self._interrupter.stream_let_go()

    def greet(self, item: SpeechItem) -> None:
        """Note that the stream was opened with a greeting, and is saying it."""
        self._playout.begin(item)
        self.tracker.track(item, item.utterance.text, estimate_duration(item.utterance.text))

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def pump(self) -> None:
        """Send whatever may be sent now."""
        while (
            not (self.status.is_paused or self.status.is_backing_off)
            and (item := await self._scheduler.next()) is not None
        ):
            if not await self._send(item):
                break
        await self._interrupter.return_to_queue()
        if self.status.is_blocked:
            await self._drop_stale()
        else:
            self._expiry.start_anew()
        if not self.queue:
            self.status.refusals = 0

    async def _drop_stale(self) -> None:
        current = self.current
        if current is not None and self.status.is_cut_short and self._expiry.has_waited_since(self._playout.silent_at):
            self._expiry.tell_dropped([current.utterance])
            await self._interrupter.cut()
        await self._expiry.drop_stale()

    async def _send(self, item: SpeechItem) -> bool:
        """Hand one piece to the provider. False if the loop has to wait before it goes on."""
        try:
            await self._sender.open_stream()
            if self._audience.is_missing:
                # Whoever it was opened for has left meanwhile: the scheduler puts the item back.
                return True
            if not item.sent:
                await self._states.advance(item, UtteranceState.SENDING)
            seconds = await self._sender.say(item)
        except (AuthenticationFailed, Sunset):
            raise
        except ProviderError as error:
            if isinstance(error, AvatarAway) and self._stream.current is None:
                # A stream was paid for and closed again for nothing: the next one would be the same.
                raise
            if isinstance(error, QuotaExhausted) and self._stream.current is not None:
                raise
            metrics.provider_errors.labels(kind=type(error).__name__).inc()
            return await self._handle_send_error(item, error)
        text = item.chunks.popleft()
        self.status.lacks_viewer = False
        self.status.refusals = 0
        if not item.sent:
            item.sent = True
            if item is self.current:
                await self._states.advance(item, UtteranceState.SPEAKING)
        self.tracker.track(item, text, seconds)
        return True

    # --- trouble -----------------------------------------------------------------------------------------------------

    async def _handle_send_error(self, item: SpeechItem, error: ProviderError) -> bool:
        """Carry out what becomes of a piece the provider did not take. True if the loop may go on at once."""
        verdict = decide(
            error,
            item.attempts,
            refusals=self.status.refusals,
            is_open=self._stream.current is not None,
            is_closing=self._stream.is_closing,
        )
        if not isinstance(verdict, RetryAfter):
            await self._failures.fail(item, verdict.state, error)
            return True
        item.attempts += verdict.counts
        self.status.lacks_viewer = verdict.waits_for_viewer and not self._is_being_joined
        if verdict.is_refused and not self.status.is_refused:
            self._announcer.report_error(sentences.waits_for_stream(error), error)
        self.status.refusals = self.status.refusals + 1 if verdict.is_refused else 0
        if not item.sent:
            self._playout.remove(item)
            self.queue.requeue(item)
            await self._states.advance(item, UtteranceState.QUEUED)
        if isinstance(error, StreamGone):
            await self._stream.mark_ended(str(error))
            await self.stream_ended(error)
        if verdict.seconds:
            self.status.is_backing_off = True
            self._mailbox.call_later("again", verdict.seconds, self._resume)
        return not verdict.seconds

    @property
    def _is_being_joined(self) -> bool:
        """Whether somebody has the watch page open, which only has not got into the new stream yet."""
        ready_at = self._stream.ready_at
        is_new = ready_at is not None and self._clock.monotonic() - ready_at < PAGE_JOINS
        return is_new and self._audience.is_there

    async def _resume(self) -> None:
        self.status.is_backing_off = False
