"""The page's WebSocket: a full snapshot first, then what changes, until somebody leaves or the link ends.

One connection is some small tasks that share nothing with other connections: `send_changes` writes, `receive` reads,
`heartbeat` shows that the connection is alive, two tell what was said and how many watch, and its `Viewer` sees to the
room. `LiveFeed.revalidate_links` checks
every few seconds whether the links still open anything.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from aiohttp import ClientConnectionResetError, WSMsgType, web

from adapters.web.links import SignedWatchLinks
from adapters.web.lookup import SessionLookup
from adapters.web.protocol import (
    Attention,
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
from adapters.web.transcript import Transcripts, send_transcript
from adapters.web.viewer import Viewer, ViewerRegistry
from adapters.web.viewer_count import send_viewer_count
from bot.core.audience import Audience, Audiences, Presence
from bot.core.errors import LinkInvalid, StoreError
from bot.core.events import EventBus, SessionChanged, SessionEvent, Subscription, UtteranceChanged, WordsSpoken
from bot.core.models import UtteranceState
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected
from bot.core.views import Phase, SessionView
from bot.streams.page_bridge import PageBridge

PING_INTERVAL = 20.0
"""Seconds between WebSocket pings; a page whose pong does not come within half of it is gone."""

TIME_INTERVAL = 15.0
"""Seconds between `TimeMessage`s. Scripts see no pings; the page treats three missing ones as a lost connection."""

LINK_CHECK_INTERVAL = 3.0
"""Seconds between checks of the links of everybody connected."""

CLOSE_TIMEOUT = 2.0
"""Seconds that a closing handshake may take."""


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """How long a message of a page may be, in bytes, and how many it may send within a second."""

    max_size: int
    per_second: int


VIEWER_LIMITS = MessageLimits(1024, 5)
CARRIER_LIMITS = MessageLimits(16 * 1024, 100)
"""For a page that reports what the avatar says in the room."""

_log = structlog.get_logger(__name__)


class _Connection:
    """One connected page."""

    def __init__(
        self,
        feed: "LiveFeed",
        socket: web.WebSocketResponse,
        signed: str,
        nonce: str,
        view: SessionView,
        audience: Audience,
        presence: Presence,
    ) -> None:
        self._feed = feed
        self._socket = socket
        self._nonce = nonce
        self._audience = audience
        self._presence = presence
        self._transcript = feed.transcripts.of(view.session_id)
        self._has_snapshot = asyncio.Event()
        self.signed = signed
        self._view = view
        self._sent: SessionMessage | None = None
        self.viewer = Viewer(feed.registry, nonce, view, self._write)
        self.close_code: asyncio.Future[Close] = asyncio.get_running_loop().create_future()

    def close(self, code: Close) -> None:
        """Have the connection closed."""
        if not self.close_code.done():
            self.close_code.set_result(code)

    async def send_changes(self, subscription: Subscription) -> Close:
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
                await self._write(self._without_repeats(_messages_of(events, self._feed.clock, self.signed)))
                self._update(_newest_view(events) or self._view)
            events.clear()
            if self._view.phase is Phase.ENDED:
                return Close.ENDED
        return Close.ENDED

    async def send_transcript(self) -> None:
        """Write what was said in the session."""
        await self._has_snapshot.wait()
        await send_transcript(self._transcript, self._write)

    async def send_viewer_count(self) -> None:
        """Write how many watch."""
        await self._has_snapshot.wait()
        await send_viewer_count(self._audience, self._feed.clock, self._write)

    async def receive(self) -> Close | None:
        """Read what the page says. None when the page has left."""
        clock = self._feed.clock
        second, count = clock.monotonic(), 0
        async for frame in self._socket:
            if clock.monotonic() - second >= 1.0:
                second, count = clock.monotonic(), 0
            count += 1
            if frame.type is WSMsgType.ERROR:
                return None
            limits = CARRIER_LIMITS if self.viewer.has_carried else VIEWER_LIMITS
            if count > limits.per_second or frame.type is not WSMsgType.TEXT:
                return Close.MISBEHAVED
            if len(frame.data.encode()) > limits.max_size:
                return Close.TOO_LONG
            message = parse_message(frame.data)
            if message is None:
                return Close.MISBEHAVED
            match message:
                case Hello():
                    if not await self._send_snapshot():
                        return Close.REVOKED
                case Attention():
                    self._presence.attend(is_there=message.is_there)
                case _:
                    self.viewer.handle(message)
        return None

    async def heartbeat(self) -> Close | None:
        """Show the page that the connection is alive, and what time it is here."""
        while True:
            await self._feed.clock.sleep(TIME_INTERVAL)
            await self._write([TimeMessage(now=self._feed.clock.now().timestamp())])

    async def _send_snapshot(self) -> bool:
        view = await self._feed.lookup.view_by_link(self._nonce)
        if view is None:
            return False
        self._update(view)
        self._sent = session_message(view, self._feed.clock.now(), self.signed)
        await self._write([self._sent])
        self._has_snapshot.set()
        if view.phase is Phase.ENDED:
            self.close(Close.ENDED)
        return True

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
        self.viewer.update(view)

    async def _write(self, messages: Sequence[ServerMessage]) -> None:
        for message in messages:
            await self._socket.send_str(encode(message))


class LiveFeed:
    """Everybody who watches, on this process."""

    def __init__(
        self,
        lookup: SessionLookup,
        event_bus: EventBus,
        audiences: Audiences,
        links: SignedWatchLinks,
        clock: Clock,
        seats: PageBridge,
    ) -> None:
        self.lookup = lookup
        self.clock = clock
        self.registry = ViewerRegistry(lookup, seats, clock)
        self.transcripts = Transcripts(event_bus, clock)
        self._event_bus = event_bus
        self._audiences = audiences
        self._links = links
        self._sockets: set[web.WebSocketResponse] = set()
        self._connections: set[_Connection] = set()

    def __len__(self) -> int:
        return len(self._sockets)

    def is_same_origin(self, request: web.Request) -> bool:
        """Whether a browser says that our own page opened this connection; without an Origin it is no browser."""
        origin = urlsplit(request.headers.get("Origin", ""))
        if origin.scheme not in ("http", "https") or not origin.netloc:
            return False
        public = urlsplit(self._links.public_url or "")
        if (origin.scheme, origin.netloc.lower()) == (public.scheme, public.netloc.lower()):
            return True
        return origin.netloc.lower() == request.headers.get("Host", "").lower()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """`GET /w/{signed}/live`, for a request whose origin was checked.

        A bad link is told by a close code after the handshake, because scripts cannot see the status of a refused one.
        """
        socket = web.WebSocketResponse(
            heartbeat=PING_INTERVAL, max_msg_size=CARRIER_LIMITS.max_size, timeout=CLOSE_TIMEOUT, compress=False
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        code: Close | None = Close.AWAY
        try:
            code = await self._serve_link(socket, request.match_info["signed"])
        except ClientConnectionResetError:
            code = None
        except StoreError as error:
            _log.warning("watch_page_not_fed", error=str(error))
            code = Close.LATER
        except Exception as error:  # noqa: BLE001  the boundary of a connection: no error page can follow a handshake
            report_unexpected("watch_page_feed_failed", error)
            code = Close.FAILED
        finally:
            self._sockets.discard(socket)
        if code is not None:
            await _close(socket, code)
        return socket

    async def revalidate_links(self) -> None:
        """Close connections whose link has expired or was revoked, until cancelled."""
        while True:
            await self.clock.sleep(LINK_CHECK_INTERVAL)
            try:
                await self._check_every_link()
            except StoreError as error:
                _log.warning("links_not_checked", error=str(error))

    async def close_all(self) -> None:
        """Close every connection; returns within a few seconds, whatever the pages do."""
        await asyncio.gather(*(_close(socket, Close.AWAY) for socket in tuple(self._sockets)))
        self.registry.close()

    async def _serve_link(self, socket: web.WebSocketResponse, signed: str) -> Close | None:
        try:
            nonce = self._links.nonce_of(signed)
        except LinkInvalid as invalid:
            return Close.EXPIRED if invalid.why == "expired" else Close.REVOKED
        view = await self.lookup.view_by_link(nonce)
        if view is None:
            return Close.REVOKED
        audience = self._audiences.of(view.session_id)
        with self._event_bus.subscribe(view.session_id) as subscription, audience.join() as presence:
            page = _Connection(self, socket, signed, nonce, view, audience, presence)
            self._connections.add(page)
            try:
                return await _first_of(
                    page.close_code,
                    page.send_changes(subscription),
                    page.receive(),
                    page.heartbeat(),
                    page.viewer.run(),
                    page.send_transcript(),
                    page.send_viewer_count(),
                )
            finally:
                self._connections.discard(page)
                await page.viewer.disconnect()

    async def _check_every_link(self) -> None:
        by_link: dict[str, list[_Connection]] = {}
        for page in self._connections:
            by_link.setdefault(page.signed, []).append(page)
        for signed, pages in by_link.items():
            code = Close.REVOKED
            try:
                if await self.lookup.view_by_link(self._links.nonce_of(signed)) is not None:
                    continue
            except LinkInvalid:
                code = Close.EXPIRED
            for page in pages:
                page.close(code)


def _messages_of(events: list[SessionEvent], clock: Clock, signed: str) -> list[ServerMessage]:
    """What a page must hear of `events`: all words and cuts in order, of the views only the newest."""
    messages: list[ServerMessage] = []
    for event in events:
        match event:
            case WordsSpoken(_, words):
                messages.append(WordsMessage(words=words))
            case UtteranceChanged(_, utterance) if utterance.state is UtteranceState.INTERRUPTED:
                messages.append(CutMessage(at=clock.now().timestamp()))
    view = _newest_view(events)
    if view is not None:
        messages.append(session_message(view, clock.now(), signed))
    return messages


def _newest_view(events: list[SessionEvent]) -> SessionView | None:
    return next((event.view for event in reversed(events) if isinstance(event, SessionChanged)), None)


async def _first_of(closed: asyncio.Future[Close], *parts: Coroutine[object, object, Close | None]) -> Close | None:
    """Run the parts of a connection until one is done; its result counts, and its error."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    waited_for: list[asyncio.Future[Close] | asyncio.Future[Close | None]] = [closed, *tasks]
    try:
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    if closed.done():
        return closed.result()
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
    return next((outcome for outcome in outcomes if isinstance(outcome, Close)), None)


async def _close(socket: web.WebSocketResponse, code: Close) -> None:
    try:
        async with asyncio.timeout(2 * CLOSE_TIMEOUT):
            await socket.close(code=code.value)
    except TimeoutError:
        _log.debug("watch_page_did_not_close")
