"""The simulator as one HTTP server: routing, faults, life cycle.

A bare aiohttp server with a dictionary instead of an application, because benchmarks post thousands of tasks per second
at it. What the APIs say and do is in their own modules.
"""

import asyncio
import logging
import re
from types import TracebackType
from typing import Self

from aiohttp import web

from adapters.simulator.accounts import Account
from adapters.simulator.catalogue import LOOK_BY_ID, picture_of
from adapters.simulator.control import Control
from adapters.simulator.faults import Effect, Fault, Faults
from adapters.simulator.heygen_v1 import wire as v1_wire
from adapters.simulator.heygen_v1.api import V1Api
from adapters.simulator.heygen_v1.catalogue import V1Catalogue
from adapters.simulator.heygen_v3 import wire as v3_wire
from adapters.simulator.heygen_v3.api import V3Api
from adapters.simulator.heygen_v3.catalogue import V3Catalogue
from adapters.simulator.liveavatar import wire as liveavatar_wire
from adapters.simulator.liveavatar.routes import PATHS as LIVEAVATAR_PATHS
from adapters.simulator.liveavatar.routes import LiveAvatar
from adapters.simulator.llm.chat import ChatApi
from adapters.simulator.meter import Meter, read_meter
from adapters.simulator.options import SimulatorOptions
from adapters.simulator.rooms.livekit import LiveKitRooms
from adapters.simulator.rooms.websocket import SocketRooms
from adapters.simulator.service import Service
from adapters.simulator.streams import Streams, StreamView
from adapters.simulator.video.hls import Hls
from adapters.simulator.wire import Handler, Refused, reply
from bot.core.ports import Clock

log = logging.getLogger(__name__)

_CONTROL = ("/simulator/meter", "/simulator/streams", "/simulator/faults")
_STREAM = re.compile(r"/v3/avatar-realtime/([^/]+)(?:/([a-z]+))?")
_V1_PATHS = ("/v1/streaming", "/v2/streaming", "/v1/voice", "/v2/voices", "/v2/user/")
_DRAIN_TIMEOUT = 0.05
"""Seconds of the machine's clock that an answer in progress gets when the server stops."""


