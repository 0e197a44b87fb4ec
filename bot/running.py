"""One open session, as one task: it opens the first stream, serves work in the order it came, and closes everything.

All that happens to a session (a message, a command, a provider event, a timer) is put into its mailbox and done by this
task alone, so nothing here needs a lock. Asking for the end cancels whatever the task waits for; a create under way is
waited out first (rule 2). Knows no platform and no vendor.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import structlog

from bot import ids, metrics, panel, sentences
from bot.answers import Conversation
from bot.errors import AvatarRelayError, ConcurrencyReached, ProviderError, StoreError, StreamGone
from bot.hearing import StreamEar
from bot.house import House
from bot.lifetime import Lifetime
from bot.lines import Line, Surroundings
from bot.model import (
    EndReason,
    Mode,
    Notice,
    Occasion,
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
)
from bot.ports import CatalogueEntry, FirstWords
from bot.speaking import SpeakingLoop
from bot.streams import StreamKeeper
from bot.tasks import TaskOwner
from bot.views import farewell, view_of_running

log = structlog.get_logger(__name__)

PATIENCE_AFTER_STOP = (1.0, 2.0, 3.0, 4.0)
"""Seconds between attempts to open the first stream while the account is full: a slot is freed some seconds after a
stop (observed 0.8 s to 20 s; avatar-apis 4.6 and 2.7). One that ends before it can be watched is tried as often."""


class RunningSession:
    """An open session of this process."""

    def __init__(self, session: Session, house: House, idle_timeout: float | None = None) -> None:
        """`idle_timeout`: what the channel has chosen, seconds."""
        self.session = session
        self.policy = house.policy.with_idle_timeout(idle_timeout)
        self._house = house
        self._asked_idle = self.policy.asked_idle_timeout(house.provider.capabilities)
        self._tasks = TaskOwner()
        self._mailbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._keeper = StreamKeeper(
            session.id,
            house.provider,
            house.store,
            house.closer,
            house.clock,
            not_confirmed=lambda: self.announce(Reply(sentences.close_not_confirmed()), Occasion.TROUBLE),
        )
        self._end: tuple[EndReason, str | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_opening_stream = False
        self._arriving: deque[Utterance] = deque()
        self._expected = 0
        self._none_expected = asyncio.Event()
        self._none_expected.set()
        self.owes_rows = False
        self._avatar: CatalogueEntry | None = None
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
                post=self.post,
                open_stream=self._open_stream,
                tell=self._tell,
                complain=self._complain,
            )
        )
        self.ear = StreamEar(session.id, house, self._keeper, self.speech, self._tasks, self.post)
        self._lifetime = Lifetime(
            self.policy,
            house.provider.capabilities,
            house.clock,
            self.speech,
            end=self.ask_to_end,
            warn=self._warn,
            keep_alive=lambda: self.post(self.ear.keep_alive),
            is_watched=lambda: house.bulletin.watchers(session.id) > 0,
            asked_idle=lambda: self._asked_idle,
        )

    # --- asked from outside ------------------------------------------------------------------------------------------

    def post(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have the session's task do `work`, after everything posted before."""
        self.quiet.clear()
        self._mailbox.put_nowait(work)

    def arrive(self, utterance: Utterance) -> None:
        """Take an utterance whose row is written. It gets in line behind every command given before it."""
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
        self._none_expected.clear()
        try:
            yield
        finally:
            self._expected -= 1
            if not self._expected:
                self._none_expected.set()

    async def all_written_down(self) -> None:
        """Wait until no row of an utterance is being written."""
        await self._none_expected.wait()

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

    def set_idle_timeout(self, seconds: float) -> None:
        """Change how long the session stays without a message, from now on."""
        self.policy = self._house.policy.with_idle_timeout(seconds)
        if not self.is_ending:
            self._lifetime.follow(self.policy)
            self._keep_alive_soon()

    def keep(self) -> None:
        """Stay for another idle time although nobody writes; the provider's own idle timer has to know it too."""
        self.post(self.speech.keep)
        self._keep_alive_soon()

    def _keep_alive_soon(self) -> None:
        if self._house.provider.capabilities.keeps_alive:
            self.post(self.ear.keep_alive)

    @property
    def stream(self) -> Stream | None:
        """The stream that is open now."""
        return self._keeper.current

    @property
    def playback(self) -> Playback | None:
        """How a browser reaches the stream that is open now."""
        return self._keeper.playback

    @property
    def is_saying_something(self) -> bool:
        """Whether there is something to cut, or will be once the messages that just came in are looked at."""
        return self.speech.current is not None or bool(self._arriving)

    @property
    def seconds_left(self) -> float:
        """Seconds from now until the session reaches its longest stay."""
        lived = (self._house.clock.now() - self.session.created_at).total_seconds()
        # A clock that was set back must not let it stay longer.
        return min(self.policy.max_duration, max(0.0, self.policy.max_duration - lived))

    @property
    def cost(self) -> Decimal | None:
        """What the provider charges for the streams so far, US dollars, where a price is known."""
        price = self._house.provider.capabilities.price_per_minute
        return None if price is None else price * Decimal(str(self._keeper.paid_seconds)) / 60

    def view(self) -> SessionView:
        """What may be shown of the session now."""
        return view_of_running(
            self.session,
            self._house,
            self.speech,
            self._keeper,
            self._avatar,
            waiting=self.waiting,
            is_opening_stream=self._is_opening_stream,
            is_ending=self.is_ending,
        )

    def queued(self) -> list[Utterance]:
        """The utterances that have not begun, in their order."""
        ahead = [self.speech.ahead] if self.speech.ahead else []
        return [*(line.utterance for line in (*ahead, *self.speech.queue)), *self._arriving]

    # --- the task ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live from the first stream to the confirmed end of the last.

        Cancelled from outside, it leaves everything as it is: the next start looks after it.
        """
        self._task = asyncio.current_task()
        try:
            await self._serve_to_the_end()
            await self._close()
        finally:
            self._lifetime.stop()
            self.speech.forget_timers()
            await self._tasks.close()

    async def _serve_to_the_end(self) -> None:
        try:
            if self._end is None:
                await self._serve()
        except asyncio.CancelledError:
            if self._task is None or self._end is None or self._task.cancelling() > 1:
                raise
            self._task.uncancel()
        except AvatarRelayError as error:
            self.owes_rows = isinstance(error, StoreError)
            self._fail(error)
        except Exception as error:
            # Whatever mistake this is, the stream costs money until it is closed, and the channel is told.
            log.exception("session failed in an unforeseen way", session=self.session.id)
            self._fail(AvatarRelayError(type(error).__name__))

    async def _serve(self) -> None:
        self._lifetime.limit(self.seconds_left)
        self._tasks.start(self._learn_about_avatar(), name=f"avatar of {self.session.id}")
        if self.session.state is SessionState.OPENING:
            await self._open_first()
        elif self._keeper.current is not None:
            self.ear.listen()
        # The wait for the first stream was nobody's silence.
        await self.speech.keep()
        self._lifetime.begin()
        while not self.is_ending:
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
            except (ConcurrencyReached, StreamGone):
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
        self.announce(Reply(sentences.live(self.session.mode), link=self.view().watch_url), Occasion.LIVE)

    def _greeting(self) -> Utterance:
        now = self._house.clock.now()
        return Utterance(
            id=ids.new_utterance_id(self._house.clock),
            session_id=self.session.id,
            mode=Mode.REPEAT,
            text=self.policy.greeting,
            author="",
            author_name="",
            state=UtteranceState.SPEAKING,
            accepted_at=now,
        )

    async def _open_stream(self, first_words: FirstWords | None) -> None:
        request = self.policy.stream_request(
            self._house.provider.capabilities,
            avatar=self.session.avatar,
            voice=self.session.voice,
            quality=self.session.quality,
            remaining=self.seconds_left,
            first_words=first_words,
        )
        self._asked_idle = request.idle_timeout
        self._is_opening_stream = True
        self._show()
        try:
            await self._keeper.open(request)
        finally:
            self._is_opening_stream = False
        self.ear.listen()

    async def _close(self) -> None:
        """Close everything at the provider, whatever the database says: an open stream costs more than a stale row.
        `owes_rows` tells where the rows do not say how it ended."""
        reason, detail = self._end or (EndReason.FAILED, None)
        self._lifetime.stop()
        self.session = replace(self.session, state=SessionState.CLOSING, end_reason=reason, end_detail=detail)
        await self._record(SessionState.CLOSING)
        await self.ear.stop()
        await self._let_the_queue_go()
        await self._keeper.close(reason.value)
        await self._keeper.confirmed()
        self.session = replace(self.session, state=SessionState.CLOSED, closed_at=self._house.clock.now())
        await self._record(SessionState.CLOSED)
        self._say_goodbye(reason)

    async def _let_the_queue_go(self) -> None:
        # Whoever is just writing down a message sees that the session ends, and drops it.
        await self._none_expected.wait()
        while self._arriving:
            self.speech.arrive(self._arriving.popleft())
        try:
            await self.speech.abandon()
        except StoreError as error:
            self.owes_rows = True
            log.error("the last states of utterances could not be written", error=str(error))

    async def _record(self, state: SessionState) -> None:
        s = self.session
        try:
            await self._house.store.advance_session(
                s.id, state, closed_at=s.closed_at, end_reason=s.end_reason, end_detail=s.end_detail
            )
        except StoreError as error:
            self.owes_rows = True
            log.error("the end of a session could not be written", session=s.id, state=state.value, error=str(error))

    def _say_goodbye(self, reason: EndReason) -> None:
        metrics.sessions_ended.labels(reason=reason.value).inc()
        sentence = farewell(self.session, self._house.clock.now(), self.cost)
        self.closed.set()
        self.quiet.set()
        self._house.bulletin.publish(SessionChanged(replace(self.view(), phase=Phase.ENDED, ended=sentence)))
        self.announce(Reply(sentence), Occasion.ENDED)

    def _fail(self, error: AvatarRelayError) -> None:
        sentence, reference = sentences.failure(error)
        log.error("session failed", session=self.session.id, reference=reference, error=str(error))
        self._end = self._end or (EndReason.FAILED, sentence)

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _learn_about_avatar(self) -> None:
        """Its name and picture are nice to have: a session does without them."""
        try:
            self._avatar = await self._house.catalogue.avatar(self.session.avatar)
        except ProviderError as error:
            log.info("the list of avatars cannot be had", session=self.session.id, error=str(error))
            return
        if not self.is_ending:
            self._show()

    def announce(self, reply: Reply, occasion: Occasion) -> None:
        """Tell the channel."""
        self._house.bulletin.publish(Notice(self.session.channel, self.session.id, reply, occasion))

    def _warn(self, left: float) -> None:
        self.announce(Reply(sentences.idle_warning(left), buttons=(panel.KEEP,)), Occasion.WARNING)

    def _tell(self, line: Line) -> None:
        self._house.bulletin.publish(UtteranceChanged(self.session.channel, line.utterance, line.answer))

    def _complain(self, said: tuple[str, str], error: AvatarRelayError) -> None:
        sentence, reference = said
        log.warning("speech failed", session=self.session.id, reference=reference, error=str(error))
        self.announce(Reply(sentence), Occasion.TROUBLE)

    def _show(self) -> None:
        view = self.view()
        if view != self._shown:
            waits_now = view.phase is Phase.WAITING_FOR_VIEWER
            if waits_now and (self._shown is None or self._shown.phase is not view.phase):
                self.announce(Reply(sentences.waiting_for_viewer(), link=view.watch_url), Occasion.WAITING)
            self._shown = view
            self._house.bulletin.publish(SessionChanged(view))
