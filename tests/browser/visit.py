"""One person's visit to the watch page: what they see, and everything the browser complained about."""

import asyncio
import re
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page

PATIENCE = 15.0
"""Seconds of the machine after which what should happen has not."""

KNOWN = "The AudioContext was not allowed to start"
"""livekit-client tries one before anybody has clicked, for the sake of iOS; the page's sound does not need it."""

WATCHER = """
window.deviceRequests = [];
window.violations = [];
for (const name of ["getUserMedia", "enumerateDevices", "getDisplayMedia"]) {
  if (!navigator.mediaDevices) break;
  navigator.mediaDevices[name] = () => {
    window.deviceRequests.push(name);
    return Promise.reject(new Error("none"));
  };
}
addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Visit:
    """A page in a context of its own."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self._context = context
        self.page = page
        self.complaints: list[str] = []
        self.device_requests: list[str] = []
        self.sockets = 0
        self.referrers: set[str] = set()
        self._expected: list[str] = [KNOWN]

    @classmethod
    async def open(cls, browser: Browser, url: str, *, script: str = "", **context: Any) -> "Visit":
        """Load `url`; `script` runs before the page's own."""
        opened = await browser.new_context(**context)
        await opened.add_init_script(WATCHER + script)
        page = await opened.new_page()
        visit = cls(opened, page)
        page.on("console", visit._note_console)
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("websocket", visit._note_socket)
        page.on("request", lambda request: visit.referrers.add(request.headers.get("referer", "")))
        await page.goto(url)
        return visit

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note_socket(self, _socket: object) -> None:
        self.sockets += 1

    def expect(self, complaint: str) -> None:
        """A complaint of the browser's that belongs to the test, as a regular expression."""
        self._expected.append(complaint)

    def unexpected(self) -> list[str]:
        """The complaints that do not."""
        return [text for text in self.complaints if not any(re.search(known, text) for known in self._expected)]

    async def close(self) -> None:
        self.device_requests += await self.page.evaluate("() => window.deviceRequests")
        self.complaints += await self.page.evaluate("() => window.violations")
        await self._context.close()

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page; `video` is the video element."""
        return await self.page.evaluate(
            f"() => {{ const video = document.querySelector('video'); return ({expression}); }}"
        )

    async def until(self, expression: str, patience: float = PATIENCE) -> None:
        """Wait until an expression is true. (Playwright's own wait needs eval, which the page's policy forbids.)"""
        try:
            async with asyncio.timeout(patience):
                while not await self._holds(expression):  # noqa: ASYNC110  the page has no event for this
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(f"never came true: {expression}; the page says:\n{await self.text()}") from None

    async def _holds(self, expression: str) -> bool:
        try:
            return bool(await self.ask(expression))
        except Error as error:
            if "because of a navigation" in error.message:  # the page loads itself again
                return False
            raise

    async def until_state(self, name: str) -> None:
        """Wait until the page is in this state. Before it hears of the end its player may ask for the picture again."""
        await self.until(f"document.body.dataset.state === '{name}'")
        if name == "ended":
            self.expect(r"\b404\b")

    async def until_playing(self) -> None:
        """Wait until the picture moves."""
        await self.until("video.currentTime > 0.2 && !video.paused && document.getElementById('overlay').hidden")

    async def text(self) -> str:
        """What is written on the page, as a person sees it."""
        return str(await self.ask("document.body.innerText"))

    async def captions(self) -> str:
        """What the captions say."""
        lines = await self.ask("[...document.getElementById('captions').children].map((line) => line.textContent)")
        return "\n".join(lines)

    async def picture(self, folder: Path, name: str) -> None:
        """Save what is to be seen."""
        await self.page.screenshot(path=folder / f"{name}.png")
