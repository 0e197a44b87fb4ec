"""Who has said what and when: a `Witness` between one program and the avatar service."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import aiohttp
from aiohttp import web

from tests.scenario.echoing_gateway import _passed

STREAMS = "/v3/avatar-realtime"
"""Where a stream is created, with its first words; further ones go to `/STREAM/text` below it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that has reached the service whole. at: seconds since 1970. is_taken: it was not refused."""

    at: float
    program: str
    stream: str
    text: str
    is_taken: bool


class Witness:
    """Stands between one program and the avatar service, and notes each text."""

    def __init__(self, program: str, service: str, noted: list[Piece], host: str) -> None:
        """`host`: the address of this machine to listen at."""
        self._program, self._service, self._noted, self._host = program, service, noted, host
        self.url = ""

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=1 << 25)
        app.router.add_route("*", "/{rest:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        await self._runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        at = time.time()
        path = request.raw_path
        async with self._client.request(
            request.method, self._service + path, headers=_passed(request.headers), data=body, allow_redirects=False
        ) as answer:
            if request.method == "POST" and (path == STREAMS or path.endswith("/text")):
                said = json.loads(body)
                is_taken, stream = answer.status < 300, path.removeprefix(f"{STREAMS}/").partition("/")[0]
                if path == STREAMS and is_taken:
                    stream = (await answer.json())["data"]["stream_id"]
                text = str(said.get("delta") or said.get("text") or "")
                self._noted.append(Piece(at, self._program, stream, text, is_taken))
            passed = web.StreamResponse(status=answer.status, headers=_passed(answer.headers))
            with suppress(ConnectionError):
                await passed.prepare(request)
                if answer.closed:
                    # Read above.
                    await passed.write(await answer.read())
                async for chunk in answer.content.iter_any():
                    await passed.write(chunk)
            return passed
