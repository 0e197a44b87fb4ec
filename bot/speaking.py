"""The speaking loop of one session: what waits, what is being said, and the four ways to stop it.

One utterance is being said (`current`) and at most one has been sent ahead, where the provider allows it. Text goes
out in pieces, so that a provider never gets more than it takes at once, and never so far ahead of the voice that its
text-idle timer could run out while the avatar still talks. Every method runs in the session's own task, one after the
other; time and provider events come in as further work for that task. Knows no platform and no vendor."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from bot import metrics, sentences
from bot.errors import AuthenticationFailed, ProviderError, QuotaExhausted, StoreError, StreamGone, Sunset, Transient
from bot.lines import Line, Surroundings, pieces_in_a_flow
from bot.model import Mode, Utterance, UtteranceState
from bot.ports import AnswerHeard, Cut, FirstWords, SpeechEnded, SpeechStarted, StreamEvent, Timer
from bot.speech import estimate_duration, split
from bot.verdicts import Again, judge
from bot.voice import Voice

log = structlog.get_logger(__name__)

PIECE_IN_A_FLOW = 200
"""Characters per piece where text can be appended: about 12 s of speech, well under v3's 30 s of text-idle time."""

LOOK_AHEAD = 8.0
"""Seconds of an utterance that may still be unsaid when its next piece goes out."""

SEND_AHEAD = 3.0
"""Seconds of speech that may still be unsaid when the next utterance goes out. Enough to bridge the 2.5 to 3.6 s from
text to speech that were reported; what has been sent ahead can only be taken back by a cut, so it is no more than
needed."""

UNKNOWN_ANSWER = 10.0
"""Seconds given to an answer whose length no provider event and no duration tells."""

LOST_EVENT = 15.0
"""Seconds after the estimated end at which speech counts as ended although no event said so."""

NOT_TOLD = "nothing told how far the voice had come"

TIMER_IS_EARLY = 0.05
"""Seconds by which a timer may fire before its time."""


