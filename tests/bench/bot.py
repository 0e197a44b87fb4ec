"""The core as `tests.bench.core` measures it: without platforms, in this process, the simulator in another one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from adapters.avatars.heygen_realtime.provider import HeyGenRealtime
from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from bot.core.clock import SystemClock
from bot.core.models import Actor, Channel
from bot.core.policy import SessionPolicy
from bot.sessions.registry import StartOptions
from bot.sessions.session import AvatarSession
from bot.settings import RelayMode
from bot.store import migrate
from bot.store.store import Store
from bot.wiring import Core, CoreOptions, build_core

ACTOR = Actor("bench", "someone", "Someone")
PROVIDERS = {"heygen-realtime": HeyGenRealtime, "heygen-streaming": HeyGenStreaming}


class NoLinks:
    """Watch links are not what is measured."""

    def url(self, link_nonce: str) -> str | None:
        return f"http://localhost/w/{link_nonce}"


class BenchBot:
    """A bot without chat platforms; messages are handed to `relay`."""

    def __init__(self, core: Core) -> None:
        self.sessions, self.relay, self.recover = core.sessions, core.relay, core.recovery.recover

    async def start(self, number: int) -> list[AvatarSession]:
        """Open `number` sessions and wait until all are live and quiet."""
        limit = asyncio.Semaphore(32)

        async def open_one(place: int) -> AvatarSession:
            async with limit:
                channel = Channel("bench", "w", str(place))
                await self.sessions.start(channel, ACTOR, StartOptions())
                running = self.sessions.in_channel(channel)
                assert running is not None
                await running.idle.wait()
                return running

        return list(await asyncio.gather(*(open_one(place) for place in range(number))))


@asynccontextmanager
async def running_bot(folder: Path, address: str, name: str) -> AsyncIterator[BenchBot]:
    """A bot on a database in `folder`; leaves its sessions as they are, like a crash."""
    url = f"sqlite:///{folder / 'bench.sqlite3'}"
    clock = SystemClock()
    await migrate.upgrade(url)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(await Store.open(url, clock))
        made = await stack.enter_async_context(PROVIDERS[name](SecretStr("simulator"), address, clock))
        options = CoreOptions(SessionPolicy(queue_limit=100_000), relay=RelayMode.ALL)
        yield BenchBot(await stack.enter_async_context(build_core(made, None, store, NoLinks(), clock, options)))
