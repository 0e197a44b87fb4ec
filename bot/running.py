"""One open session, as one task: it opens the first stream, serves work in the order it came, and closes everything.

All that happens to a session (a message, a command, a provider event, a timer) is put into its mailbox and done by this
task alone, so nothing here needs a lock. Asking for the end cancels whatever the task waits for; a create under way is
waited out first (rule 2). Knows no platform and no vendor.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import structlog

from bot import ids, metrics, sentences
from bot.answers import Conversation
from bot.bulletin import Bulletin
from bot.errors import AvatarRelayError, ConcurrencyReached, ProviderError, StoreError
from bot.model import (
    Actor,
    EndReason,
    Mode,
    Notice,
    Phase,
    Playback,
    Reply,
    Session,
    SessionChanged,
    SessionState,
    SessionView,
    Stream,
    Utterance,
    UtteranceChanged,
    UtteranceState,
    WordsSpoken,
)
from bot.policy import SessionPolicy
from bot.ports import AvatarProvider, ChatModel, Clock, FirstWords, StreamEnded, Timer, WatchLinks, WordsHeard
from bot.speaking import SpeakingLoop, Surroundings
from bot.store.store import Store
from bot.streams import StreamCloser, StreamKeeper
from bot.tasks import TaskOwner, end

log = structlog.get_logger(__name__)

PATIENCE_AFTER_STOP = (1.0, 2.0, 3.0, 4.0)
"""Seconds between attempts to open the first stream while the account is full: a slot is freed some seconds after a stop
(observed 0.8 s to 20 s; avatar-apis 4.6 and 2.7)."""


@dataclass(frozen=True, slots=True)
class House:
    """What every session shares."""

    provider: AvatarProvider
    chat_model: ChatModel | None
    store: Store
    closer: StreamCloser
    bulletin: Bulletin
    links: WatchLinks
    clock: Clock
    policy: SessionPolicy

    @property
    def can_answer(self) -> bool:
        """Whether `chat` works here at all."""
        return self.provider.capabilities.chat or self.chat_model is not None


class RunningSession:
    """An open session of this process."""

    def __init__(self, session: Session, house: House) -> None:
        self.session = session
        self._house = house
        self._tasks = TaskOwner()
        self._mailbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._keeper = StreamKeeper(session.id, house.provider, house.store, house.closer, house.clock)
        self._listener: asyncio.Task[None] | None = None
        self._timers: dict[str, Timer] = {}
        self._end: tuple[EndReason, str | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._opening_stream = False
        self._warned = False
        self._arriving: deque[Utterance] = deque()
        self._expected = 0
        self._shown: SessionView | None = None
        self.quiet = asyncio.Event()
        self.closed = asyncio.Event()
        self.speech = SpeakingLoop(
            Surroundings(
                provider=house.provider,
                store=house.store,
                clock=house.clock,
                tasks=self._tasks,
                conversation=Conversation(house.chat_model, house.policy.knowledge),
                keeper=self._keeper,
                answers_by_itself=house.provider.capabilities.chat,
                post=self.post,
                open_stream=self._open_stream,
                tell=self._tell,
                complain=self._complain,
            )
        )

    # --- asked from outside ------------------------------------------------------------------------------------------

    def post(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have the session's task do `work`, after everything posted before."""
        self.quiet.clear()
        self._mailbox.put_nowait(work)

    def arrive(self, utterance: Utterance) -> None:
        """Take an utterance whose row is written. It gets in line behind every command given before it."""
        self._warned = False
        self._arriving.append(utterance)
        self.post(self._take_arrived)

    async def _take_arrived(self) -> None:
        if self._arriving:
            self.speech.arrive(self._arriving.popleft())

    @property
    def waiting(self) -> int:
        """How many utterances have been taken, or are being written down, and have not begun."""
        return self._expected + len(self._arriving) + self.speech.waiting

    @property
    def ahead_of_the_next(self) -> int:
        """How many utterances are said before the next one that arrives."""
        return len(self._arriving) + self.speech.waiting + (self.speech.current is not None)

    @property
    def is_live(self) -> bool:
        """Whether the first stream is open."""
        return self.session.state is SessionState.LIVE

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Keep a place in the queue while the row of an utterance is being written."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1

    def adopt(self, stream: Stream, playback: Playback | None) -> None:
        """Go on with a stream that an earlier process opened. Before `run`."""
        self._keeper.adopt(stream, playback)

    def ask_to_end(self, reason: EndReason, detail: str | None = None) -> None:
        """Close the session; returns at once, `closed` tells when it is done. The first reason counts."""
        if self._end is None:
            self._end = (reason, detail)
            if self._task is not None:
                self._task.cancel()

    @property
    def is_ending(self) -> bool:
        """Whether the end was asked for."""
        return self._end is not None

    async def set_mode(self, mode: Mode) -> None:
        """Change what becomes of the messages from now on."""
        await self._house.store.set_mode(self.session.id, mode)
        self.session = replace(self.session, mode=mode)
        self._show()

    @property
    def stream(self) -> Stream | None:
        """The stream that is open now."""
        return self._keeper.current

    @property
    def is_saying_something(self) -> bool:
        """Whether there is something to cut, or will be once the messages that just came in are looked at."""
        return self.speech.current is not None or bool(self._arriving)

    @property
    def seconds_left(self) -> float:
        """Seconds from now until the session reaches its longest stay."""
        lived = (self._house.clock.now() - self.session.created_at).total_seconds()
        return max(0.0, self._house.policy.max_duration - lived)

    @property
    def cost(self) -> Decimal | None:
        """What the provider charges for the streams so far, US dollars, where a price is known."""
        price = self._house.provider.capabilities.price_per_minute
        return None if price is None else price * Decimal(str(self._keeper.paid_seconds)) / 60

    def view(self) -> SessionView:
        """What may be shown of the session now."""
        price = self._house.provider.capabilities.price_per_minute
        hls_url = self._keeper.playback.hls_url if self._keeper.playback else None
        current = self.speech.current
        return SessionView(
            session_id=self.session.id,
            channel=self.session.channel,
            phase=self._phase(),
            mode=self.session.mode,
            avatar=self.session.avatar or "the avatar",
            avatar_picture=None,
            started_by_name=self.session.started_by_name,
            queue_length=self.waiting,
            speaking=current.utterance.text if current and current.handed_over else None,
            held=self.speech.held,
            ends_at=self.session.created_at + timedelta(seconds=self._house.policy.max_duration),
            watch_url=self._house.links.url(self.session.link_nonce) or hls_url,
            hls_url=hls_url,
            price_per_minute=price if self._keeper.current else None,
        )

    def _phase(self) -> Phase:
        if self._end is not None or not self.session.state.is_open:
            return Phase.ENDED
        if self.session.state is SessionState.OPENING or self._opening_stream:
            return Phase.STARTING
        if self._keeper.current is None:
            return Phase.WAITING_FOR_TEXT
        return Phase.WAITING_FOR_VIEWER if self.speech.waits_for_viewer else Phase.LIVE

    # --- the task ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live from the first stream to the confirmed end of the last."""
        self._task = asyncio.current_task()
        try:
            if self._end is None:
                await self._serve()
        except asyncio.CancelledError:
            if self._end is None:
                await self._stop_listening()
                raise
            if self._task is not None:
                self._task.uncancel()
        except AvatarRelayError as error:
            self._fail(error)
        await self._close()

    async def _serve(self) -> None:
        self._in("end", self.seconds_left, partial(self.ask_to_end, EndReason.MAX_DURATION))
        if self.session.state is SessionState.OPENING:
            await self._open_first()
        elif self._keeper.current is not None:
            self._listen()
        self._watch_idle()
        self._keep_alive()
        while True:
            await self.speech.pump()
            self._show()
            if self._mailbox.empty() and self.speech.is_quiet:
                self.quiet.set()
            work = await self._mailbox.get()
            await work()
            while not self._mailbox.empty():
                await self._mailbox.get_nowait()()

    async def _open_first(self) -> None:
        self._show()
        capabilities = self._house.provider.capabilities
        for pause in (*PATIENCE_AFTER_STOP, None):
            greeting = self._greeting() if capabilities.needs_first_words else None
            words = FirstWords(greeting.id, greeting.text) if greeting else None
            try:
                await self._open_stream(words)
            except ConcurrencyReached:
                if pause is None:
                    raise
                await self._house.clock.sleep(pause)
            else:
                if greeting is not None:
                    self.speech.greet(greeting)
                break
        now = self._house.clock.now()
        await self._house.store.advance_session(self.session.id, SessionState.LIVE, live_at=now)
        self.session = replace(self.session, state=SessionState.LIVE, live_at=now)
        self.announce(Reply(sentences.live(self.session.mode), link=self.view().watch_url))

    def _greeting(self) -> Utterance:
        now = self._house.clock.now()
        return Utterance(
            id=ids.new_utterance_id(self._house.clock),
            session_id=self.session.id,
            mode=Mode.REPEAT,
            text=self._house.policy.greeting,
            author="",
            author_name="",
            state=UtteranceState.SPEAKING,
            accepted_at=now,
        )

    async def _open_stream(self, first_words: FirstWords | None) -> None:
        request = self._house.policy.stream_request(
            self._house.provider.capabilities,
            avatar=self.session.avatar,
            voice=self.session.voice,
            quality=self.session.quality,
            remaining=self.seconds_left,
            first_words=first_words,
        )
        self._opening_stream = True
        self._show()
        try:
            await self._keeper.open(request)
        finally:
            self._opening_stream = False
        self._listen()

    async def _close(self) -> None:
        """Close everything at the provider, whatever the database says: an open stream costs more than a stale row,
        and the next start looks after rows that could not be written."""
        reason, detail = self._end or (EndReason.FAILED, None)
        for timer in self._timers.values():
            timer.cancel()
        self.session = replace(self.session, state=SessionState.CLOSING, end_reason=reason, end_detail=detail)
        await self._record(SessionState.CLOSING)
        await self._stop_listening()
        while self._arriving:
            self.speech.arrive(self._arriving.popleft())
        try:
            await self.speech.abandon()
        except StoreError as error:
            log.error("the last states of utterances could not be written", error=str(error))
        if not await self._keeper.close(reason.value):
            self.announce(Reply(sentences.close_not_confirmed()))
        await self._keeper.confirmed()
        await self._tasks.close()
        self.session = replace(self.session, state=SessionState.CLOSED, closed_at=self._house.clock.now())
        await self._record(SessionState.CLOSED)
        self._say_goodbye(reason, detail)

    async def _record(self, state: SessionState) -> None:
        s = self.session
        try:
            await self._house.store.advance_session(
                s.id, state, closed_at=s.closed_at, end_reason=s.end_reason, end_detail=s.end_detail
            )
        except StoreError as error:
            log.error("the end of a session could not be written", session=s.id, state=state.value, error=str(error))

    def _say_goodbye(self, reason: EndReason, detail: str | None) -> None:
        metrics.sessions_ended.labels(reason=reason.value).inc()
        lasted = self._house.clock.now() - self.session.created_at
        sentence = sentences.ended(reason, lasted, detail, self.cost)
        self.closed.set()
        self.quiet.set()
        self._house.bulletin.publish(SessionChanged(replace(self.view(), phase=Phase.ENDED, ended=sentence)))
        self.announce(Reply(sentence))

    def _fail(self, error: AvatarRelayError) -> None:
        sentence, reference = sentences.failure(error)
        log.error("session failed", session=self.session.id, reference=reference, error=str(error))
        self._end = self._end or (EndReason.FAILED, sentence)

    # --- what the provider says --------------------------------------------------------------------------------------

    def _listen(self) -> None:
        stream = self._keeper.current
        if stream is None or not self._house.provider.capabilities.reports_speech:
            return
        self._listener = self._tasks.start(self._hear(stream), name=f"listen {stream.id}")

    async def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        await end(listener)

    async def _hear(self, stream: Stream) -> None:
        try:
            async for event in self._house.provider.events(stream.upstream_id or ""):
                match event:
                    case WordsHeard(words):
                        self._house.bulletin.publish(WordsSpoken(self.session.id, words))
                    case StreamEnded(reason):
                        self.post(partial(self._stream_ended, stream, reason))
                    case _:
                        self.post(partial(self._heard, stream, event))
        except ProviderError as error:
            log.warning("listening to a stream failed", stream=stream.id, error=str(error))

    async def _heard(self, stream: Stream, event: object) -> None:
        if self._is_current(stream):
            await self.speech.heard(event)  # type: ignore[arg-type]

    async def stream_ended(self, stream_id: str, reason: str) -> None:
        """Note that the provider no longer has the stream open; work for the mailbox."""
        if self._keeper.current is not None and self._keeper.current.id == stream_id:
            await self._stream_ended(self._keeper.current, reason)

    async def _stream_ended(self, stream: Stream, reason: str) -> None:
        if self._is_current(stream):
            log.info("the provider ended a stream", session=self.session.id, stream=stream.id, reason=reason)
            await self._keeper.lose(reason)
            await self.speech.stream_ended()

    def _is_current(self, stream: Stream) -> bool:
        return self._keeper.current is not None and self._keeper.current.id == stream.id

    # --- time --------------------------------------------------------------------------------------------------------

    def _in(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        if (earlier := self._timers.pop(name, None)) is not None:
            earlier.cancel()
        self._timers[name] = self._house.clock.call_later(max(0.0, seconds), then)

    def _watch_idle(self) -> None:
        """Warn and close after `idle_timeout` without speech or messages; re-arms itself lazily."""
        policy, clock = self._house.policy, self._house.clock
        silent = clock.monotonic() - self.speech.last_activity
        if self.speech.current is not None:
            silent = 0.0
        left = policy.idle_timeout - silent
        warn_in = left - policy.idle_warning
        if left <= 0:
            self.ask_to_end(EndReason.IDLE)
            return
        if warn_in <= 0 and not self._warned:
            self._warned = True
            self.announce(Reply(sentences.idle_warning(left)))
        self._in("idle", warn_in if warn_in > 0 else left, self._watch_idle)

    def _keep_alive(self) -> None:
        every = self._house.policy.keep_alive_every(self._house.provider.capabilities)
        if every is not None:
            self._in("keep alive", every, lambda: self.post(self._send_keep_alive))

    async def _send_keep_alive(self) -> None:
        if (upstream_id := self._keeper.upstream_id) is not None:
            try:
                await self._house.provider.keep_alive(upstream_id)
            except ProviderError as error:
                log.warning("keep-alive failed", session=self.session.id, error=str(error))
        self._keep_alive()

    # --- telling -----------------------------------------------------------------------------------------------------

    def announce(self, reply: Reply) -> None:
        """Tell the channel."""
        self._house.bulletin.publish(Notice(self.session.channel, self.session.id, reply))

    def _tell(self, utterance: Utterance) -> None:
        self._house.bulletin.publish(UtteranceChanged(self.session.channel, utterance))

    def _complain(self, said: tuple[str, str], error: AvatarRelayError) -> None:
        sentence, reference = said
        log.warning("speech failed", session=self.session.id, reference=reference, error=str(error))
        self.announce(Reply(sentence))

    def _show(self) -> None:
        view = self.view()
        if view != self._shown:
            waits_now = view.phase is Phase.WAITING_FOR_VIEWER
            if waits_now and (self._shown is None or self._shown.phase is not view.phase):
                self.announce(Reply(sentences.waiting_for_viewer(), link=view.watch_url))
            self._shown = view
            self._house.bulletin.publish(SessionChanged(view))


def audit_name(actor: Actor) -> str:
    """How the audit names an actor."""
    return f"{actor.key} ({actor.name[:64]})"