class SpeakingLoop:
    """Order in, speech out."""

    def __init__(self, around: Surroundings) -> None:
        self._a = around
        self._capabilities = around.provider.capabilities
        self.queue: deque[Line] = deque()
        self.current: Line | None = None
        self.ahead: Line | None = None
        self._in_doubt: Line | None = None
        self._last_said: Line | None = None
        self.held = False
        self.waits_for_viewer = False
        self._voice = Voice(around.clock)
        self._paused = False
        self._timers: dict[str, Timer] = {}
        self.last_activity = around.clock.monotonic()

    # --- what people do ----------------------------------------------------------------------------------------------

    def arrive(self, utterance: Utterance) -> None:
        """Put an accepted utterance in its place: the order of acceptance, whoever's database answer came first."""
        line = Line(utterance)
        later: list[Line] = []
        while self.queue and self.queue[-1].utterance.id > utterance.id:
            later.append(self.queue.pop())
        self.queue.append(line)
        self.queue.extend(reversed(later))
        self.held = False
        self.last_activity = self._a.clock.monotonic()
        metrics.waiting_utterances.inc()

    async def interrupt(self) -> None:
        """Silence now. What waits is kept, and waits until the next message or a skip."""
        self.held = bool(self.queue or self.ahead)
        await self._cut()

    async def skip(self) -> None:
        """Cut what is being said and go on with the next."""
        self.held = False
        await self._cut()

    async def clear(self) -> None:
        """Empty the queue; what is being said is said to the end.

        One by one: a message that is being accepted meanwhile has its row already and is not one of these.
        """
        self.held = False
        while self.queue:
            await self._stop_answering(self.queue[0])
            line = self._dequeue()
            await self._finish(line, UtteranceState.DROPPED)

    async def keep(self) -> None:
        """Count as activity that somebody wants the avatar to stay."""
        self.last_activity = self._a.clock.monotonic()

    async def reword(self, message_id: str, text: str) -> None:
        """Say what a message says now, where it still waits. What has begun is said as it was."""
        for line in self.queue:
            if line.utterance.message_id == message_id and await self._a.store.reword(line.utterance.id, text):
                await self._stop_answering(line)
                line.answering = None
                line.pieces.clear()
                line.utterance = replace(line.utterance, text=text)
                self._a.tell(line)

    async def withdraw(self, message_id: str) -> None:
        """Drop a message that still waits."""
        for line in [line for line in self.queue if line.utterance.message_id == message_id]:
            self.queue.remove(line)
            metrics.waiting_utterances.dec()
            await self._stop_answering(line)
            await self._finish(line, UtteranceState.DROPPED)

    async def abandon(self) -> None:
        """The session closes: nothing more is said, and every utterance gets its last state.

        Raises `StoreError` where some of them could not be written; all are told all the same.
        """
        self.forget_timers()
        self._take_back_ahead()
        trouble: StoreError | None = None
        while self.current is not None or self._in_doubt is not None or self.queue:
            try:
                await self._settle_doubt()
                await self._abandon_current()
                await self.clear()
            except StoreError as error:
                trouble = error
        if trouble is not None:
            raise trouble

    async def _abandon_current(self) -> None:
        if self.current is None:
            return
        await self._stop_answering(self.current)
        line, self.current = self.current, None
        if line.handed_over:
            fate = UtteranceState.INTERRUPTED
        else:
            fate = UtteranceState.UNKNOWN if line.in_flight else UtteranceState.DROPPED
        await self._finish(line, fate)

    def forget_timers(self) -> None:
        """Nothing wakes the loop from now on."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    @property
    def waiting(self) -> int:
        """How many utterances have not begun to be said."""
        return len(self.queue) + (self.ahead is not None)

    @property
    def is_quiet(self) -> bool:
        """Nothing is being said and nothing is about to be."""
        return self.current is None and (not self.queue or self.held)

    # --- what the provider says --------------------------------------------------------------------------------------

    async def heard(self, event: StreamEvent) -> None:
        """Take note of speech that started or ended, and of an answer, which may come after its speech has ended."""
        match event:
            case SpeechStarted(utterance_id):
                if self.ahead is not None and self.ahead.utterance.id == utterance_id:
                    await self._end_of_current()
                if self.current is not None and self.current.utterance.id == utterance_id:
                    self.current.heard = True
            case SpeechEnded(utterance_id):
                if self.ahead is not None and self.ahead.utterance.id == utterance_id:
                    await self._end_of_current()
                if self.current is not None and self.current.utterance.id == utterance_id:
                    await self._end_of_piece()
            case AnswerHeard(utterance_id, text):
                for line in (self.current, self.ahead, self._last_said):
                    if line is not None and line.utterance.id == utterance_id:
                        line.heard_answer = text
                        self._a.tell(line)

    @property
    def is_feeding(self) -> bool:
        """Whether more of what is being said is to come, so that it matters how far the voice is."""
        line = self.current
        return line is not None and not line.is_complete

    async def words_heard(self, characters: int) -> None:
        """Take note of how far the voice is."""
        if self.is_feeding:
            self._voice.hear(characters)
            self._wake_at_the_end()

    async def stream_ended(self, why: StreamGone) -> None:
        """The stream is gone. What was half said is settled as unknown, and told; what had been sent ahead is sent
        again."""
        if self.current is not None and self.current.handed_over:
            await self._stop_answering(self.current)
            line = self._fall_silent()
            await self._give_up(line, UtteranceState.UNKNOWN, why)
        await self._settle_ahead()

    def greet(self, utterance: Utterance) -> str:
        """Note that the stream was opened with a greeting; it is said like an utterance but has no row."""
        self.current = Line(utterance, handed_over=True, stored=False)
        self._expect(self.current, utterance.text, estimate_duration(utterance.text))
        return utterance.text

    # --- the loop ----------------------------------------------------------------------------------------------------

    async def pump(self) -> None:
        """Send whatever may be sent now."""
        while (line := await self._next_to_send()) is not None:
            if not await self._send(line):
                return

    async def _next_to_send(self) -> Line | None:
        if self.held or self._paused:
            return None
        if self.current is None:
            if not self.queue:
                return None
            self.current = self._dequeue()
        self._prepare(self.current)
        if self.current.pieces:
            return self.current if self._may_send_more(self.current) else None
        if self.current.answering is not None and (error := self.current.answering.error) is not None:
            line, self.current = self.current, None
            await self._finish(line, UtteranceState.FAILED, detail=str(error))
            self._a.complain(sentences.failure(error), error)
            return await self._next_to_send()
        if self._may_send_ahead(self.current):
            self.ahead = self._dequeue()
            self._prepare(self.ahead)
            return self.ahead
        return None

    def _may_send_more(self, line: Line) -> bool:
        if not line.handed_over:
            return True
        return self._has_room(LOOK_AHEAD) if self._capabilities.appends else not self._voice.talking

    def _may_send_ahead(self, current: Line) -> bool:
        if not (self._capabilities.sends_ahead and current.is_complete and self.ahead is None and self.queue):
            return False
        return not self._needs_answer(self.queue[0].utterance) and self._has_room(SEND_AHEAD)

    def _has_room(self, ahead: float) -> bool:
        """Whether no more than `ahead` seconds are unsaid; wakes the loop when that becomes true."""
        if self._voice.unsaid > ahead:
            self._wake_in("room", self._voice.unsaid - ahead)
            return False
        return True

    def _dequeue(self) -> Line:
        metrics.waiting_utterances.dec()
        return self.queue.popleft()

    def _needs_answer(self, utterance: Utterance) -> bool:
        return utterance.mode is Mode.CHAT and not self._capabilities.chat

    def _prepare(self, line: Line) -> None:
        limit = self._capabilities.max_text
        if self._capabilities.appends:
            limit = min(limit, PIECE_IN_A_FLOW)
        if self._needs_answer(line.utterance):
            if line.answering is None:
                line.answering = self._a.conversation.begin(
                    line.utterance.text, self._a.tasks, lambda: self._a.post(self._nothing)
                )
            line.pieces.extend(self._cut_up(line.answering.take(), limit))
        elif not line.handed_over and not line.pieces:
            line.pieces.extend(self._cut_up(line.utterance.text, limit))

    def _cut_up(self, text: str, limit: int) -> list[str]:
        return pieces_in_a_flow(text, limit) if self._capabilities.appends else split(text, limit)

    async def _send(self, line: Line) -> bool:
        """Hand one piece to the provider. False where the loop has to wait before it goes on."""
        text = line.pieces[0]
        if not line.handed_over:
            await self._advance(line, UtteranceState.SENDING)
        try:
            duration = await self._say(line, text)
        except (AuthenticationFailed, QuotaExhausted, Sunset):
            line.in_flight = False
            raise
        except ProviderError as error:
            line.in_flight = False
            metrics.provider_errors.labels(kind=type(error).__name__).inc()
            return await self._cope(line, error)
        line.in_flight = False
        line.pieces.popleft()
        self.waits_for_viewer = False
        if not line.handed_over:
            line.handed_over = True
            if line is self.current:
                await self._advance(line, UtteranceState.SPEAKING)
        self._expect(line, text, duration)
        return True

    async def _say(self, line: Line, text: str) -> float:
        """Returns how long the piece is expected to be spoken, seconds."""
        keeper = self._a.keeper
        if keeper.upstream_id is None:
            first_words = None
            if self._capabilities.needs_first_words:
                first_words = FirstWords(line.utterance.id, text, more=not line.is_last_piece)
                line.in_flight = True
            await self._a.open_stream(first_words)
            if first_words is not None:
                return estimate_duration(text)
        upstream_id = keeper.upstream_id
        if upstream_id is None:
            raise StreamGone("the stream ended while it was being opened")
        native_answer = line.utterance.mode is Mode.CHAT and self._capabilities.chat
        line.in_flight = True
        with metrics.provider_seconds.time():
            speech = await self._a.provider.speak(
                upstream_id,
                line.utterance.id,
                text,
                Mode.CHAT if native_answer else Mode.REPEAT,
                more=self._capabilities.appends and not line.is_last_piece,
            )
        if speech.duration is not None:
            return speech.duration
        return UNKNOWN_ANSWER if native_answer else estimate_duration(text)

    # --- the end of speech -------------------------------------------------------------------------------------------

    def _expect(self, line: Line, text: str, seconds: float) -> None:
        self._voice.give(len(text), seconds)
        line.characters += len(text)
        line.seconds += seconds
        line.said_until = self._voice.said_until
        self._wake_at_the_end()

    def _wake_at_the_end(self) -> None:
        grace = LOST_EVENT if self._capabilities.reports_speech else 0.0
        self._wake_in("end", self._voice.unsaid + grace, self._end_of_time)

    async def _end_of_time(self) -> None:
        if self.current is None or self._voice.unsaid > TIMER_IS_EARLY:
            # Meant for speech that was cut; more has been sent since.
            return
        if self._capabilities.reports_speech:
            log.warning("no event told the end of speech", utterance=self.current.utterance.id)
        # The time was for everything that was sent, also ahead.
        while await self._end_of_piece():
            pass

    async def _end_of_piece(self) -> bool:
        """Whether that was the end of the utterance."""
        self._voice.talking = False
        if self.current is None or not self.current.is_complete or not self.current.handed_over:
            return False
        await self._end_of_current()
        return True

    async def _end_of_current(self) -> None:
        line, self.current, self.ahead = self.current, self.ahead, None
        if self.current is None:
            self._voice.fall_silent()
            self._forget_timer("end")
        else:
            self._voice.go_on_with(self.current.characters, self.current.seconds)
            self._voice.talking = True
            self._wake_at_the_end()
        if line is not None:
            self._last_said = line
            await self._finish(line, UtteranceState.SPOKEN)
        if self.current is not None:
            await self._advance(self.current, UtteranceState.SPEAKING)

    # --- cutting -----------------------------------------------------------------------------------------------------

    async def _cut(self) -> None:
        if self.current is None:
            return
        await self._stop_answering(self.current)
        line = self._fall_silent()
        await self._finish(line, UtteranceState.INTERRUPTED)
        await self._settle_ahead()
        if line.handed_over:
            await self._silence()

    def _fall_silent(self) -> Line:
        """Take the current line out of the loop; the one sent ahead goes back to the queue, or into doubt."""
        assert self.current is not None  # noqa: S101 - the callers have looked
        line, self.current = self.current, None
        self._forget_timer("end")
        # Without a word from the provider only time tells where its voice was.
        if self.ahead is not None and not line.heard and line.said_until <= self._a.clock.monotonic():
            self._in_doubt, self.ahead = self.ahead, None
        self._take_back_ahead()
        self._voice.fall_silent()
        return line

    async def _silence(self) -> None:
        upstream_id = self._a.keeper.upstream_id
        if upstream_id is None:
            return
        if self._capabilities.cut is Cut.CLOSE_STREAM:
            await self._a.keeper.close("interrupted")
            return
        try:
            await self._a.provider.interrupt(upstream_id)
        except StreamGone as error:
            await self._a.keeper.lose(str(error))
        except ProviderError as error:
            self._a.complain(sentences.interrupt_failed(error), error)

    def _take_back_ahead(self) -> None:
        if self.ahead is not None:
            line, self.ahead = self.ahead, None
            line.pieces.clear()
            line.handed_over = False
            self.queue.appendleft(line)
            metrics.waiting_utterances.inc()

    async def _settle_doubt(self) -> None:
        if self._in_doubt is not None:
            line, self._in_doubt = self._in_doubt, None
            await self._give_up(line, UtteranceState.UNKNOWN, Transient(NOT_TOLD, may_have_taken_effect=True))

    async def _settle_ahead(self) -> None:
        """Write down what became of the line that had been sent ahead."""
        await self._settle_doubt()
        if self.queue and self.queue[0].utterance.state is not UtteranceState.QUEUED:
            await self._advance(self.queue[0], UtteranceState.QUEUED)

    # --- trouble -----------------------------------------------------------------------------------------------------

    async def _cope(self, line: Line, error: ProviderError) -> bool:
        """Carry out what becomes of a piece the provider did not take. True where the loop may go on at once."""
        verdict = judge(error, line.attempts)
        if not isinstance(verdict, Again):
            await self._give_up(line, verdict.state, error)
            return True
        line.attempts += verdict.counts
        self.waits_for_viewer = verdict.waits_for_viewer
        if not line.handed_over:
            await self._put_back(line)
        if isinstance(error, StreamGone):
            await self._a.keeper.lose(str(error))
            await self.stream_ended(error)
        if verdict.seconds:
            self._paused = True
            self._wake_in("again", verdict.seconds, self._go_on)
        return not verdict.seconds

    async def _go_on(self) -> None:
        self._paused = False

    async def _put_back(self, line: Line) -> None:
        self._remove(line)
        self.queue.appendleft(line)
        metrics.waiting_utterances.inc()
        await self._advance(line, UtteranceState.QUEUED)

    async def _give_up(self, line: Line, state: UtteranceState, error: ProviderError) -> None:
        await self._stop_answering(line)
        self._remove(line)
        await self._finish(line, state, detail=str(error))
        if line.stored:
            self._a.complain(sentences.not_said(state, error), error)

    def _remove(self, line: Line) -> None:
        if line is self.ahead:
            self.ahead = None
        elif line is self.current:
            self.current = None

    async def _stop_answering(self, line: Line) -> None:
        if line.answering is not None:
            await self._a.conversation.stop(line.answering)

    # --- rows and timers ---------------------------------------------------------------------------------------------

    async def _advance(self, line: Line, state: UtteranceState) -> None:
        if line.stored:
            await self._a.store.advance_utterance(line.utterance.id, state)
        line.utterance = replace(line.utterance, state=state)
        if line.stored:
            self._a.tell(line)

    async def _finish(self, line: Line, state: UtteranceState, detail: str | None = None) -> None:
        """The line must be out of the loop's hands already. Its end is told also where the session is asked to end in
        just this moment (what was handed to the store is written all the same) or where the store fails."""
        self.last_activity = self._a.clock.monotonic()
        try:
            if line.stored:
                await self._a.store.advance_utterance(line.utterance.id, state, detail=detail)
        finally:
            line.utterance = replace(line.utterance, state=state)
            if line.stored:
                metrics.utterances.labels(state=state.value).inc()
                self._a.tell(line)

    def _wake_in(self, name: str, seconds: float, work: Callable[[], Awaitable[None]] | None = None) -> None:
        self._forget_timer(name)
        then = work or self._nothing
        self._timers[name] = self._a.clock.call_later(max(0.0, seconds), lambda: self._a.post(then))

    def _forget_timer(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    async def _nothing(self) -> None:
        """Wakes the session's task, which pumps after every piece of work."""
