"""The page's WebSocket: a full snapshot first, then what changes, until somebody leaves or the link ends.

One viewer is four small tasks that share nothing with other viewers: `tell` writes, `listen` reads, `heartbeat` shows
that the line is alive, and its visit (`visits.py`) sees to the room. One doorkeeper for all of them looks every few
seconds whether the links still open anything.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from aiohttp import ClientConnectionResetError, WSMsgType, web

from adapters.web.links import SignedWatchLinks
from adapters.web.lookup import SessionLookup
from adapters.web.protocol import (
    Close,
    Hello,
    Message,
    SessionMessage,
    encode,
    parse_message,
    session_message,
    words_message,
)
from adapters.web.viewer import Viewer, ViewerRegistry
from bot.core.errors import LinkInvalid, StoreError
from bot.core.events import EventBus, SessionChanged, SessionEvent, Subscription, UtteranceChanged, WordsSpoken
from bot.core.models import UtteranceState
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected
from bot.core.views import Phase, SessionView
from bot.streams.page_bridge import PageBridge

HEARTBEAT = 20.0
"""Seconds between WebSocket pings; a viewer whose pong does not come within half of it is gone."""

PULSE = 15.0
"""Seconds between `time` messages. Scripts see no pings; the page treats three missing ones as a lost connection."""

POLL_INTERVAL = 3.0
"""Seconds between looks at the links of everybody connected."""

DRAIN_TIMEOUT = 2.0
"""Seconds that a closing handshake may take."""


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """How long a message of a page may be, in bytes, and how many it may send within a second."""

    longest: int
    per_second: int


VISITOR = MessageLimits(1024, 5)
CARRIER = MessageLimits(16 * 1024, 100)
"""For a page that reports what the avatar says in the room."""

_log = structlog.get_logger(__name__)


class _Viewer:
    """One connected page."""

    def __init__(
        self, live: "LiveFeed", socket: web.WebSocketResponse, signed: str, nonce: str, view: SessionView
    ) -> None:
        self._live = live
        self._socket = socket
        self.signed = signed
        self._view = view
        self._shown: SessionMessage | None = None
        self.visit = Viewer(live.rooms, nonce, view, self._write)
        self.dismissed: asyncio.Future[Close] = asyncio.get_running_loop().create_future()

    def dismiss(self, why: Close) -> None:
        """Have the connection closed."""
        if not self.dismissed.done():
            self.dismissed.set_result(why)

    async def tell(self, following: Subscription, nonce: str) -> Close:
        """Write the snapshot and everything after it."""
        missed = following.dropped
        if not await self._show(nonce):
            return Close.REVOKED
        events: list[SessionEvent] = []
        async for event in following:
            events.append(event)
            if following.has_pending():
                continue
            if following.dropped != missed:
                missed = following.dropped
                if not await self._show(nonce):
                    return Close.REVOKED
            else:
                await self._write(self._unlike_before(_news(events, self._live.clock)))
                self._note(_newest_view(events) or self._view)
            events.clear()
            if self._view.phase is Phase.ENDED:
                return Close.ENDED
        return Close.ENDED

    async def listen(self, nonce: str) -> Close | None:
        """Read what the page says. None when the page has left."""
        clock = self._live.clock
        second, count = clock.monotonic(), 0
        async for frame in self._socket:
            if clock.monotonic() - second >= 1.0:
                second, count = clock.monotonic(), 0
            count += 1
            if frame.type is WSMsgType.ERROR:
                return None
            bounds = CARRIER if self.visit.has_carried else VISITOR
            if count > bounds.per_second or frame.type is not WSMsgType.TEXT:
                return Close.MISBEHAVED
            if len(frame.data.encode()) > bounds.longest:
                return Close.TOO_LONG
            said = parse_message(frame.data)
            if said is None:
                return Close.MISBEHAVED
            if not isinstance(said, Hello):
                self.visit.take(said)
            elif not await self._show(nonce):
                return Close.REVOKED
        return None

    async def heartbeat(self) -> Close | None:
        """Show the page that the line is alive, and what time it is here."""
        while True:
            await self._live.clock.sleep(PULSE)
            await self._write([{"type": "time", "now": self._live.clock.now().timestamp()}])

    async def _show(self, nonce: str) -> bool:
        view = await self._live.lookup.view_by_link(nonce)
        if view is None:
            return False
        self._note(view)
        self._shown = session_message(view, self._live.clock.now())
        await self._write([self._shown])
        if view.phase is Phase.ENDED:
            self.dismiss(Close.ENDED)
        return True

    def _unlike_before(self, messages: list[Message]) -> list[Message]:
        """Without a state of the session that looks to a page as the one it has."""
        news: list[Message] = []
        for message in messages:
            if message["type"] == "session":
                if self._shown is not None and {**self._shown, "now": message["now"]} == message:
                    continue
                self._shown = message
            news.append(message)
        return news

    def _note(self, view: SessionView) -> None:
        self._view = view
        self.visit.note(view)

    async def _write(self, messages: list[Message]) -> None:
        for message in messages:
            await self._socket.send_str(encode(message))


class LiveFeed:
    """Everybody who watches, on this process."""

    def __init__(
        self, lookup: SessionLookup, event_bus: EventBus, links: SignedWatchLinks, clock: Clock, seats: PageBridge
    ) -> None:
        self.lookup = lookup
        self.clock = clock
        self.rooms = ViewerRegistry(lookup, seats, clock)
        self._event_bus = event_bus
        self._links = links
        self._sockets: set[web.WebSocketResponse] = set()
        self._viewers: set[_Viewer] = set()

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
            heartbeat=HEARTBEAT, max_msg_size=CARRIER.longest, timeout=DRAIN_TIMEOUT, compress=False
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        why: Close | None = Close.AWAY
        try:
            why = await self._attend(socket, request.match_info["signed"])
        except ClientConnectionResetError:
            why = None
        except StoreError as error:
            _log.warning("watch_page_not_fed", error=str(error))
            why = Close.LATER
        except Exception as error:  # noqa: BLE001  the boundary of a connection: no error page can follow a handshake
            report_unexpected("watch_page_feed_failed", error)
            why = Close.FAILED
        finally:
            self._sockets.discard(socket)
        if why is not None:
            await _close(socket, why)
        return socket

    async def revalidate_links(self) -> None:
        """Dismiss viewers whose link has expired or was revoked, until cancelled."""
        while True:
            await self.clock.sleep(POLL_INTERVAL)
            try:
                await self._look_at_every_link()
            except StoreError as error:
                _log.warning("links_not_checked", error=str(error))

    async def close_all(self) -> None:
        """Close every connection; returns within a few seconds, whatever the pages do."""
        await asyncio.gather(*(_close(socket, Close.AWAY) for socket in tuple(self._sockets)))
        self.rooms.close()

    async def _attend(self, socket: web.WebSocketResponse, signed: str) -> Close | None:
        try:
            nonce = self._links.nonce_of(signed)
        except LinkInvalid as invalid:
            return Close.EXPIRED if invalid.why == "expired" else Close.REVOKED
        view = await self.lookup.view_by_link(nonce)
        if view is None:
            return Close.REVOKED
        viewer = _Viewer(self, socket, signed, nonce, view)
        with self._event_bus.subscribe(view.session_id) as following:
            self._viewers.add(viewer)
            try:
                parts = (viewer.tell(following, nonce), viewer.listen(nonce), viewer.heartbeat(), viewer.visit.run())
                return await _first_of(viewer.dismissed, *parts)
            finally:
                self._viewers.discard(viewer)
                await viewer.visit.leave()

    async def _look_at_every_link(self) -> None:
        by_link: dict[str, list[_Viewer]] = {}
        for viewer in self._viewers:
            by_link.setdefault(viewer.signed, []).append(viewer)
        for signed, viewers in by_link.items():
            try:
                revoked = await self.lookup.view_by_link(self._links.nonce_of(signed)) is None
            except LinkInvalid:
                _dismiss(viewers, Close.EXPIRED)
                continue
            if revoked:
                _dismiss(viewers, Close.REVOKED)


def _dismiss(viewers: list[_Viewer], why: Close) -> None:
    for viewer in viewers:
        viewer.dismiss(why)


def _news(events: list[SessionEvent], clock: Clock) -> list[Message]:
    """What a page must hear of `events`: all words and cuts in order, of the views only the newest."""
    messages: list[Message] = []
    for event in events:
        match event:
            case WordsSpoken(_, words):
                messages.append(words_message(words))
            case UtteranceChanged(_, utterance) if utterance.state is UtteranceState.INTERRUPTED:
                messages.append({"type": "cut", "at": clock.now().timestamp()})
    view = _newest_view(events)
    if view is not None:
        messages.append(session_message(view, clock.now()))
    return messages


def _newest_view(events: list[SessionEvent]) -> SessionView | None:
    return next((event.view for event in reversed(events) if isinstance(event, SessionChanged)), None)


async def _first_of(dismissed: asyncio.Future[Close], *parts: Coroutine[object, object, Close | None]) -> Close | None:
    """Run the parts of a connection until one is done; its result counts, and its error."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    waited_for: list[asyncio.Future[Close] | asyncio.Future[Close | None]] = [dismissed, *tasks]
    try:
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    if dismissed.done():
        return dismissed.result()
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
    return next((outcome for outcome in outcomes if isinstance(outcome, Close)), None)


async def _close(socket: web.WebSocketResponse, why: Close) -> None:
    try:
        async with asyncio.timeout(2 * DRAIN_TIMEOUT):
            await socket.close(code=why.value)
    except TimeoutError:
        _log.debug("viewer_did_not_say_goodbye")
