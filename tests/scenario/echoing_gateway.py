"""Stands between the program and the services: notes the tokens they issue, and answers some requests with an error
page that repeats the credentials it was called with, as some gateways and proxies do.

Runs in a thread of its own, so that tests with and without an event loop can use it. It knows no service.
"""

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import escape
from typing import Self
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from tests.harness.programs import PATIENCE
from tests.scenario.secret_scan import JWT

TOKEN = re.compile(r'"(?:\w*token|\w*secret)"\s*:\s*"([^"]{8,})"')
TICKET = re.compile(r"[?&]ticket=([\w-]{8,})")
_CREDENTIALS = ("Authorization", "X-Api-Key")
_NOT_PASSED_ON = frozenset({"host", "connection", "content-length", "content-encoding", "transfer-encoding", "date"})


@dataclass(eq=False)
class Echo:
    """One request to be answered by an error that repeats its credentials, its query and its body."""

    method: str
    path: str
    status: int
    is_html: bool

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        said = [request.headers[name] for name in _CREDENTIALS if name in request.headers]
        bare = [credential.rpartition(" ")[2] for credential in said]
        words = " ".join([*said, *bare, "is not welcome", unquote(request.query_string), body.decode("latin-1")])
        if self.is_html:
            page = f"<html><title>{escape(words)}</title><p>{escape(words)}</p></html>"
            return web.Response(text=page, status=self.status, content_type="text/html")
        refusal = {"ok": False, "code": 50013, "error": words, "message": words, "data": None}
        # As `web.json_response`, without the charset: discord.py takes "application/json" and nothing else for JSON.
        return web.Response(body=json.dumps(refusal), status=self.status, headers={"Content-Type": "application/json"})


class EchoingGateway:
    """`http://.../NAME/rest` goes to the service of that name; one with nothing behind it gets errors only.

    url: where it listens. tokens: what the services have issued. refused: how many requests got an error.
    """

    def __init__(self, **services: str | None) -> None:
        """`services`: the address behind each name, None for nothing."""
        self._services = services
        self.tokens: set[str] = set()
        self.url = ""
        self.refused = 0
        self._asked: Counter[str] = Counter()
        self._echoes: list[Echo] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="echoing gateway")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def echo_next(self, method: str, path: str, *, status: int = 500, is_html: bool = False) -> Echo:
        """Answer the next request of `method` to `path` with such an error; `path` is a glob and begins with a name."""
        echo = Echo(method, path, status, is_html)
        self._echoes.append(echo)
        return echo

    def has_answered(self, echo: Echo) -> bool:
        """Whether the request has come."""
        return echo not in self._echoes

    def times(self, method: str, path: str) -> int:
        """How often `path` was asked for, exactly."""
        return self._asked[f"{method} {path}"]

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession()
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_route("*", "/{name}/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _close(self) -> None:
        await self._client.close()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._asked[f"{request.method} {request.path}"] += 1
        body = await request.read()
        service = self._services[request.match_info["name"]]
        echo = next((one for one in self._echoes if _is_for(one, request)), None)
        if service is not None and echo is None:
            return await self._pass_on(service, request, body)
        self.refused += 1
        if echo is None:
            return Echo("*", "*", 503, is_html=False).answer(request, body)
        self._echoes.remove(echo)
        return echo.answer(request, body)

    async def _pass_on(self, service: str, request: web.Request, body: bytes) -> web.StreamResponse:
        path = request.raw_path.removeprefix(f"/{request.match_info['name']}")
        async with self._client.request(
            request.method, service + path, headers=_passed(request.headers), data=body, allow_redirects=False
        ) as answer:
            # Words come as a stream of events, so nothing may wait for the end of an answer.
            passed = web.StreamResponse(status=answer.status, headers=_passed(answer.headers))
            await passed.prepare(request)
            text = ""
            with suppress(ConnectionError):
                async for chunk in answer.content.iter_any():
                    text += chunk.decode("latin-1")
                    await passed.write(chunk)
            self._note(text)
            return passed

    def _note(self, text: str) -> None:
        for kind in (TOKEN, TICKET, JWT):
            self.tokens.update(kind.findall(text))


def _is_for(echo: Echo, request: web.Request) -> bool:
    return echo.method in ("*", request.method) and fnmatchcase(request.path, echo.path)


def _passed(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON]
