"""The web server: its routes, its error pages, `start` and `stop`. What a route does is in the other modules."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger
from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import SecretStr

from adapters.web import media, pages
from adapters.web.access import Embeds
from adapters.web.assets import Assets
from adapters.web.feed import LiveFeed
from adapters.web.headers import FRAMED, SecurityHeaders
from adapters.web.health import Health, Members, Readiness
from adapters.web.links import SignedWatchLinks
from adapters.web.lookup import SessionLookup
from adapters.web.media import MediaFiles
from adapters.web.pages import PROXY_PREFIX, Pages
from adapters.web.requests import frame_request
from adapters.web.tickets import SignedTickets
from bot.core.audience import Audiences
from bot.core.bus import Cluster
from bot.core.embeds import EmbedHost
from bot.core.errors import EmbedUnavailable, LinkInvalid, StoreError
from bot.core.events import EventBus
from bot.core.pictures import PictureSources
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected
from bot.streams.page_bridge import PageBridge
from bot.supervision import Supervised

SHUTDOWN_TIMEOUT = 3.0
"""Seconds that requests under way have when the server stops."""

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_log = structlog.get_logger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's server log, without an error and a traceback for each request that is not HTTP: anybody may send those,
    as often as they like. aiohttp answers them with 400 by itself."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **others: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self.debug("a request is not HTTP: %s", type(exc_info).__name__)
        else:
            super().exception(msg, *args, exc_info=exc_info, **others)


class WebServer:
    """Serves the watch page and the health endpoints. `app` takes further routes until `start`."""

    def __init__(
        self,
        lookup: SessionLookup,
        event_bus: EventBus,
        audiences: Audiences,
        links: SignedWatchLinks,
        clock: Clock,
        *,
        host: str,
        port: int,
        media_sources: Sequence[str],
        image_sources: Sequence[str],
        readiness: Readiness,
        registry: CollectorRegistry,
        pictures: PictureSources,
        seats: PageBridge | None = None,
        embeds: Embeds | None = None,
        members: Members | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        """`port` 0 is any free one. `media_sources` and `image_sources` are CSP source expressions, see
        `SecurityHeaders`. `pictures` are the streams that are served here.

        `readiness` says for each part None or a short reason, `members` who shares the work. `seats` is where pages
        attach that carry a provider's rooms. `embeds` are the chat clients that can frame the page. `cluster`: the
        other processes that pages come to, and sessions belong to. Raises ValueError for a malformed media source.
        """
        # Without platforms no ticket is good, whoever signed it.
        embeds = embeds or Embeds(lookup, SignedTickets(SecretStr(secrets.token_urlsafe()), clock))
        self._links = links
        self._host = host
        self._port = port
        self._assets = Assets()
        self._pages = Pages(self._assets.version)
        self._feed = LiveFeed(lookup, event_bus, audiences, links, embeds, clock, seats or PageBridge(), cluster)
        self._health = Health(readiness, registry, members)
        self._registry = registry
        self._requests = Counter(
            "avatar_relay_web_requests",
            "HTTP requests answered, by route and status",
            ["route", "status"],
            registry=None,
        )
        self._viewers = Gauge("avatar_relay_web_viewers", "Watch pages connected now", registry=None)
        self._viewers.set_function(lambda: len(self._feed))
        self._runner: web.AppRunner | None = None
        self._work: list[asyncio.Task[None]] = []
        self._headers = SecurityHeaders(media_sources, image_sources)
        self._media = MediaFiles(links, embeds, pictures)
        self._embeds = embeds
        self.app = self._make_app()

    async def start(self) -> str:
        """Listen, and return the local base URL without a last slash. Raises OSError if the port is not available."""
        runner = web.AppRunner(
            self.app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
            logger=_ServerLog(server_logger, {}),
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._registry.register(self._requests)
        self._registry.register(self._viewers)
        self._runner = runner
        for part, work in self._feed.jobs:
            supervised = Supervised(part, work, self._feed.clock)
            self._work.append(asyncio.create_task(supervised.run(), name=part))
        host, port = runner.addresses[0][:2]
        host = _LOOPBACK.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Close every connection and stop listening, within a few seconds. Harmless when not started."""
        for task in self._work:
            task.cancel()
        if self._work:
            await asyncio.wait(self._work)
            self._work.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            # The registry outlives the server: the next one counts from the start under the same names.
            self._registry.unregister(self._requests)
            self._registry.unregister(self._viewers)

    async def __aenter__(self) -> "WebServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._answer])
        app.on_response_prepare.append(self._headers)
        app.on_shutdown.append(self._close_connections)
        app.router.add_get(media.ROUTE, self._media.serve, allow_head=False)  # first, as it is asked for most
        app.router.add_get("/w/{signed}", self._watch)
        app.router.add_get("/w/{signed}/live", self._connect, allow_head=False)
        for prefix in ("", PROXY_PREFIX):
            app.router.add_get(f"{prefix}/embed/{{ticket}}/live", self._connect_frame, allow_head=False)
            app.router.add_get(prefix + media.FRAMED_ROUTE, self._media.serve_framed, allow_head=False)
            app.router.add_get(f"{prefix}/static/{{version}}/{{name:.+}}", self._assets.serve)
            for host in self._embeds.hosts:
                app.router.add_get(prefix + host.path, partial(self._frame, host), allow_head=False)
        app.router.add_get("/healthz", self._health.healthz)
        app.router.add_get("/readyz", self._health.readyz)
        app.router.add_get("/metrics", self._health.metrics)
        return app

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        try:
            nonce = self._links.nonce_of(request.match_info["signed"])
        except LinkInvalid as invalid:
            make = pages.link_expired if invalid.why == "expired" else pages.link_unknown
            return make(self._pages, request)
        rooms = await self._feed.rooms(nonce)
        if rooms is None:
            return pages.link_revoked(self._pages, request)
        policy = self._headers.policy(request.headers.get("Host", ""), rooms)
        return self._pages.watch(request, rooms, policy)

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        if not self._feed.is_same_origin(request):
            return pages.wrong_origin(self._pages, request)
        return await self._feed.serve_link(request)

    async def _connect_frame(self, request: web.Request) -> web.StreamResponse:
        if not self._feed.is_framed_origin(request):
            return pages.wrong_origin(self._pages, request)
        return await self._feed.serve_frame(request)

    async def _frame(self, host: EmbedHost, request: web.Request) -> web.StreamResponse:
        """The page in a frame of a chat client, or the page that says why not."""
        request[FRAMED] = host
        try:
            if (frame := await host.open(frame_request(request))) is None:
                del request[FRAMED]
                return pages.not_found(self._pages, request)
        except LinkInvalid as invalid:
            make = pages.frame_used if invalid.why == "used" else pages.frame_over
            return make(self._pages, request)
        except EmbedUnavailable as error:
            _log.warning("frame_not_opened", error=str(error))
            return pages.busy(self._pages, request)
        ticket = self._embeds.tickets.make(host.name, frame.claim, frame.lifetime)
        return self._pages.framed(request, host.name, ticket, frame.facts)

    async def _close_connections(self, _app: web.Application) -> None:
        await self._feed.close_all()

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer a request, with an error page if it fails, and count it."""
        response = await self._with_error_pages(request, handler)
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        self._requests.labels(route, response.status).inc()
        return response

    async def _with_error_pages(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            return pages.not_found(self._pages, request, error.status)
        except StoreError as error:
            _log.warning("page_not_served", error=str(error))
            return pages.busy(self._pages, request)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001  the boundary of a request: logged, and told with a reference
            reference = report_unexpected("request_failed", error)
            return pages.broken(self._pages, request, reference)
