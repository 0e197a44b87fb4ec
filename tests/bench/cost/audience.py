"""People who watch: pages that are open over real WebSockets, when somebody had one open, and two models of who comes
and when.

A page does what a browser's does as far as a bill can tell: it connects, names itself, and plays the stream it is told
of, whose playlist it fetches once for each stream.
"""

import asyncio
import json
import random
from collections.abc import Callable
from functools import partial
from typing import Protocol

import aiohttp

from bot.core.ports import Clock
from bot.core.tasks import TaskSet


class WatchPages:
    """The pages that are open. `watched`: from when to when there was one at least, UTC epoch seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._client = aiohttp.ClientSession()
        self._tasks = TaskSet()
        self._open = 0
        self._opened = 0
        self._since = 0.0
        self.watched: list[tuple[float, float]] = []

    @property
    def is_watched(self) -> bool:
        """Whether one is open that shows a session."""
        return self._open > 0

    async def open(self, link: str, seconds: float | None = None) -> None:
        """Open the page behind a link, and return once it shows something. It is left after `seconds`, or when the
        session ends."""
        shown = asyncio.Event()
        self._opened += 1
        page = self._tasks.create_task(self._show(link, f"visitor-{self._opened:012}", shown), name="watch page")
        page.add_done_callback(lambda _: shown.set())
        if seconds is not None:
            self._clock.call_later(seconds, partial(_cancel, page))
        await shown.wait()

    async def close(self) -> None:
        """Leave every page."""
        await self._tasks.close()
        await self._client.close()

    async def _show(self, link: str, visitor: str, shown: asyncio.Event) -> None:
        origin = link.partition("/w/")[0]
        played = None
        async with self._client.ws_connect(f"{link}/live", headers={"Origin": origin}) as socket:
            await socket.send_json({"type": "visit", "visitor": visitor, "plays": False})
            try:
                async for frame in socket:
                    told = json.loads(frame.data)
                    if told["type"] != "session" or told["phase"] == "ended":
                        continue
                    if not shown.is_set():
                        shown.set()
                        self._come()
                    if told["hls_url"] not in (None, played):
                        played = told["hls_url"]
                        await self._play(played)
            finally:
                if shown.is_set():
                    self._go()

    async def _play(self, playlist: str) -> None:
        async with self._client.get(playlist) as answer:
            await answer.read()

    def _come(self) -> None:
        self._open += 1
        if self._open == 1:
            self._since = self._clock.now().timestamp()

    def _go(self) -> None:
        self._open -= 1
        if self._open == 0:
            self.watched.append((self._since, self._clock.now().timestamp()))


class Audience(Protocol):
    """Who opens the page, and when."""

    async def notice(self, seed: str, *, starts: bool) -> None:
        """Somebody wrote, and `starts` an avatar with that; the channel sees its link."""

    async def close(self) -> None:
        """Nobody comes any more."""


class AlwaysThere:
    """Somebody opens the page the moment there is a link, and stays as long as the session."""

    def __init__(self, pages: WatchPages, clock: Clock, link: Callable[[], str | None]) -> None:
        del clock
        self._pages = pages
        self._link = link

    async def notice(self, seed: str, *, starts: bool) -> None:
        del seed, starts
        if not self._pages.is_watched and (link := self._link()) is not None:
            await self._pages.open(link)

    async def close(self) -> None:
        await self._pages.close()


class ComingAndGoing:
    """Somebody opens the page some time after a message, for a while. The same people come in every run, whatever the
    avatar does meanwhile. All figures are our choice: no record of viewers is known to us.

    Who starts an avatar wants to see it: 9 of 10 open the page 3 to 20 s later. Every message brings somebody else in 1
    of 5 cases, 5 s to 3 min later (as likely early as late on a scale of orders of magnitude: most come soon, some much
    later). How long they stay is exponential, 10 s at least: 5 min on average for who started it, 2 min for who looks
    in.
    """

    STARTER, READER = 0.9, 0.2
    STARTER_COMES, READER_COMES = (3.0, 20.0), (5.0, 180.0)
    STARTER_STAYS, READER_STAYS, LEAST = 300.0, 120.0, 10.0

    def __init__(self, pages: WatchPages, clock: Clock, link: Callable[[], str | None]) -> None:
        self._pages = pages
        self._clock = clock
        self._link = link
        self._tasks = TaskSet()

    async def notice(self, seed: str, *, starts: bool) -> None:
        chance = random.Random(f"audience of {seed}")
        is_starter, is_reader = chance.random() < self.STARTER, chance.random() < self.READER
        starter_at = chance.uniform(*self.STARTER_COMES)
        soonest, latest = self.READER_COMES
        reader_at = soonest * (latest / soonest) ** chance.random()
        starter_for, reader_for = (
            max(self.LEAST, chance.expovariate(1 / mean)) for mean in (self.STARTER_STAYS, self.READER_STAYS)
        )
        if starts and is_starter:
            self._come(starter_at, starter_for)
        if is_reader:
            self._come(reader_at, reader_for)

    def _come(self, later: float, seconds: float) -> None:
        self._clock.call_later(later, partial(self._begin_to_look, seconds))

    def _begin_to_look(self, seconds: float) -> None:
        self._tasks.create_task(self._look(seconds), name="somebody looks in")

    async def _look(self, seconds: float) -> None:
        """Open what the channel's last link leads to; where nothing is on any more, there is nothing to look at."""
        if (link := self._link()) is not None:
            await self._pages.open(link, seconds)

    async def close(self) -> None:
        await self._tasks.close()
        await self._pages.close()


AUDIENCES: dict[str, Callable[[WatchPages, Clock, Callable[[], str | None]], Audience]] = {
    "always": AlwaysThere,
    "come and go": ComingAndGoing,
}


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
