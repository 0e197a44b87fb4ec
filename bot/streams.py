"""The streams of a session: row before call, one at a time, and a close that is not done until the provider says so.

Knows the provider only as a port. Decides nothing about speech or about when a session ends.
"""

import asyncio
from dataclasses import replace

import structlog

from bot import ids, metrics
from bot.errors import ProviderError, StoreError, Transient
from bot.model import Playback, Stream, StreamState
from bot.ports import AvatarProvider, Clock, StreamRequest
from bot.store.store import Store
from bot.tasks import TaskOwner

log = structlog.get_logger(__name__)

CLOSE_AGAIN = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts to close a stream whose end the provider has not confirmed; the last one repeats."""


class StreamCloser:
    """Closes streams and keeps at it until each is confirmed (rule 4). Shared by all sessions of the process."""

    def __init__(self, provider: AvatarProvider, store: Store, clock: Clock) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._tasks = TaskOwner()
        self._unconfirmed: dict[str, asyncio.Event] = {}

    async def close(self, stream: Stream, detail: str) -> bool:
        """Close a stream. False where the provider did not confirm yet: then it is tried again until it does."""
        await self._record(stream, StreamState.CLOSING)
        if await self._attempt(stream, detail):
            return True
        self._unconfirmed[stream.id] = asyncio.Event()
        self._tasks.start(self._insist(stream, detail), name=f"close stream {stream.id}")
        return False

    async def confirmed(self, stream: Stream) -> None:
        """Wait until a stream that could not be closed at once is closed."""
        if (waiting := self._unconfirmed.get(stream.id)) is not None:
            await waiting.wait()

    @property
    def unconfirmed(self) -> int:
        """How many streams are being closed again and again."""
        return len(self._unconfirmed)

    async def stop(self) -> None:
        """Give up what is still unconfirmed; its rows say so, and the next start goes on."""
        await self._tasks.close()

    async def _insist(self, stream: Stream, detail: str) -> None:
        for pause in (*CLOSE_AGAIN, *iter(lambda: CLOSE_AGAIN[-1], None)):
            await self._clock.sleep(pause)
            if await self._attempt(stream, detail):
                self._unconfirmed.pop(stream.id).set()
                return

    async def _attempt(self, stream: Stream, detail: str) -> bool:
        if stream.upstream_id is None:
            return True
        try:
            await self._provider.close(stream.upstream_id)
        except ProviderError as error:
            metrics.provider_errors.labels(kind=type(error).__name__).inc()
            log.warning("closing a stream was not confirmed", stream=stream.id, error=str(error))
            return False
        await self._record(stream, StreamState.CLOSED, detail)
        return True

    async def _record(self, stream: Stream, state: StreamState, detail: str | None = None) -> None:
        """Write a state. A database in trouble must not keep a stream open that costs money; recovery mends the row."""
        try:
            await self._store.advance_stream(stream.id, state, detail=detail)
        except StoreError as error:
            log.error("the state of a stream could not be written", stream=stream.id, state=state, error=str(error))


class StreamKeeper:
    """The one open stream of a session, if there is one."""

    def __init__(
        self, session_id: str, provider: AvatarProvider, store: Store, closer: StreamCloser, clock: Clock
    ) -> None:
        self._session_id = session_id
        self._provider = provider
        self._store = store
        self._closer = closer
        self._clock = clock
        self._created: list[Stream] = []
        self._past_seconds = 0.0
        self.current: Stream | None = None
        self.playback: Playback | None = None

    @property
    def upstream_id(self) -> str | None:
        """The provider's id of the open stream."""
        return self.current.upstream_id if self.current else None

    async def open(self, request: StreamRequest) -> None:
        """Create a stream and wait until it can be watched. Raises `ProviderError`; then nothing is left open.

        When the caller is cancelled while the create is under way, the reply is waited for first, so that the stream
        is known and can be closed (rule 2).
        """
        stream = Stream(
            id=ids.new_stream_id(),
            session_id=self._session_id,
            provider=self._provider.name,
            state=StreamState.CREATING,
            created_at=self._clock.now(),
        )
        await self._store.record_stream(stream)
        creating = asyncio.ensure_future(self._create(stream, request))
        try:
            await asyncio.shield(creating)
        except asyncio.CancelledError:
            await asyncio.wait([creating])
            raise
        await self._start()

    @property
    def paid_seconds(self) -> float:
        """How long this session has had a stream open, seconds: what the provider charges for."""
        return self._past_seconds + self._open_seconds(self.current)

    def _open_seconds(self, stream: Stream | None) -> float:
        return (self._clock.now() - stream.created_at).total_seconds() if stream else 0.0

    def adopt(self, stream: Stream, playback: Playback | None) -> None:
        """Take over a stream that an earlier process opened."""
        self.current, self.playback = stream, playback
        self._created.append(stream)
        metrics.open_streams.inc()

    async def close(self, detail: str) -> bool:
        """Close the open stream, if there is one. False where the provider has not confirmed it yet."""
        stream = self._let_go()
        return stream is None or await self._closer.close(stream, detail)

    async def lose(self, detail: str) -> None:
        """Note that the provider has ended the stream by itself."""
        stream = self._let_go()
        if stream is not None:
            await self._store.advance_stream(stream.id, StreamState.CLOSED, detail=detail)

    def _let_go(self) -> Stream | None:
        stream, self.current, self.playback = self.current, None, None
        self._past_seconds += self._open_seconds(stream)
        if stream is not None:
            metrics.open_streams.dec()
        return stream

    async def confirmed(self) -> None:
        """Wait until every stream this session ever had is closed at the provider."""
        for stream in self._created:
            await self._closer.confirmed(stream)

    async def _create(self, stream: Stream, request: StreamRequest) -> None:
        try:
            upstream_id = await self._provider.create(request)
        except ProviderError as error:
            lost = isinstance(error, Transient) and error.may_have_taken_effect
            await self._store.advance_stream(
                stream.id, StreamState.LOST if lost else StreamState.CLOSED, detail=str(error)
            )
            raise
        self.current = replace(stream, upstream_id=upstream_id, state=StreamState.OPEN)
        self._created.append(self.current)
        metrics.open_streams.inc()
        await self._store.bind_stream(stream.id, upstream_id)

    async def _start(self) -> None:
        assert self.current is not None  # noqa: S101 - _create has just set it
        stream, upstream_id = self.current, self.current.upstream_id or ""
        try:
            self.playback = await self._provider.start(upstream_id)
        except ProviderError as error:
            await self.close(f"did not start: {error}")
            raise
        await self._store.advance_stream(stream.id, StreamState.OPEN, hls_url=self.playback.hls_url)
