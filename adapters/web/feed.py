"""The page's WebSocket: who may connect, what they are shown, and what closes the connection.

`LiveFeed.revalidate` checks every few seconds whether what pages were opened with still opens anything. A page in a
frame that follows a channel is shown one session after another, and waits between them (`adapters.web.vacancy`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from urllib.parse import urlsplit

import structlog
from aiohttp import ClientConnectionResetError, web

from adapters.web.access import OPAQUE, Access, Embeds, LinkAccess, TicketAccess
from adapters.web.connection import CARRIER_LIMITS, SessionConnection, Wire
from adapters.web.headers import room_sources
from adapters.web.links import SignedWatchLinks
from adapters.web.lookup import SessionLookup
from adapters.web.pipe_messages import ROOMS, dump, load
from adapters.web.piped import PipedAccess, PipedPages, PipedSocket
from adapters.web.pipes import Pipes
from adapters.web.protocol import Close, NextMessage, joins_room
from adapters.web.requests import frame_request
from adapters.web.transcript import Transcripts
from adapters.web.vacancy import Vacancy
from adapters.web.viewer import ViewerRegistry
from bot.core.audience import Audiences
from bot.core.bus import Cluster
from bot.core.errors import EmbedUnavailable, LinkInvalid, ProcessUnreachable, ProviderError, StoreError
from bot.core.events import EventBus
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected
from bot.core.views import SessionView
from bot.streams.page_bridge import PageBridge

PING_INTERVAL = 20.0
"""Seconds between WebSocket pings; a page whose pong does not come within half of it is gone."""

CHECK_INTERVAL = 3.0
"""Seconds between checks of what everybody connected was opened with."""

CLOSE_TIMEOUT = 2.0
"""Seconds that a closing handshake may take."""

_log = structlog.get_logger(__name__)


class LiveFeed:
    """Everybody who watches, on this process."""

    def __init__(
        self,
        lookup: SessionLookup,
        event_bus: EventBus,
        audiences: Audiences,
        links: SignedWatchLinks,
        embeds: Embeds,
        clock: Clock,
        seats: PageBridge,
        cluster: Cluster | None = None,
    ) -> None:
        """`cluster`: the processes that other pages are open at, and other sessions are of."""
        self.lookup = lookup
        self.clock = clock
        self.registry = ViewerRegistry(lookup, seats, clock)
        self.transcripts = Transcripts(event_bus, clock)
        self._event_bus = event_bus
        self._audiences = audiences
        self._links = links
        self._embeds = embeds
        self._sockets: set[web.WebSocketResponse] = set()
        self._connections: set[SessionConnection] = set()
        self._directory = cluster.directory if cluster else None
        self.pipes = Pipes(cluster.bus, cluster.directory, clock) if cluster else None
        self.piped = PipedPages(cluster.bus, cluster.directory, clock, self._serve_piped) if cluster else None
        if cluster:
            cluster.bus.handle(ROOMS, self._on_rooms)

    def __len__(self) -> int:
        return len(self._sockets)

    @property
    def jobs(self) -> list[tuple[str, Callable[[], Coroutine[object, object, None]]]]:
        """What is to run for as long as pages come, each until cancelled, and what to call it."""
        jobs: list[tuple[str, Callable[[], Coroutine[object, object, None]]]] = [
            ("watch links", self.revalidate),
            ("transcripts", self.transcripts.write),
        ]
        if self.pipes is not None and self.piped is not None:
            jobs += [("pages here", self.pipes.pulse), ("pages at other processes", self.piped.forget_silent)]
        return jobs

    def is_same_origin(self, request: web.Request) -> bool:
        """Whether a browser says that our own page opened this connection; without an Origin it is no browser."""
        origin = urlsplit(request.headers.get("Origin", ""))
        if origin.scheme not in ("http", "https") or not origin.netloc:
            return False
        public = urlsplit(self._links.public_url or "")
        if (origin.scheme, origin.netloc.lower()) == (public.scheme, public.netloc.lower()):
            return True
        return origin.netloc.lower() == request.headers.get("Host", "").lower()

    def is_framed_origin(self, request: web.Request) -> bool:
        """Whether a browser says that a frame of ours opened this connection: one that has an address of the
        platform's, or, where the platform gives its frames none, one with a good ticket."""
        origin = request.headers.get("Origin", "")
        if origin == OPAQUE:
            return self._embeds.takes_origin(request.match_info["ticket"], origin)
        return self._embeds.is_of_a_client(origin) or self.is_same_origin(request)

    async def serve_link(self, request: web.Request) -> web.WebSocketResponse:
        """`GET /w/{signed}/live`, for a request whose origin was checked."""
        return await self._serve(request, lambda: LinkAccess(self._links, request.match_info["signed"]))

    async def serve_frame(self, request: web.Request) -> web.WebSocketResponse:
        """`GET /embed/{ticket}/live`, for a request whose origin was checked."""
        asked = frame_request(request)
        return await self._serve(request, lambda: self._embeds.access(request.match_info["ticket"], asked))

    async def revalidate(self) -> None:
        """Close connections whose link or ticket opens nothing any more, or another session, until cancelled."""
        while True:
            await self.clock.sleep(CHECK_INTERVAL)
            await self._check_everybody()

    async def close_all(self) -> None:
        """Close every connection; returns within a few seconds, whatever the pages do."""
        closing = [_close(socket, Close.AWAY) for socket in tuple(self._sockets)]
        if self.piped is not None:
            closing.append(self.piped.close_all())
        await asyncio.gather(*closing)
        self.registry.close()

    async def _serve(self, request: web.Request, make_access: Callable[[], Access]) -> web.WebSocketResponse:
        """A link or ticket that opens nothing is told by a close code after the handshake, because scripts cannot see
        the status of a refused one."""
        socket = web.WebSocketResponse(
            heartbeat=PING_INTERVAL, max_msg_size=CARRIER_LIMITS.max_size, timeout=CLOSE_TIMEOUT, compress=False
        )
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            code = await self._outcome(lambda: self._show(Wire(socket, self.clock), make_access()))
        finally:
            self._sockets.discard(socket)
        if code is not None:
            await _close(socket, code)
        return socket

    async def _serve_piped(self, socket: PipedSocket, access: PipedAccess) -> Close | None:
        wire = Wire(socket, self.clock, lambda: socket.heard_at)
        return await self._outcome(lambda: self._show(wire, access))

    async def _outcome(self, show: Callable[[], Coroutine[object, object, Close | None]]) -> Close | None:
        """The code to close a page with once `show` has ended, or failed; None where the page has left."""
        try:
            return await show()
        except LinkInvalid as invalid:
            return Close.EXPIRED if invalid.why == "expired" else Close.REVOKED
        except ClientConnectionResetError:
            return None
        except (StoreError, EmbedUnavailable) as error:
            _log.warning("watch_page_not_fed", error=str(error))
            return Close.LATER
        except Exception as error:  # noqa: BLE001  the boundary of a connection: no error page can follow a handshake
            report_unexpected("watch_page_feed_failed", error)
            return Close.FAILED

    async def _show(self, wire: Wire, access: Access) -> Close | None:
        """Show what `access` opens, also of another process; of a channel one session after the other."""
        over: str | None = None
        while True:
            opened = await access.look_up()
            if isinstance(access, TicketAccess) and opened.follows:
                vacancy = Vacancy(wire, access, self.clock, over)
                if vacancy.is_free(opened):
                    if (code := await vacancy.run()) is not Close.ENDED:
                        return code
                    continue
            if opened.nonce is None:
                return Close.REVOKED
            owner = await self._find_owner(opened.nonce)
            view = None if owner is not None else await self.lookup.view_by_link(opened.nonce)
            if owner is None and view is None:
                return Close.REVOKED
            if over is not None:
                await wire.write([NextMessage()])
            if view is not None:
                code = await self._show_session(wire, access, opened.nonce, view, opened.viewer)
            elif isinstance(access, PipedAccess) or self.pipes is None or owner is None:
                # It has another owner by now: the page's own process finds it.
                code = Close.AWAY
            else:
                code = await self.pipes.show(wire, access, opened, owner)
            if code is not Close.ENDED or not opened.follows:
                return code
            over = opened.nonce

    async def _show_session(
        self, wire: Wire, access: Access, nonce: str, view: SessionView, viewer: str | None
    ) -> Close | None:
        audience = self._audiences.of(view.session_id)
        with self._event_bus.subscribe(view.session_id) as subscription, audience.join(viewer) as presence:
            transcript = self.transcripts.of(view.session_id)
            page = SessionConnection(wire, self.registry, transcript, access, nonce, view, audience, presence)
            self._connections.add(page)
            try:
                return await page.run(subscription)
            finally:
                self._connections.discard(page)

    async def rooms(self, nonce: str) -> tuple[str, ...] | None:
        """Where the page of a link may join a room, as sources of a Content-Security-Policy; None where the link opens
        nothing. A page that was loaded before that was known reloads itself. Raises `StoreError`."""
        owner = await self._find_owner(nonce)
        if owner is None or self.pipes is None:
            return await self._rooms_here(nonce)
        try:
            return await self.pipes.rooms(owner, nonce)
        except ProcessUnreachable as error:
            _log.warning("room_not_looked_up", error=str(error))
            return ()

    async def _rooms_here(self, nonce: str) -> tuple[str, ...] | None:
        view = await self.lookup.view_by_link(nonce)
        if view is None:
            return None
        if not joins_room(view):
            return ()
        try:
            access = await self.lookup.room_access(nonce)
        except ProviderError as error:
            _log.warning("room_not_looked_up", error=str(error))
            return ()
        return () if access is None else room_sources(access.url)

    async def _on_rooms(self, _process: str, body: str) -> str:
        (nonce,) = load(body)
        return dump(await self._rooms_here(nonce))

    async def _find_owner(self, nonce: str) -> str | None:
        """The other process that owns the session behind a link. Raises `StoreError`."""
        return None if self._directory is None else await self._directory.find_link(nonce)

    def _is_elsewhere(self, nonce: str) -> bool:
        return self._directory is not None and self._directory.owner_of_link(nonce) is not None

    async def _check_everybody(self) -> None:
        by_key: dict[str, list[SessionConnection]] = {}
        for page in self._connections:
            by_key.setdefault(page.access.key, []).append(page)
        await asyncio.gather(*map(self._check, by_key.values()))

    async def _check(self, pages: list[SessionConnection]) -> None:
        """Close those of the pages, which were opened with the same, that show what it does not open any more."""
        try:
            for page, code in await self._not_good_any_more(pages):
                page.close(code)
        except StoreError as error:
            _log.warning("links_not_checked", error=str(error))

    async def _not_good_any_more(self, pages: list[SessionConnection]) -> list[tuple[SessionConnection, Close]]:
        if moved := [page for page in pages if self._is_elsewhere(page.nonce)]:
            return [(page, Close.AWAY) for page in moved]
        try:
            opened = await pages[0].access.look_up()
        except LinkInvalid as invalid:
            code = Close.EXPIRED if invalid.why == "expired" else Close.REVOKED
            return [(page, code) for page in pages]
        except EmbedUnavailable as error:
            _log.warning("frame_not_checked", error=str(error))
            return [(page, Close.LATER) for page in pages]
        if opened.follows:
            # The session of a page is over, and its own events have not said so yet.
            return [(page, Close.ENDED) for page in pages if page.nonce != opened.nonce]
        is_there = opened.nonce is not None and await self.lookup.view_by_link(opened.nonce) is not None
        return [] if is_there else [(page, Close.REVOKED) for page in pages]


async def _close(socket: web.WebSocketResponse, code: Close) -> None:
    try:
        async with asyncio.timeout(2 * CLOSE_TIMEOUT):
            await socket.close(code=code.value)
    except TimeoutError:
        _log.debug("watch_page_did_not_close")
