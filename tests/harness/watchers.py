"""People who keep the watch pages of channels open over whatever happens to the program, as browsers do: each page
connects again until its session is over, and then to the next one.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

from adapters.web import SignedWatchLinks
from bot.core.ports import Clock

SECRET = SecretStr("a secret of the watch pages of tests")
PUBLIC_URL = "https://watch.example.com"
SETTINGS = {"WEB_PUBLIC_URL": PUBLIC_URL, "WEB_SECRET": SECRET.get_secret_value()}
"""Variables of a program whose pages can be opened here."""

AGAIN = 0.05
"""Seconds of the machine until a page tries again."""


@dataclass
class Visit:
    """When a page was opened, and closed for good; seconds on the clock."""

    came_at: float
    left_at: float | None = None


class Watchers:
    """The pages that are open. nonce_of: the link of a channel's open session, None where there is none."""

    def __init__(
        self,
        clock: Clock,
        programs_clock: Clock,
        lifetime: float,
        address: Callable[[], str | None],
        nonce_of: Callable[[str], str | None],
    ) -> None:
        """`clock`: everybody's; `programs_clock`: the program's, which may have been set. `lifetime`: how long its
        links live, seconds. `address`: where it serves its pages now, None while it does not."""
        self._clock = clock
        self._programs_clock = programs_clock
        self._lifetime = lifetime
        self._address = address
        self._nonce_of = nonce_of
        self._pages: dict[str, asyncio.Task[None]] = {}
        self.visits: dict[str, list[Visit]] = {}

    def come(self, channel: str) -> None:
        """Somebody opens the page of a channel, and leaves it open."""
        if channel not in self._pages:
            self.visits.setdefault(channel, []).append(Visit(self._clock.now().timestamp()))
            self._pages[channel] = asyncio.create_task(self._stay(channel))

    async def leave(self, channel: str) -> None:
        """They close it."""
        if (page := self._pages.pop(channel, None)) is not None:
            page.cancel()
            await asyncio.wait([page])
            self.visits[channel][-1].left_at = self._clock.now().timestamp()

    async def leave_all(self) -> None:
        for channel in tuple(self._pages):
            await self.leave(channel)

    def were_there(self, channel: str, since: float, until: float) -> bool:
        """Whether somebody had the page of a channel open between two moments."""
        return any(
            visit.came_at <= until and (visit.left_at is None or visit.left_at >= since)
            for visit in self.visits.get(channel, [])
        )

    async def _stay(self, channel: str) -> None:
        async with aiohttp.ClientSession() as client:
            while True:
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._watch(client, channel)
                await asyncio.sleep(AGAIN)

    async def _watch(self, client: aiohttp.ClientSession, channel: str) -> None:
        address, nonce = self._address(), self._nonce_of(channel)
        if address is None or nonce is None:
            return
        link = SignedWatchLinks(SECRET, address, self._lifetime, self._programs_clock).url(nonce)
        async with client.ws_connect(f"{link}/live", headers={"Origin": PUBLIC_URL}) as page:
            async for _ in page:
                pass
