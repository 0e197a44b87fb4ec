"""The speaking loop of one session: what is said next, when it is sent, and the four ways to stop it.

One utterance is being said (`current`) and at most one has been sent ahead, where the provider allows it. Text goes
out in pieces, so that a provider never gets more than it takes at once, and never so far ahead of the voice that its
text-idle timer could run out while the avatar still talks. Every method runs in the session's own task, one after the
other; time and provider events come in as further work for that task. Knows no platform and no vendor."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from bot import sentences
from bot.announcer import Announcer
from bot.core.errors import (
    AuthenticationFailed,
    AvatarAway,
    ProviderError,
    QuotaExhausted,
    StoreError,
    StreamGone,
    Sunset,
    Transient,
    Trouble,
)
from bot.core.mailbox import Mailbox
from bot.core.models import Utterance, UtteranceState
from bot.core.ports import InitialText
from bot.core.tasks import TaskSet
from bot.services import Services
from bot.speaking.answer_timeouts import TURN, longest_wait, took_too_long
from bot.speaking.answers import Conversation
from bot.speaking.chunks import Chunker
from bot.speaking.item import SpeechItem, StateRecorder
from bot.speaking.playout import Playout
from bot.speaking.queue import SpeechQueue
from bot.speaking.retry import RetryAfter, decide
from bot.speaking.sender import SpeechSender
from bot.speaking.tracker import TIMER_IS_EARLY, PlaybackTracker
from bot.streams.streams import SessionStream
from bot.telemetry import metrics
from bot.text import estimate_duration

CHUNK_BUFFER = 8.0
"""Seconds of an utterance that may still be unsaid when its next piece goes out."""

SEND_AHEAD = 3.0
"""Seconds of speech that may still be unsaid when the next utterance goes out. Enough to bridge the 2.5 to 3.6 s from
text to speech that were reported; what has been sent ahead can only be taken back by a cut, so it is no more than
needed."""

NOT_TOLD = "nothing told how far the voice had come"


class Speaker:
    """Order in, speech out."""

    def __init__(
        self,
        services: Services,
        keeper: SessionStream,
        tasks: TaskSet,
        mailbox: Mailbox,
        announcer: Announcer,
        *,
        open_stream: Callable[[InitialText | None], Awaitable[None]],
        speed: float | None = None,
    ) -> None:
        """`open_stream` opens the next stream of the session. `speed`: how fast it speaks, where that was chosen."""
        self._clock = services.clock
        self._capabilities = services.provider.capabilities
        self._keeper = keeper
        self._mailbox = mailbox
        self._announcer = announcer
        conversation = Conversation(services.chat_model, services.policy.knowledge)
        self._pieces = Chunker(self._capabilities, conversation, tasks, on_chunk=mailbox.wake)
        self._states = StateRecorder(services.store, services.clock, announcer)
        self._queue = SpeechQueue(services.store, self._pieces, self._states)
        self._playout = Playout(services.clock)
        self._delivery = SpeechSender(services.provider, keeper, open_stream, speed)
        self._arrived: deque[SpeechItem] = deque()
        self._paused = False
        self._wanted_at = services.clock.monotonic()
        self.held = False
        self.waits_for_viewer = False
        self.progress = PlaybackTracker(
            self._playout,
            self._states,
            mailbox,
            reports_speech=self._capabilities.reports_speech,
            doubt=None if self._capabilities.confirms_text else self._fail_in_doubt,
        )

    # --- what people do ----------------------------------------------------------------------------------------------

    def enqueue(self, utterance: Utterance) -> None:
        """Take an utterance whose row is written; from any task. It gets in line behind every command given before
        it: what those do, and whether the queue is held after them, is none of its business."""
        self._arrived.append(SpeechItem(utterance))
        self._mailbox.post(self._get_in_line)

    async def _get_in_line(self) -> None:
        self._queue.add(self._arrived.popleft())
        self.held = False
        await self.keep()

    async def interrupt(self) -> None:
        """Silence now. What waits is kept, and waits until the next message or a skip."""
        self.held = bool(self._queue or self.ahead)
        await self._cut()

    async def skip(self) -> None:
        """Cut what is being said, or is about to be, and go on with the next."""
        if self.is_idle or self.is_talking_on:
            self.held = False
        elif self.current is None:
            # Written in the same moment, or skipped twice: its turn has come, and nobody has had time to begin it.
            self._playout.begin(self._queue.take())
        await self._cut()

    async def clear(self) -> None:
        """Empty the queue; what is being said is said to the end."""
        self.held = False
        await self._queue.clear()

    async def keep(self) -> None:
        """Count as activity that somebody wants the avatar to stay."""
        self._wanted_at = self._clock.monotonic()

    async def edit(self, message_id: str, text: str) -> None:
        """Say what a message says now, where it still waits. What has begun is said as it was."""
        await self._queue.edit(message_id, text)

    async def delete(self, message_id: str) -> None:
        """Drop a message that still waits."""
        await self._queue.delete(message_id)

    async def abandon(self) -> None:
        """The session closes: nothing more is said, and every utterance gets its last state.

        Raises `StoreError` if some of them could not be written; all are told all the same.
        """
        while self._arrived:
            self._queue.add(self._arrived.popleft())
        self._take_back_ahead()
        trouble: StoreError | None = None
        while self.current is not None or self._playout.in_doubt is not None or self._queue:
            try:
                await self._settle_doubt()
                await self._abandon_current()
                await self.clear()
            except StoreError as error:
                trouble = error
        if trouble is not None:
            raise trouble

    async def _abandon_current(self) -> None:
        line = self.current
        if line is None:
            return
        await self._pieces.stop(line)
        self._playout.remove(line)
        if line.sent:
            fate = UtteranceState.INTERRUPTED
        else:
            fate = UtteranceState.UNKNOWN if line.in_flight else UtteranceState.DROPPED
        await self._states.finish(line, fate)

    # --- what may be known of it -------------------------------------------------------------------------------------

    @property
    def current(self) -> SpeechItem | None:
        """The line that is being said, or is about to be."""
        return self._playout.current

    @property
    def is_busy(self) -> bool:
        """Whether something is being said, or is about to be; an answer that is only being waited for is not."""
        return self.current is not None and (self.current.sent or not self.current.waits_for_answer)

    @property
    def is_saying_something(self) -> bool:
        """Whether there is something to cut, or will be once the messages that just came in are looked at."""
        return self.current is not None or self.is_talking_on or bool(self._arrived)

    @property
    def is_talking_on(self) -> bool:
        """Whether the avatar is heard although all was to be cut: an interrupt failed."""
        return self.current is None and self._playout.unsaid > 0

    @property
    def ahead(self) -> SpeechItem | None:
        """The line that was sent ahead."""
        return self._playout.ahead

    @property
    def waiting(self) -> int:
        """How many utterances have not begun to be said."""
        return len(self._arrived) + len(self._queue) + (self.ahead is not None)

    def queued(self) -> list[Utterance]:
        """The utterances that have not begun to be said, in their order."""
        ahead = [self.ahead] if self.ahead else []
        return [line.utterance for line in (*ahead, *self._queue, *self._arrived)]

    @property
    def last_activity(self) -> float:
        """When an utterance last came or ended, or somebody wanted the avatar to stay; seconds on the clock."""
        return max(self._wanted_at, self._states.finished_at)

    @property
    def is_idle(self) -> bool:
        """Nothing is being said and nothing is about to be."""
        return self.current is None and (not self._queue or self.held)

    # --- what becomes of the stream -----------------------------------------------------------------------------------

    def adopt(self, in_flight: Sequence[Utterance]) -> None:
        """Note that an earlier process left this in the stream, so that the voice may still be at it."""
        self._playout.talk_until(self._clock.monotonic() + self._delivery.estimate_remaining(in_flight))

    async def stream_ended(self, why: StreamGone) -> None:
        """The stream is gone. What was half said is settled as unknown, and told; what had been sent ahead is sent
        again."""
        if self.current is not None and self.current.sent:
            await self._pieces.stop(self.current)
            await self._fail(self._fall_silent(), UtteranceState.UNKNOWN, why)
        self._playout.reset()
        await self._settle_ahead()

    def greet(self, line: SpeechItem) -> None:
        """Note that the stream was opened with a greeting, and is saying it."""
        self._playout.begin(line)
        self.progress.track(line, line.utterance.text, estimate_duration(line.utterance.text))

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def pump(self) -> None:
        """Send whatever may be sent now."""
        while (line := await self._next_to_send()) is not None:
            if not await self._send(line):
                return

    async def _next_to_send(self) -> SpeechItem | None:
        if self.held or self._paused:
            return None
        line = self.current
        if line is None:
            if not self._queue:
                return None
            line = self._queue.take()
            self._playout.begin(line)
        self._pieces.load(line)
        if line.waits_for_answer:
            return await self._wait_for_answer(line)
        line.waits_since = None
        if line.chunks:
            return line if self._may_send_more(line) else None
        error = line.answer_error
        if error is not None and not line.sent:
            self._playout.remove(line)
            await self._states.finish(line, UtteranceState.FAILED, detail=str(error))
            self._announcer.report_error(sentences.failure(error), error)
            return await self._next_to_send()
        if error is not None and not line.told_of_break:
            line.told_of_break = True
            self._announcer.report_error(sentences.answer_broke_off(error), error)
        if self._may_send_ahead(line):
            following = self._queue.take()
            self._playout.follow_with(following)
            self._pieces.load(following)
            return following
        return None

    async def _wait_for_answer(self, line: SpeechItem) -> SpeechItem | None:
        """Wait until the chat model has written more, as long as that may take, and let others speak meanwhile."""
        now = self._clock.monotonic()
        line.waits_since = now if line.waits_since is None else line.waits_since
        waited = now - line.waits_since
        if waited >= longest_wait(line) - TIMER_IS_EARLY:
            await self._pieces.break_off(line, took_too_long(line))
            return await self._next_to_send()
        if line.sent or waited < TURN - TIMER_IS_EARLY:
            self._mailbox.wake_later("answer", (longest_wait(line) if line.sent else TURN) - waited)
            return None
        other = self._queue.take_first(lambda waiting: not self._pieces.needs_answer(waiting.utterance))
        if other is None:
            self._mailbox.wake_later("answer", longest_wait(line) - waited)
            return None
        self._playout.remove(line)
        self._queue.requeue(line)
        self._playout.begin(other)
        return await self._next_to_send()

    def _may_send_more(self, line: SpeechItem) -> bool:
        if not line.sent:
            return True
        return self._has_headroom(CHUNK_BUFFER) if self._capabilities.appends else not self._playout.is_talking

    def _may_send_ahead(self, current: SpeechItem) -> bool:
        following = self._queue.first
        if not (self._capabilities.sends_ahead and current.is_complete and self.ahead is None) or following is None:
            return False
        return not self._pieces.needs_answer(following.utterance) and self._has_headroom(SEND_AHEAD)

    def _has_headroom(self, ahead: float) -> bool:
        """Whether no more than `ahead` seconds are unsaid; wakes the loop when that becomes true."""
        if self._playout.unsaid > ahead:
            self._mailbox.wake_later("room", self._playout.unsaid - ahead)
            return False
        return True

    async def _send(self, line: SpeechItem) -> bool:
        """Hand one piece to the provider. False if the loop has to wait before it goes on."""
        if not line.sent:
            await self._states.advance(line, UtteranceState.SENDING)
        try:
            seconds = await self._delivery.say(line)
        except (AuthenticationFailed, QuotaExhausted, Sunset):
            raise
        except ProviderError as error:
            if isinstance(error, AvatarAway) and self._keeper.current is None:
                # A stream was paid for and closed again for nothing: the next one would be the same.
                raise
            metrics.provider_errors.labels(kind=type(error).__name__).inc()
            return await self._handle_send_error(line, error)
        text = line.chunks.popleft()
        self.waits_for_viewer = False
        if not line.sent:
            line.sent = True
            if line is self.current:
                await self._states.advance(line, UtteranceState.SPEAKING)
        self.progress.track(line, text, seconds)
        return True

    # --- cutting -----------------------------------------------------------------------------------------------------

    async def _cut(self) -> None:
        silent_at = self._playout.silent_at
        is_talking = self.is_talking_on
        if self.current is not None:
            await self._pieces.stop(self.current)
            line = self._fall_silent()
            await self._states.finish(line, UtteranceState.INTERRUPTED)
            is_talking = is_talking or line.sent
        if is_talking:
            try:
                await self._delivery.interrupt()
            except ProviderError as error:
                await self._handle_interrupt_error(error, silent_at)
            else:
                self._playout.reset()
        await self._settle_ahead()

    async def _handle_interrupt_error(self, error: ProviderError, silent_at: float) -> None:
        """The provider was not interrupted: it says to the end what it was given, the line sent ahead included, and
        what is sent now is said after that."""
        self._playout.talk_until(silent_at)
        if (line := self._queue.first) is not None and line.utterance.state is not UtteranceState.QUEUED:
            await self._fail(self._queue.take(), UtteranceState.UNKNOWN, error)
        self._announcer.report_error(sentences.interrupt_failed(error), error)

    def _fall_silent(self) -> SpeechItem:
        """Take the current line out of the loop; the one sent ahead goes back to the queue, or into doubt."""
        line = self._playout.cut()
        self.progress.cancel_end()
        self._take_back_ahead()
        return line

    def _take_back_ahead(self) -> None:
        if (line := self._playout.take_back()) is not None:
            self._queue.requeue(line)

    async def _settle_doubt(self) -> None:
        if (line := self._playout.take_doubtful()) is not None:
            await self._fail_in_doubt(line)

    async def _fail_in_doubt(self, line: SpeechItem) -> None:
        untold = Transient(NOT_TOLD, may_have_taken_effect=True, trouble=Trouble.UNCONFIRMED)
        await self._fail(line, UtteranceState.UNKNOWN, untold)

    async def _settle_ahead(self) -> None:
        """Write down what became of the line that had been sent ahead."""
        await self._settle_doubt()
        if (line := self._queue.first) is not None and line.utterance.state is not UtteranceState.QUEUED:
            await self._states.advance(line, UtteranceState.QUEUED)

    # --- trouble -----------------------------------------------------------------------------------------------------

    async def _handle_send_error(self, line: SpeechItem, error: ProviderError) -> bool:
        """Carry out what becomes of a piece the provider did not take. True if the loop may go on at once."""
        verdict = decide(error, line.attempts, is_open=self._keeper.current is not None)
        if not isinstance(verdict, RetryAfter):
            await self._fail(line, verdict.state, error)
            return True
        line.attempts += verdict.counts
        self.waits_for_viewer = verdict.waits_for_viewer
        if not line.sent:
            self._playout.remove(line)
            self._queue.requeue(line)
            await self._states.advance(line, UtteranceState.QUEUED)
        if isinstance(error, StreamGone):
            await self._keeper.mark_ended(str(error))
            await self.stream_ended(error)
        if verdict.seconds:
            self._paused = True
            self._mailbox.call_later("again", verdict.seconds, self._resume)
        return not verdict.seconds

    async def _resume(self) -> None:
        self._paused = False

    async def _fail(self, line: SpeechItem, state: UtteranceState, error: ProviderError) -> None:
        await self._pieces.stop(line)
        self._playout.remove(line)
        await self._states.finish(line, state, detail=str(error))
        if line.stored:
            self._announcer.report_error(sentences.not_said(state, error), error)
