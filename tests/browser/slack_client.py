"""What Slack's client is to a page in its side pane: a page at app.slack.com with a sandboxed frame. The names are the
real ones, found on this machine; nothing leaves it."""

import html
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Frame, Page, Playwright

from tests.browser.visit import WATCHER, Visit
from tests.fakes.slack import Details, Message
from tests.harness.tls import TlsFront, server_context
from tests.pictures import SLACK, slack_message

CLIENT = "app.slack.com"
EVIL = "evil.example.com"

LOOKS = """
body { padding: 0; height: 100vh; display: grid; grid-template-columns: 1fr var(--pane); grid-template-rows: 100% }
.talk { padding: 16px 20px; border-right: 1px solid #ddd; overflow: hidden }
.talk h2 { font-size: 18px; margin: 0 0 16px }
.pane { display: grid; grid-template-rows: auto 1fr auto; min-width: 0 }
.pane h2 { font-size: 16px; margin: 0; padding: 12px 16px; border-bottom: 1px solid #ddd }
.said { margin: 14px 0 0 }
.card { border: 1px solid #ddd; border-radius: 8px; padding: 10px 14px; max-width: 360px; margin-top: 12px }
.card small, .facts { color: #616061 }
.facts { margin: 0; padding: 10px 16px; border-top: 1px solid #ddd; white-space: pre-line }
iframe { border: 0; width: 100%; height: 100% }
"""


def client_page(details: Details, sandbox: str, width: int) -> str:
    """The client, with what the app has presented in its side pane."""
    source = html.escape(details.preview_url or "", quote=True)
    card = details.entity["entity_payload"]["attributes"]
    title, facts = html.escape(details.title), html.escape(details.shown)
    frame = f'<iframe sandbox="{sandbox}" src="{source}" title="{title}"></iframe>' if source else "<div></div>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Slack</title><link rel="icon" href="data:,">'
        f"<style>body {{ --pane: {width}px }}{SLACK}{LOOKS}</style>"
        f'<body><section class="talk"><h2># {html.escape(details.message.channel.name)}</h2>'
        f'<div id="panel">{slack_message(details.message.blocks)}</div>'
        f'<div class="card"><b>{title}</b><br><small>{card["display_type"]}</small></div>'
        '<p class="said"><span class="name">ana</span><br>@Avatar Good morning, everybody.</p></section>'
        f'<section class="pane"><h2>{title}</h2>{frame}<p class="facts">{facts}</p></section>'
    )


class FrameVisit(Visit):
    """What a person sees in the side pane's frame."""

    def __init__(self, context: BrowserContext, page: Page, frame: Frame) -> None:
        super().__init__(context, page)
        self.frame = frame

    async def ask(self, expression: str) -> Any:
        return await self.frame.evaluate(
            f"() => {{ const video = document.querySelector('video'); return ({expression}); }}"
        )

    async def close(self) -> None:
        await self._context.close()

    async def photograph(self, message: Message, path: Path) -> None:
        """Save what is to be seen, with the panel as it is now."""
        panel = slack_message(message.blocks)
        await self.page.evaluate("(panel) => { document.getElementById('panel').innerHTML = panel; }", panel)
        await self.page.screenshot(path=path)


class SlackClient:
    """A browser with Slack's client in it, and the bot's page behind HTTPS at the operator's name."""

    def __init__(self, playwright: Playwright, chromium: str, arguments: list[str], folder: Path, bot: str) -> None:
        """`bot`: where the bot's web server listens."""
        self._playwright = playwright
        self._chromium = chromium
        self._arguments = arguments
        self._folder = folder
        port = urlsplit(bot).port
        assert port is not None
        self._front = TlsFront(server_context(folder, ["watch.example.com"]), port)
        self._shown = ""
        self._runner: web.AppRunner | None = None
        self._browser: Browser | None = None

    async def __aenter__(self) -> Self:
        await self._front.__aenter__()
        application = web.Application()
        application.router.add_get("/", self._show)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(
            self._runner, "127.0.0.1", 0, ssl_context=server_context(self._folder, [CLIENT, EVIL])
        ).start()
        port = self._runner.addresses[0][1]
        found = ", ".join(
            [f"MAP watch.example.com 127.0.0.1:{self._front.port}"]
            + [f"MAP {name} 127.0.0.1:{port}" for name in (CLIENT, EVIL)]
            + ["MAP * ~NOTFOUND"]
        )
        self._browser = await self._playwright.chromium.launch(
            executable_path=self._chromium, args=[*self._arguments, f"--host-resolver-rules={found}"]
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._browser is not None
        assert self._runner is not None
        await self._browser.close()
        await self._runner.cleanup()
        await self._front.__aexit__()

    async def open(
        self, details: Details, *, sandbox: str = "allow-scripts", host: str = CLIENT, pane: int = 440, **context: Any
    ) -> FrameVisit:
        """The side pane of somebody who clicked, `pane` pixels wide."""
        assert self._browser is not None
        self._shown = client_page(details, sandbox, pane)
        opened = await self._browser.new_context(ignore_https_errors=True, **context)
        await opened.add_init_script(WATCHER)
        page = await opened.new_page()
        complaints: list[str] = []

        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complaints.append(f"{message.text} {message.location['url']}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"https://{host}/")
        visit = FrameVisit(opened, page, page.frames[-1])
        visit.complaints = complaints
        return visit

    def cut(self) -> None:
        """Every connection to the bot breaks."""
        self._front.cut()

    async def _show(self, _: web.Request) -> web.Response:
        return web.Response(text=self._shown, content_type="text/html")
