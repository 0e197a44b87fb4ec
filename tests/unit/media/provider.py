"""A provider's HLS on this machine that does as a test tells it, over real HTTP."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """Serves `files` by path, unless `answers` has something else to do. `requests` counts by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Answer] = {}
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def show(self, first: int, count: int, *, over: bool = False) -> None:
        """The playlist lists `count` segments from `first` on, one second each, and they are there."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        lines.append('#EXT-X-MAP:URI="init.mp4"')
        self.files["/init.mp4"] = b"init"
        for number in range(first, first + count):
            lines += ["#EXTINF:1.0,", f"{number}.m4s?token=secret"]
            self.files[f"/{number}.m4s"] = b"segment %d" % number
        self.files["/stream.m3u8"] = "\n".join([*lines, *(["#EXT-X-ENDLIST"] if over else [])]).encode()

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] += 1
        self.headers.append(dict(request.headers))
        if (answer := self.answers.get(request.path)) is not None:
            return await answer(request)
        if (body := self.files.get(request.path)) is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type="text/html")


async def stall(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def go_on_forever(request: web.Request) -> web.StreamResponse:
    """Answer without an end, and without saying how long it is."""
    response = web.StreamResponse()
    await response.prepare(request)
    line = b"#EXTINF:1.0,\n1.m4s\n" * 4096
    await response.write(b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n")
    while True:
        await response.write(line)


async def announce_two_gigabytes(request: web.Request) -> web.StreamResponse:
    """Say that 2 GB come, and begin."""
    response = web.StreamResponse()
    response.content_length = 2 << 30
    await response.prepare(request)
    await response.write(b"\0" * 65536)
    await asyncio.Event().wait()
    raise AssertionError


def lead_to(url: str) -> Answer:
    """Redirect."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": url})

    return answer