class Simulator:
    """HeyGen's Streaming v1 and Avatar Realtime v3 and LiveAvatar on one local port, with a meter, faults, real video.

    Time comes from `clock` alone. `faults` makes requests go wrong.
    """

    def __init__(self, options: SimulatorOptions, clock: Clock) -> None:
        """Nothing listens before `start`. Raises `SettingsError` for a LiveKit server without the package for it."""
        streams = Streams(options.kept_closed)
        self.options = options
        self.faults = Faults()
        self._clock = clock
        self._service = Service(options, clock, streams, Account(options, streams), options.v1_sunset)
        self._v1, self._v3, self._hls = V1Api(self._service), V3Api(self._service), Hls(self._service)
        self._v3_catalogue = V3Catalogue(self._service)
        sockets = SocketRooms(self._service)
        self._service.rooms = (
            sockets if options.livekit is None else (LiveKitRooms(options.livekit, avatar_comes=options.avatar_comes))
        )
        liveavatar = LiveAvatar(self._service)
        self._routes: dict[tuple[str, str], Handler] = {
            **self._v1.routes,
            **V1Catalogue(self._service, self._v1).routes,
            **self._v3.routes,
            **self._v3_catalogue.routes,
            **liveavatar.routes,
            **ChatApi(self._service).routes,
            **Control(self._service, self.faults).routes,
        }
        self._prefixes: tuple[tuple[str, Handler], ...] = (
            ("/simulator/hls/", self._hls.serve),
            ("/simulator/rooms/", sockets.join),
            ("/simulator/pictures/", _picture),
            ("/v3/avatars/looks/", self._v3_catalogue.look),
            ("/v3/voices/", self._v3_catalogue.voice),
        )
        self._patterns = ((_STREAM, self._v3.stream_routes), *liveavatar.patterns)
        self._methods: dict[str, set[str]] = {}
        for method, path in self._routes:
            self._methods.setdefault(path, set()).add(method)
        self._runner: web.ServerRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the address without a path. Port 0 is any free one.

        Raises OSError when the port is taken or the host is not this machine's.
        """
        if self._runner is not None:
            raise RuntimeError("the simulator is already running")
        server = web.Server(self._answer, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=_DRAIN_TIMEOUT)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise OSError(
                error.errno, f"the simulator cannot listen on {host} port {port}: {error.strerror}"
            ) from error
        self._runner = runner
        bound = runner.addresses[0][1]
        shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        self._service.address = f"http://{shown}:{bound}"
        return self._service.address

    async def stop(self) -> None:
        """End every stream, drop every timer and every connection. Harmless when it does not run."""
        for stream in self._service.streams:
            stream.end("simulator stopped")
        await self._service.rooms.stop()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        """Start on a free local port, unless it runs already."""
        if self._runner is None:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def address(self) -> str:
        """Where it listens, without a path; empty before the start."""
        return self._service.address

    @property
    def sunset(self) -> bool:
        """Whether the v1 API is switched off."""
        return self._service.sunset

    @sunset.setter
    def sunset(self, is_off: bool) -> None:
        self._service.sunset = is_off

    def meter(self) -> Meter:
        """What is open and what it costs so far."""
        return read_meter(self._service.streams)

    def streams(self) -> list[StreamView]:
        """Every stream that is known, the oldest first, with what it said."""
        return [stream.view() for stream in self._service.streams]

    def drop_stream(self, stream_id: str, message: str = "The simulator dropped this stream on request.") -> None:
        """The service ends a stream with an error. Raises KeyError for an unknown id."""
        stream = self._service.streams.get(stream_id)
        if stream is None:
            raise KeyError(stream_id)
        stream.fail(message)

    def move_avatar(self, stream_id: str, *, is_here: bool) -> None:
        """The avatar leaves the room of a stream, or comes back. Raises KeyError for one that has no room."""
        self._service.rooms.move_avatar(stream_id, is_here=is_here)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        latency, fault = (0.0, None) if path in _CONTROL else self.faults.take(request.method, path)
        latency += self.options.latency
        if latency:
            await self._clock.sleep(latency)
        if fault is not None:
            return await self._go_wrong(request, fault)
        return await self._work(request)

    async def _work(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            handler, id_in_path = self._route(request)
            return await handler(request, id_in_path)
        except Refused as refused:
            return reply(refused.body, refused.status, refused.headers)
        except web.HTTPRequestEntityTooLarge:
            too_large = _refusal_for(request.path, 413, "payload_too_large", "The body is too large.")
            return reply(too_large.body, too_large.status)

    def _route(self, request: web.BaseRequest) -> tuple[Handler, str]:
        method, path = request.method, request.path
        handler = self._routes.get((method, path))
        if handler is not None:
            return handler, ""
        for pattern, routes in self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            handler = routes.get((method, found[2] or ""))
            if handler is not None:
                return handler, found[1]
            if any(rest == (found[2] or "") for _, rest in routes):
                raise _refusal_for(path, 405, "method_not_allowed", "Method not allowed.")
        for prefix, served in self._prefixes:
            if path.startswith(prefix):
                if method not in ("GET", "HEAD"):
                    raise _refusal_for(path, 405, "method_not_allowed", "Method not allowed.")
                return served, path.removeprefix(prefix)
        if self._service.sunset and path.startswith(_V1_PATHS):
            raise v1_wire.sunset()
        if path in self._methods:
            raise _refusal_for(path, 405, "method_not_allowed", "Method not allowed.")
        raise _refusal_for(path, 404, "not_found", "There is nothing at this path.")

    async def _go_wrong(self, request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
        log.info("fault %s hits %s %s", fault.effect.value, request.method, request.path)
        if fault.effect is Effect.CUT_AFTER:
            return await self._cut_after(request, fault.seconds)
        if fault.after_work:
            await self._work(request)
        match fault.effect:
            case Effect.LOST_REPLY | Effect.REFUSED_BEFORE:
                _cut(request)
                return web.Response()
            case Effect.GARBAGE:
                return web.Response(
                    body=b"<html>502 this is not the JSON you are looking for", content_type="text/html"
                )
            case Effect.EMPTY:
                return web.Response(body=b"")
            case Effect.WRONG_TYPE:
                return reply({"code": "100", "message": None, "data": 42, "error": [], "has_more": "no"})
            case Effect.HANG:
                await asyncio.get_running_loop().create_future()
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after}"}
        if isinstance(fault.body, str):
            return web.Response(text=fault.body, status=fault.status, headers=headers)
        if fault.body is not None:
            return reply(fault.body, fault.status, headers)
        code = "rate_limit_exceeded" if fault.status == 429 else "internal_error"
        asked_for = _refusal_for(request.path, fault.status, code, "A fault that was asked for.")
        return reply(asked_for.body, fault.status, headers)

    async def _cut_after(self, request: web.BaseRequest, seconds: float) -> web.StreamResponse:
        timer = self._clock.call_later(seconds, lambda: _cut(request))
        try:
            return await self._work(request)
        finally:
            timer.cancel()


def _cut(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _refusal_for(path: str, status: int, code: str, message: str) -> Refused:
    """An error in the envelope of the API the path belongs to."""
    if path.startswith("/v1/chat"):
        return Refused(status, {"error": {"message": message, "type": "server_error", "param": None, "code": code}})
    if path.startswith(LIVEAVATAR_PATHS):
        return liveavatar_wire.refusal(message, status)
    if path.startswith("/v1/"):
        return v1_wire.refusal(status, message, status)
    if path.startswith("/v2/"):
        return Refused(status, {"error": {"code": code, "message": message}, "data": None})
    return v3_wire.refusal(status, code, message)


async def _picture(_: web.BaseRequest, name: str) -> web.Response:
    look = LOOK_BY_ID.get(name.removesuffix(".svg"))
    if look is None:
        raise v3_wire.refusal(404, "not_found", "No such picture.")
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=picture_of(look).encode(), headers={**headers, "Content-Type": "image/svg+xml"})
