"""The streams of a session: row before call, one at a time, and a close that is not done until the provider says so.

Knows the provider only as a port. Decides nothing about speech or about when a session ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from bot.announcer import Announcer
from bot.core import ids
from bot.core.backoff import Backoff
from bot.core.errors import ConcurrencyReached, NotOurs, OwnershipLost, ProviderError, StoreError, StreamGone, Transient
from bot.core.models import Playback, Stream, StreamState
from bot.core.ports import AvatarProvider, Clock, StreamRequest
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.unexpected import report_unexpected
from bot.store.store import Store
from bot.streams.accounting import StreamAccount, count_ended
from bot.streams.opening_times import OpeningTimes
from bot.streams.pictures import StreamPictures
from bot.streams.sound import SessionSound
from bot.telemetry import metrics

log = structlog.get_logger(__name__)

CLOSE_AGAIN = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts to close a stream whose end the provider has not confirmed; the last one repeats."""

OPEN_BACKOFF = (1.0, 2.0, 3.0, 4.0)
"""Seconds between attempts to open the first stream while the account is full: a slot is freed some seconds after a
stop (0.8 s to 20 s, as other clients report). One that ends before it can be watched is tried as often."""


CLOSE_PATIENCE = 3.0
"""Seconds that the next stream of a session waits for the one before to be closed, which takes less than one nearly
always: an account may have room for one alone. Our choice."""


