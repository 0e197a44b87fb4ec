"""One connected page: a full snapshot first, then what changes, until somebody leaves or the session is over.

Some small tasks that share nothing with other connections: `send_changes` writes, `receive` reads, `heartbeat` shows
that the connection is alive, two tell what was said and how many watch, and its `Viewer` sees to the room.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiohttp import WSMsgType

from adapters.web.access import Access
from adapters.web.protocol import (
    Attention,
    ClientMessage,
    Close,
    CutMessage,
    Hello,
    ServerMessage,
    SessionMessage,
    TimeMessage,
    WordsMessage,
    encode,
    parse_message,
    session_message,
)
from adapters.web.transcript import Transcript, send_transcript
from adapters.web.viewer import Viewer, ViewerRegistry
from adapters.web.viewer_count import send_viewer_count
from bot.core.audience import Audience, Presence
from bot.core.events import SessionChanged, SessionEvent, Subscription, UtteranceChanged, WordsSpoken
from bot.core.models import UtteranceState
from bot.core.ports import Clock
from bot.core.views import Phase, SessionView

TIME_INTERVAL = 15.0
"""Seconds between `TimeMessage`s. Scripts see no pings; the page treats three missing ones as a lost connection."""


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """How long a message of a page may be, in bytes, and how many it may send within a second."""

    max_size: int
    per_second: int


VIEWER_LIMITS = MessageLimits(1024, 5)
CARRIER_LIMITS = MessageLimits(16 * 1024, 100)
"""For a page that reports what the avatar says in the room."""


class Frame(Protocol):
    """One message of a page, as aiohttp has it."""

    @property
    def type(self) -> WSMsgType:
        """What kind it is."""

    @property
    def data(self) -> Any:
        """What it says."""


class PageSocket(Protocol):
    """What a page's messages come and go over: its WebSocket, or the way to the process where that ends
    (`adapters.web.piped`)."""

    async def send_str(self, data: str) -> None:
        """Send a message. Raises `ClientConnectionResetError` where the page has gone."""

    def __aiter__(self) -> AsyncIterator[Frame]:
        """What the page sends, until it leaves."""


class Wire:
    """The socket of a page: messages out and in, whatever they are about."""

    def __init__(self, socket: PageSocket, clock: Clock, heard_at: Callable[[], float] | None = None) -> None:
        """heard_at: when the latest message of the page was received (monotonic seconds), where that is not now."""
        self._socket = socket
        self._clock = clock
        self._heard_at = heard_at or clock.monotonic

    async def write(self, messages: Sequence[ServerMessage]) -> None:
        """Send messages, in order."""
        for message in messages:
            await self._socket.send_str(encode(message))

    async def write_text(self, text: str) -> None:
        """Send a message that another process has made."""
        await self._socket.send_str(text)

    async def read(
        self,
        handle: Callable[[ClientMessage], Coroutine[object, object, Close | None]],
        limits: Callable[[], MessageLimits] = lambda: VIEWER_LIMITS,
    ) -> Close | None:
        """Hand on what the page says, until it leaves (None), says what it may not, or `handle` wants it closed."""

        async def parse(text: str) -> Close | None:
            message = parse_message(text)
            return Close.MISBEHAVED if message is None else await handle(message)

        return await self.read_text(parse, limits)

    async def read_text(
        self,
        handle: Callable[[str], Coroutine[object, object, Close | None]],
        limits: Callable[[], MessageLimits],
    ) -> Close | None:
        """As `read`, without a look at what it means."""
        second, count = self._heard_at(), 0
        async for frame in self._socket:
            if self._heard_at() - second >= 1.0:
                second, count = self._heard_at(), 0
            count += 1
            if frame.type is WSMsgType.ERROR:
                return None
            if count > limits().per_second or frame.type is not WSMsgType.TEXT:
                return Close.MISBEHAVED
            if len(frame.data.encode()) > limits().max_size:
                return Close.TOO_LONG
            if (code := await handle(frame.data)) is not None:
                return code
        return None

    async def heartbeat(self) -> Close | None:
        """Show the page that the connection is alive, and what time it is here."""
        while True:
            await self._clock.sleep(TIME_INTERVAL)
            await self.write([TimeMessage(now=self._clock.now().timestamp())])


class SessionConnection:
    """A page that is shown a session."""

    def __init__(
        self,
        wire: Wire,
        registry: ViewerRegistry,
        transcript: Transcript,
        access: Access,
        nonce: str,
        view: SessionView,
        audience: Audience,
        presence: Presence,
    ) -> None:
        """`access` is what the page was opened with, and `nonce` the link of the session that it comes to."""
        self._wire = wire
        self._lookup = registry.lookup
        self._clock = registry.clock
        self._transcript = transcript
        self._audience = audience
        self._presence = presence
        self._has_snapshot = asyncio.Event()
        self.access = access
        self.nonce = nonce
        self._view = view
        self._sent: SessionMessage | None = None
        self.viewer = Viewer(registry, nonce, self._for_viewer(view), wire.write)
        self.close_code: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        presence.attend(is_there=access.shows_picture)

    def close(self, code: Close) -> None:
        """Have the connection closed."""
        if not self.close_code.done():
            self.close_code.set_result(code)

    async def run(self, subscription: Subscription) -> Close | None:
        """Show the session to its end; None when the page has left before."""
        try:
            return await first_of(
                self.close_code,
                self._send_changes(subscription),
                self._wire.read(self._handle, lambda: CARRIER_LIMITS if self.viewer.has_carried else VIEWER_LIMITS),
                self._wire.heartbeat(),
                self.viewer.run(),
                self._send_transcript(),
                self._send_viewer_count(),
            )
        finally:
            await self.viewer.disconnect()

    async def _send_changes(self, subscription: Subscription) -> Close:
        """Write the snapshot and everything after it."""
        dropped = subscription.dropped
        if not await self._send_snapshot():
            return Close.REVOKED
        events: list[SessionEvent] = []
        async for event in subscription:
            events.append(event)
            if subscription.has_pending():
                continue
            if subscription.dropped != dropped:
                dropped = subscription.dropped
                if not await self._send_snapshot():
                    return Close.REVOKED
            else:
                await self._wire.write(self._without_repeats(self._messages_of(events)))
                self._update(_newest_view(events) or self._view)
            events.clear()
            if self._view.phase is Phase.ENDED:
                return Close.ENDED
        return Close.ENDED

    async def _send_transcript(self) -> None:
        """Write what was said in the session."""
        await self._has_snapshot.wait()
        await send_transcript(self._transcript, self._wire.write)

    async def _send_viewer_count(self) -> None:
        """Write how many watch."""
        await self._has_snapshot.wait()
        await send_viewer_count(self._audience, self._clock, self._wire.write)

    async def _handle(self, message: ClientMessage) -> Close | None:
        match message:
            case Hello():
                if not await self._send_snapshot():
                    return Close.REVOKED
            case Attention():
                self._presence.attend(is_there=message.is_there and self.access.shows_picture)
            case _:
                self.viewer.handle(message)
        return None

    async def _send_snapshot(self) -> bool:
        view = await self._lookup.view_by_link(self.nonce)
        if view is None:
            return False
        self._update(view)
        self._sent = session_message(view, self._clock.now(), self.access)
        await self._wire.write([self._sent])
        self._has_snapshot.set()
        if view.phase is Phase.ENDED:
            self.close(Close.ENDED)
        return True

    def _messages_of(self, events: list[SessionEvent]) -> list[ServerMessage]:
        """What a page must hear of `events`: all words and cuts in order, of the views only the newest."""
        messages: list[ServerMessage] = []
        for event in events:
            match event:
                case WordsSpoken(_, words):
                    messages.append(WordsMessage(words=words))
                case UtteranceChanged(_, utterance) if utterance.state is UtteranceState.INTERRUPTED:
                    messages.append(CutMessage(at=self._clock.now().timestamp()))
        view = _newest_view(events)
        if view is not None:
            messages.append(session_message(view, self._clock.now(), self.access))
        return messages

    def _without_repeats(self, messages: list[ServerMessage]) -> list[ServerMessage]:
        """Without a session message that would look to the page as the one it has."""
        changed: list[ServerMessage] = []
        for message in messages:
            if isinstance(message, SessionMessage):
                if self._sent is not None and self._sent.model_copy(update={"now": message.now}) == message:
                    continue
                self._sent = message
            changed.append(message)
        return changed

    def _update(self, view: SessionView) -> None:
        self._view = view
        self.viewer.update(self._for_viewer(view))

    def _for_viewer(self, view: SessionView) -> SessionView:
        """A page in a frame joins no room, and takes nobody's seat there."""
        return replace(view, has_room=False) if self.access.is_framed else view


def _newest_view(events: list[SessionEvent]) -> SessionView | None:
    return next((event.view for event in reversed(events) if isinstance(event, SessionChanged)), None)


async def first_of(
    closed: asyncio.Future[Close] | None, *parts: Coroutine[object, object, Close | None]
) -> Close | None:
    """Run the parts of a connection until one is done, or `closed` is; its result counts, and its error."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    waited_for: list[asyncio.Future[Close] | asyncio.Future[Close | None]] = [*tasks]
    if closed is not None:
        waited_for.append(closed)
    try:
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    if closed is not None and closed.done():
        return closed.result()
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
    return next((outcome for outcome in outcomes if isinstance(outcome, Close)), None)
