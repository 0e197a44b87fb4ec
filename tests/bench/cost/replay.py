"""One bot that lives through recorded days: real core, store, provider client and watch page, the simulator over real
HTTP, and a clock that jumps from one moment at which something is due to the next (`tests.harness.settle`).

Left out are the periodic jobs, which look at the database every second and change nothing here, and the heartbeats of
the watch page.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import stamina
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from adapters.avatars.heygen_realtime.provider import HeyGenRealtime
from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from adapters.avatars.liveavatar.provider import LiveAvatar
from adapters.simulator import Effect, Simulator
from adapters.simulator.liveavatar.catalogue import DEMO_CONTEXT
from adapters.web import SignedWatchLinks, WebServer
from bot.commands.parser import AVATAR, CommandContext, parse
from bot.core.errors import Refused
from bot.core.models import Channel
from bot.core.policy import SessionPolicy
from bot.core.ports import Clock, Timer
from bot.relay import Message
from bot.settings import RelayMode
from bot.store.store import Store
from bot.streams.page_bridge import seats_of
from bot.wiring import Core, CoreOptions, build_core
from tests.bench.cost.audience import AUDIENCES, Audience, WatchPages
from tests.bench.cost.bill import Bill, read_bill
from tests.bench.cost.recorded import Day, Posted
from tests.bench.cost.ways import OPENING, Way, service_for
from tests.builders import an_actor
from tests.harness.blank_database import make_database
from tests.harness.clock import ManualClock
from tests.harness.settle import wait_loop_idle, watch_work_elsewhere

CHANNEL = Channel("bench", "workspace", "general")
SOMEBODY = an_actor("Somebody")

BETWEEN_DAYS = 60.0
"""Seconds from the end of the last session of a day to the next day."""

CLIENTS: dict[str, Any] = {
    "heygen-realtime": HeyGenRealtime,
    "heygen-streaming": HeyGenStreaming,
    "liveavatar": partial(LiveAvatar, context_id=DEMO_CONTEXT),
}

STARTING = {"heygen-streaming": "/v1/streaming.start", "liveavatar": "/v1/sessions/start"}
"""The call in which a room takes its time to open; v3 has a status for that instead."""


class PageClock:
    """The clock of the watch page, whose heartbeats and looks at old links never come: nobody waits for either here,
    and they would be most of what happens in a silent day."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def uptime(self) -> float:
        return self._clock.uptime()

    def call_later(self, seconds: float, callback: Any) -> Timer:
        return self._clock.call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.get_running_loop().create_future()


class Replay:
    """The bot, its service and its audience, through the days."""

    def __init__(self, core: Core, clock: ManualClock, simulator: Simulator, audience: Audience) -> None:
        self._core = core
        self._clock = clock
        self._simulator = simulator
        self._audience = audience
        self.accepted: list[tuple[float, str]] = []
        """When each message was taken, UTC epoch seconds, and its text."""

    async def live_through(self, day: Day) -> None:
        """Everybody writes what was written that day, when it was written. Returns when the last session is over."""
        dawn = self._clock.monotonic() + BETWEEN_DAYS
        for posted in day:
            await self._pass_until(dawn + posted.at)
            await self._write(posted)
        while self._core.sessions.in_channel(CHANNEL) is not None or self._simulator.meter().total.open:
            await self._pass_to_next()

    async def _write(self, posted: Posted) -> None:
        """Write a message, and start an avatar for it where there is none."""
        sessions = self._core.sessions
        while (running := sessions.in_channel(CHANNEL)) is not None and running.stop.is_set:
            await self._pass_to_next()
        if running is None:
            command = parse("start", self._core.commands.usages, AVATAR)
            await self._core.commands.run(CommandContext(command, CHANNEL, SOMEBODY))
        await self._audience.notice(posted.seed, starts=running is None)
        try:
            receipt = await self._core.relay.receive(Message(CHANNEL, SOMEBODY, posted.text, keys=(posted.seed,)))
        except Refused:
            return
        if receipt.utterance is None:
            raise RuntimeError(f"a message was ignored: {receipt.ignored}")
        self.accepted.append((self._clock.now().timestamp(), receipt.utterance.text))

    async def _pass_until(self, moment: float) -> None:
        await wait_loop_idle()
        while self._clock.jump_to_next(moment):
            await wait_loop_idle()

    async def _pass_to_next(self) -> None:
        await wait_loop_idle()
        if not self._clock.jump_to_next(self._clock.monotonic() + 86_400.0):
            raise RuntimeError("a session stays open and nothing is due")
        await wait_loop_idle()


@asynccontextmanager
async def replaying(
    folder: Path, provider: str, way: Way, audience: str
) -> AsyncIterator[tuple[Replay, Simulator, WatchPages]]:
    """A bot with an empty database in `folder`."""
    watch_work_elsewhere()
    clock = ManualClock()
    url = f"sqlite:///{folder / 'cost.sqlite3'}"
    async with AsyncExitStack() as stack:
        stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        simulator = await stack.enter_async_context(Simulator(service_for(way), clock))
        if provider in STARTING:
            simulator.faults.add(Effect.LATENCY, path=STARTING[provider], seconds=OPENING, times=None)
        await make_database(url)
        store = await stack.enter_async_context(await Store.open(url, clock))
        client = await stack.enter_async_context(CLIENTS[provider](simulator.options.api_key, simulator.address, clock))
        policy = way(SessionPolicy(), provider)
        links = SignedWatchLinks(SecretStr("a secret of some length"), None, 2 * policy.max_duration, clock)
        core = await stack.enter_async_context(
            build_core(client, None, store, links, clock, CoreOptions(policy, relay=RelayMode.ALL))
        )
        links.public_url = await _serve_pages(stack, core, links, PageClock(clock), client)

        def link() -> str | None:
            running = core.sessions.in_channel(CHANNEL)
            return None if running is None or running.stop.is_set else running.view().watch_url

        pages = WatchPages(clock)
        people = AUDIENCES[audience](pages, clock, link)
        stack.push_async_callback(people.close)
        yield Replay(core, clock, simulator, people), simulator, pages


async def _serve_pages(stack: AsyncExitStack, core: Core, links: SignedWatchLinks, clock: Clock, client: object) -> str:
    async def ready() -> dict[str, str | None]:
        return {}

    server = WebServer(
        core.sessions,
        core.services.event_bus,
        core.services.audiences,
        links,
        clock,
        host="127.0.0.1",
        port=0,
        media_sources=("https:",),
        image_sources=("https:",),
        readiness=ready,
        registry=CollectorRegistry(),
        pictures=core.pictures,
        seats=seats_of(client),
    )
    address = await server.start()
    stack.push_async_callback(server.stop)
    return address


async def replay(folder: Path, provider: str, way: Way, audience: str, days: list[Day]) -> Bill:
    """Live through `days`, and read the bill."""
    async with replaying(folder, provider, way, audience) as (bot, simulator, pages):
        for day in days:
            await bot.live_through(day)
        return read_bill(simulator, bot.accepted, sum(map(len, days)), pages.watched, SessionPolicy().greeting)
