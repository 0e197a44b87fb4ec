"""Discord around the Activity, for a browser: its client as a page that frames it, and the proxy between the frame and
the bot. All under their real names, on one loopback port.

A browser that maps every name there (`--host-resolver-rules`) reaches nothing else. Which policy Discord's proxy adds
is not documented; what it does here was seen: embedded-app-sdk#63, discord-api-docs#7552.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Frame, Page

from tests.browser.visit import WATCHER, Visit
from tests.harness.tls import server_context

CLIENT = "https://discord.com"
MAPPED = "watch.example.com"
"""The host that the application's URL mapping names."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Discord</title>
<link rel="icon" href="data:,">
<style>
  body { margin: 0; background: #313338; color: #dbdee1; font: 16px system-ui; height: 100vh; display: flex; }
  nav { width: 15rem; padding: 1rem; background: #2b2d31; box-sizing: border-box; }
  main { flex: 1; display: flex; }
  iframe { flex: 1; border: 0; }
  @media (max-width: 40rem) { nav { display: none; } }
</style>
<nav><p># general</p></nav><main><iframe id="activity" src="%(src)s"></iframe></main>
<script>
const ORIGIN = new URL(document.getElementById("activity").src).origin;
const frame = document.getElementById("activity");
window.heard = [];
window.opened = [];
window.participants = %(participants)s;
const say = (content) => frame.contentWindow.postMessage([1, content], ORIGIN);
window.tell = (evt, data) => say({ cmd: "DISPATCH", evt, data, nonce: null });
addEventListener("message", ({ origin, source, data }) => {
  if (source !== frame.contentWindow) return;
  const [opcode, payload] = data;
  window.heard.push({ origin, opcode, payload });
  if (opcode === 0) {
    const user = { id: "1", username: "ana", discriminator: "0" };
    const config = { cdn_host: "cdn.discordapp.com", api_endpoint: "//discord.com/api", environment: "production" };
    return void window.tell("READY", { v: 1, config, user });
  }
  const { cmd, nonce, evt, args } = payload;
  const answer = (content) => say({ cmd, data: content, evt: null, nonce });
  if (cmd === "SUBSCRIBE") answer({ evt });
  else if (cmd === "GET_ACTIVITY_INSTANCE_CONNECTED_PARTICIPANTS") answer({ participants: window.participants });
  else if (cmd === "OPEN_EXTERNAL_LINK") { window.opened.push(args.url); answer({ opened: true }); }
  else say({ cmd, evt: "ERROR", nonce, data: { code: 4000, message: "Not allowed" } });
});
</script></html>"""


class DiscordWorld:
    """The client and the proxy. `target` is where the bot's web server is, without a last slash."""

    def __init__(self, folder: Path) -> None:
        self.target = ""
        self.application_id = 0
        self.participants = '[{"id": "1", "username": "ana", "global_name": "Ana", "bot": false}]'
        self.headers: dict[str, str] = {}
        """What the proxy adds to each request, such as its signature."""
        self.is_cut = False
        """Whether connections break off, and no request comes through."""
        self.strips_prefix = True
        """Whether `/.proxy` is taken off before the request goes on."""
        self.loses: tuple[str, ...] = ()
        """Headers of answers that do not come through."""
        self._tls = server_context(folder, _NAMES)
        self.certificate = folder / f"{_NAMES[0]}.pem"
        self.astray: list[str] = []
        """Requests that went to neither."""
        self.port = 0
        self._sockets: set[web.WebSocketResponse] = set()

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    @property
    def origin(self) -> str:
        """The frame's."""
        return f"https://{self.application_id}.discordsays.com"

    async def cut(self) -> None:
        """Break every connection; none comes about until `is_cut` is false again."""
        self.is_cut = True
        for socket in tuple(self._sockets):
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.host == "discord.com":
            return self._client(request)
        if request.host in (self.origin.removeprefix("https://"), MAPPED):
            return await self._pass_on(request)
        self.astray.append(f"{request.host}{request.path}")
        return web.Response(status=404)

    def _client(self, request: web.Request) -> web.Response:
        prefix = request.query.get("prefix", "/")
        query = f"instance_id={request.query['instance_id']}&frame_id=f-1&platform=desktop&launch_id=1"
        src = f"{self.origin}{prefix}?{query}".replace("&", "&amp;")
        page = _PAGE % {"src": src, "participants": self.participants}
        return web.Response(text=page, content_type="text/html")

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if self.is_cut:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        path = request.rel_url.raw_path
        if self.strips_prefix and path.startswith("/.proxy/"):
            path = path.removeprefix("/.proxy")
        url = f"{self.target}{path}"
        passed = {"Origin", "Accept-Encoding", "User-Agent"}
        headers = {name: value for name, value in request.headers.items() if name in passed}
        headers |= {"Host": MAPPED, **self.headers}
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._pass_socket(request, url, headers)
        async with self._session.get(url, params=request.query, headers=headers, allow_redirects=False) as answer:
            left = {name: value for name, value in answer.headers.items() if name not in _HOP}
            if answer.content_type == "text/html":
                left.pop("Cache-Control", None)
            response = web.Response(status=answer.status, body=await answer.read(), headers=left)
        for name, value in answer.headers.items():
            if name == "Content-Security-Policy":
                response.headers[name] = value
        if request.host != MAPPED:
            response.headers.add("Content-Security-Policy", self._policy)
        for name in self.loses:
            response.headers.popall(name, None)
        return response

    @property
    def _policy(self) -> str:
        own = self.origin.replace("https:", "wss:")
        return (
            "connect-src 'self' https://discord.com/api/ https://canary.discord.com/api/ https://cdn.discordapp.com/ "
            f"https://media.discordapp.net/ {own} data: blob:; worker-src 'none'; img-src 'self' data: blob: "
            "https://cdn.discordapp.com; frame-src 'self'"
        )

    async def _pass_socket(self, request: web.Request, url: str, headers: dict[str, str]) -> web.StreamResponse:
        try:
            upstream = await self._session.ws_connect(url.replace("http", "ws", 1), headers=headers)
        except aiohttp.WSServerHandshakeError as refused:
            return web.Response(status=refused.status)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)

        async def down() -> None:
            async for message in upstream:
                await socket.send_str(message.data)
            await socket.close(code=upstream.close_code or 1006)

        async def up() -> None:
            async for message in socket:
                await upstream.send_str(message.data)
            await upstream.close()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(down())
                group.create_task(up())
        except* (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            self._sockets.discard(socket)
            await upstream.close()
        return socket


_NAMES = ("discord.com", "*.discordsays.com", MAPPED)
_HOP = {"Content-Length", "Transfer-Encoding", "Connection", "Date", "Server", "Content-Security-Policy"}


class FramedVisit(Visit):
    """Somebody in front of Discord's client with the Activity in it."""

    def __init__(self, context: BrowserContext, page: Page, origin: str) -> None:
        super().__init__(context, page)
        self._origin = origin

    @classmethod
    async def launch(
        cls, browser: Browser, world: DiscordWorld, instance_id: str, *, prefix: str = "/", **context: Any
    ) -> "FramedVisit":
        """Open Discord with the Activity."""
        opened = await browser.new_context(ignore_https_errors=True, **context)
        await opened.add_init_script(WATCHER)
        page = await opened.new_page()
        visit = cls(opened, page, world.origin)
        page.on("console", visit._note_console)
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        await page.goto(f"{CLIENT}/channels/1/2?instance_id={instance_id}&prefix={prefix}")
        return visit

    @property
    def frame(self) -> Frame:
        """The Activity."""
        return next(frame for frame in self.page.frames if frame.url.startswith(self._origin))

    async def ask(self, expression: str) -> Any:
        """The value of an expression in the frame."""
        return await self.frame.evaluate(
            f"() => {{ const video = document.querySelector('video'); return ({expression}); }}"
        )

    async def heard(self) -> list[dict[str, Any]]:
        """What the page has said to the client: origin, opcode, payload."""
        found: list[dict[str, Any]] = await self.page.evaluate("() => window.heard")
        return found

    async def close(self) -> None:
        with contextlib.suppress(StopIteration):
            self.device_requests += await self.frame.evaluate("() => window.deviceRequests")
            self.complaints += await self.frame.evaluate("() => window.violations")
        await self._context.close()


@contextlib.asynccontextmanager
async def discord_world(folder: Path) -> AsyncIterator[DiscordWorld]:
    """Discord, while the block runs."""
    world = DiscordWorld(folder)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