@dataclass(slots=True, eq=False)
class _Closing:
    """A close under way. `tried`: the provider was asked once; `confirmed`: it has said that the stream is closed.
    `on_confirmed` is called then, `on_unconfirmed` where it did not say so at once."""

    session_id: str
    on_confirmed: Callable[[], None] | None
    on_unconfirmed: Callable[[], None] | None
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class StreamCloser:
    """Closes streams and keeps at it until each is confirmed (rule 4). Shared by all sessions of the process.

    A close goes on when whoever asked for it is cancelled: only `stop` gives it up.
    """

    def __init__(self, provider: AvatarProvider, store: Store, clock: Clock) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._tasks = TaskSet()
        self._closing: dict[str, _Closing] = {}

    def begin(
        self,
        stream: Stream,
        detail: str,
        *,
        on_confirmed: Callable[[], None] | None = None,
        on_unconfirmed: Callable[[], None] | None = None,
    ) -> None:
        """Start to close a stream, unless it is being closed already. `on_confirmed` is called when it is closed,
        `on_unconfirmed` where the provider does not confirm that at once."""
        if stream.id not in self._closing:
            closing = self._closing[stream.id] = _Closing(stream.session_id, on_confirmed, on_unconfirmed)
            self._tasks.create_task(
                self._close_until_confirmed(stream, detail, closing), name=f"close stream {stream.id}"
            )

    async def close(self, stream: Stream, detail: str) -> bool:
        """Close a stream. False if the provider did not confirm yet: then it is tried again until it does."""
        self.begin(stream, detail)
        closing = self._closing[stream.id]
        await closing.tried.wait()
        return closing.confirmed.is_set()

    async def confirmed(self, session_id: str) -> None:
        """Wait until every stream of a session that is being closed is closed."""
        for closing in tuple(self._closing.values()):
            if closing.session_id == session_id:
                await closing.confirmed.wait()

    async def wait_tried(self, session_id: str) -> None:
        """Wait until the provider was asked to close each stream of a session that is being closed, for
        `CLOSE_PATIENCE` at most."""
        closing = [closing for closing in self._closing.values() if closing.session_id == session_id]
        if not closing:
            return
        tried = asyncio.create_task(_all_tried(closing), name="streams tried to be closed")
        patience = asyncio.create_task(self._clock.sleep(CLOSE_PATIENCE), name="patience")
        try:
            await asyncio.wait({tried, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(tried)
            await cancel_and_wait(patience)

    def is_closing(self, session_id: str) -> bool:
        """Whether a stream of a session is being closed, so that it may still cost money and hold its slot."""
        return any(
            closing.session_id == session_id and not closing.confirmed.is_set() for closing in self._closing.values()
        )

    @property
    def unconfirmed(self) -> int:
        """How many streams are being closed again and again."""
        return sum(closing.tried.is_set() and not closing.confirmed.is_set() for closing in self._closing.values())

    async def stop(self) -> None:
        """Give up what is still unconfirmed; its rows say so, and the next start goes on."""
        await self._tasks.close()

    async def _close_until_confirmed(self, stream: Stream, detail: str, closing: _Closing) -> None:
        try:
            await self._record(stream, StreamState.CLOSING)
            again = Backoff(CLOSE_AGAIN)
            while not await self._attempt(stream):
                if not closing.tried.is_set() and closing.on_unconfirmed is not None:
                    closing.on_unconfirmed()
                closing.tried.set()
                await self._clock.sleep(again.next())
            if closing.on_confirmed is not None:
                closing.on_confirmed()
            count_ended(stream, self._provider.capabilities, self._clock.now())
            closing.confirmed.set()
            closing.tried.set()
            again.reset()
            while not await self._record(stream, StreamState.CLOSED, detail):
                await self._clock.sleep(again.next())
        finally:
            del self._closing[stream.id]
            closing.tried.set()

    async def _attempt(self, stream: Stream) -> bool:
        if stream.upstream_id is None:
            return True
        try:
            await self._provider.close(stream.upstream_id)
        except ProviderError as error:
            metrics.provider_errors.labels(kind=type(error).__name__).inc()
            log.warning("closing a stream was not confirmed", stream=stream.id, error=str(error))
        except Exception as error:  # noqa: BLE001 - a mistake in a client must not be why a stream stays open that costs money
            report_unexpected("closing a stream failed: unexpected error", error, stream=stream.id)
        else:
            return True
        return False

    async def _record(self, stream: Stream, state: StreamState, detail: str | None = None) -> bool:
        """Write a state. A database in trouble must not keep a stream open that costs money."""
        try:
            await self._store.streams.advance(stream.id, state, detail=detail, spoken_seconds=stream.spoken_seconds)
        except StoreError as error:
            log.error("the state of a stream could not be written", stream=stream.id, state=state, error=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - the close goes on, whatever is wrong with its row
            report_unexpected("writing the state of a stream failed: unexpected error", error, stream=stream.id)
            return False
        return True


class SessionStream:
    """The one open stream of a session, if there is one.

    account: what this one and those before it have used. sound: what they sound like.
    idle_timeout: after how many seconds of silence the provider was asked to end it by itself; None if an earlier
    process asked. was_created: whether the provider has made the one that was asked for last.
    charged_since: from when the open one is charged; ready_at: when it could be watched, or was taken
    over. Both are seconds on the clock, None where none is open.
    """

    def __init__(
        self,
        session_id: str,
        provider: AvatarProvider,
        store: Store,
        closer: StreamCloser,
        clock: Clock,
        announcer: Announcer,
        opening_times: OpeningTimes,
        pictures: StreamPictures,
    ) -> None:
        self._session_id = session_id
        self._provider = provider
        self._store = store
        self._closer = closer
        self._clock = clock
        self._announcer = announcer
        self._opening_times = opening_times
        self._pictures = pictures
        self._is_wanted = True
        self.was_created = False
        self.account = StreamAccount(clock, provider.capabilities)
        self.sound = SessionSound(pictures, clock)
        self.charged_since: float | None = None
        self.ready_at: float | None = None
        self.current: Stream | None = None
        self.playback: Playback | None = None
        self.idle_timeout: float | None = None

    @property
    def is_closing(self) -> bool:
        """Whether an earlier one is not closed for certain yet."""
        return self._closer.is_closing(self._session_id)

    @property
    def upstream_id(self) -> str | None:
        """The provider's id of the open stream."""
        return self.current.upstream_id if self.current else None

    async def open(self, request: StreamRequest) -> None:
        """Create a stream and wait until it can be watched. Raises `ProviderError`; then nothing is left open, and
        `was_created` tells whether it failed only after the create.

        When the caller is cancelled while the create is under way, the reply is waited for first, so that the stream
        is known and can be closed (rule 2).
        """
        await self._closer.wait_tried(self._session_id)
        stream = Stream(
            id=ids.new_stream_id(),
            session_id=self._session_id,
            provider=self._provider.name,
            state=StreamState.CREATING,
            created_at=self._clock.now(),
        )
        self._is_wanted = True
        self.was_created = False
        self.idle_timeout = request.idle_timeout
        asked_at = self._clock.monotonic()
        creating = asyncio.create_task(self._create(stream, request, asked_at), name=f"create stream {stream.id}")
        try:
            await asyncio.shield(creating)
        except asyncio.CancelledError:
            self._is_wanted = False
            await _see_out(creating)
            raise
        self.was_created = True
        await self._start()
        self.ready_at = self._clock.monotonic()
        self._opening_times.note(self.ready_at - asked_at)

    def adopt(self, stream: Stream, playback: Playback | None) -> None:
        """Take over a stream that an earlier process opened."""
        self.current, self.playback = stream, playback
        if playback is not None:
            self.sound.begin(stream, playback)
        self.ready_at = self._clock.monotonic()
        open_before = (self._clock.now() - stream.created_at).total_seconds()
        self._charge(stream, since=self._clock.monotonic() - max(0.0, open_before))
        self.account.spoken.resume(stream.spoken_seconds or 0.0)
        metrics.open_streams.inc()

    async def close(self, detail: str) -> None:
        """Close the open stream, if there is one; returns once the provider was asked, and tells where it did not
        confirm."""
        if (stream := self._let_go(detail)) is not None:
            await self._closer.close(stream, detail)

    def let_go(self, detail: str) -> None:
        """Close the open stream, if there is one, while the session goes on; told as by `close`."""
        self._let_go(detail)

    def _let_go(self, detail: str) -> Stream | None:
        stream = self._release()
        if stream is not None:
            self._closer.begin(
                stream,
                detail,
                on_confirmed=partial(self.account.end, stream.id),
                on_unconfirmed=self._announcer.report_unconfirmed_close,
            )
        return stream

    async def mark_ended(self, detail: str) -> None:
        """Note that the provider has ended the stream by itself."""
        stream = self._release()
        if stream is not None:
            self.account.end(stream.id)
            count_ended(stream, self._provider.capabilities, self._clock.now())
            await self._store.streams.note_ended(stream.id, detail=detail, spoken_seconds=stream.spoken_seconds)

    def _charge(self, stream: Stream, *, since: float) -> None:
        self.charged_since = since
        self.account.begin(stream.id, since)

    def _release(self) -> Stream | None:
        """The stream that was open, with what is known of its speech: that is written down with its next state, so a
        crash loses the speech of the streams that are open, and no message costs a write for it."""
        stream, self.current, self.playback = self.current, None, None
        self.charged_since = self.ready_at = None
        self.sound.end()
        if stream is None:
            return None
        metrics.open_streams.dec()
        self._pictures.end(stream)
        return replace(stream, spoken_seconds=self.account.release())

    async def confirmed(self) -> None:
        """Wait until every stream this session ever had is closed at the provider."""
        await self._closer.confirmed(self._session_id)

    async def _create(self, stream: Stream, request: StreamRequest, asked_at: float) -> None:
        await self._store.streams.record(stream)
        if not self._is_wanted:
            await self._store.streams.advance(stream.id, StreamState.CLOSED, detail="never asked for")
            return
        try:
            upstream_id = await self._provider.create(request)
        except ProviderError as error:
            lost = isinstance(error, Transient) and error.may_have_taken_effect
            await self._store.streams.advance(
                stream.id, StreamState.LOST if lost else StreamState.CLOSED, detail=str(error)
            )
            raise
        self.current = replace(stream, upstream_id=upstream_id, state=StreamState.OPEN)
        # Charged from the request on, as far as anybody knows: a price is never shown smaller than it is.
        self._charge(self.current, since=asked_at)
        metrics.open_streams.inc()
        try:
            await self._store.streams.bind(stream.id, upstream_id)
        except OwnershipLost:
            # Whoever goes on with the session does not know of it, and could not close it.
            await self.close("another process has taken the session over")
            raise

    async def _start(self) -> None:
        assert self.current is not None  # noqa: S101 - _create has just set it
        stream, upstream_id = self.current, self.current.upstream_id or ""
        try:
            self.playback = await self._provider.start(upstream_id)
        except ProviderError as error:
            await self.close(f"did not start: {error}")
            raise
        self.sound.begin(stream, self.playback)
        await self._store.streams.advance(stream.id, StreamState.OPEN, hls_url=self.playback.hls_url)


async def _all_tried(closing: Sequence[_Closing]) -> None:
    for each in closing:
        await each.tried.wait()


async def open_with_retry(open_stream: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Open the first stream of a session, which is worth a wait where the account is full or the stream ended at once.
    Raises `ProviderError`."""
    for pause in OPEN_BACKOFF:
        try:
            await open_stream()
        except (ConcurrencyReached, NotOurs, StreamGone):
            await clock.sleep(pause)
        else:
            return
    await open_stream()


async def _see_out(creating: asyncio.Task[None]) -> None:
    """Wait for the reply to a create that is not wanted any more. A second cancellation, at the end of the process,
    does not wait: the row says `creating`, and the next start looks after it."""
    try:
        await asyncio.wait([creating])
    except asyncio.CancelledError:
        creating.cancel()
        await asyncio.wait([creating])
        raise
    finally:
        if not creating.cancelled() and (error := creating.exception()) is not None:
            log.info("a stream that was not wanted any more was not created", error=str(error))
