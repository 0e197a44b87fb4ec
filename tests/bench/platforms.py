"""`python -m tests.bench.platforms slack|discord`: a local Slack or Discord in a process of its own, where 100 people
type `/avatar start` at once. It says how long each waited for the acknowledgement; the bot has a process to itself."""

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.tasks import cancel_and_wait
from bot.facade import Bot, ChatAdapter
from bot.plugins import with_simulator
from bot.settings import Settings
from tests.fakes.discord import FakeDiscord
from tests.fakes.slack import FakeSlack

COMMANDS = 100

SLOW = 6.0
"""Seconds that a slow provider takes for every request."""

Told = dict[str, Any]


class Platform:
    """The other end of such a process. `access` is what a bot needs to get in."""

    def __init__(self, process: asyncio.subprocess.Process, access: Told) -> None:
        self._process = process
        self.access = access

    async def tell(self, what: object) -> None:
        """Send a line of JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self) -> Any:
        """Read a line of JSON."""
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())

    async def acknowledgements(self) -> list[float]:
        """Milliseconds until each of 100 commands was acknowledged, in ascending order. The bot has to be connected."""
        await self.tell("go")
        return sorted(await self.hear())


@asynccontextmanager
async def platform_process(name: str) -> AsyncIterator[Platform]:
    """A platform, for as long as it is needed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.platforms",
        name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield Platform(process, json.loads(await process.stdout.readline()))
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def slow_provider(address: str) -> AsyncIterator[None]:
    """Every request to the provider takes long."""
    async with httpx.AsyncClient(base_url=address, headers={"X-Api-Key": "simulator"}) as client:
        slow = {"effect": "latency", "path": "/v*", "seconds": SLOW, "times": None}
        (await client.post("/simulator/faults", json=slow)).raise_for_status()
        yield
        (await client.delete("/simulator/faults")).raise_for_status()


@asynccontextmanager
async def running(make: Callable[[Bot], ChatAdapter], settings: Settings, address: str) -> AsyncIterator[Application]:
    """The whole bot, with one platform, at the speed of the machine; connected; in the end it is killed."""
    simulated = with_simulator(settings, address, SecretStr("simulator"))
    application = Application(simulated, SystemClock(), lambda _line: None)
    await application.start([make])
    serving = asyncio.create_task(application.serve())
    try:
        async with asyncio.timeout(60):
            while application._adapters[0].unhealthy_reason is not None:  # noqa: ASYNC110 - a benchmark may poll
                await asyncio.sleep(0.01)
        yield application
    finally:
        await application.bot.sessions.abandon_all()
        await cancel_and_wait(serving)
        await application.stop()


# --- in that process -------------------------------------------------------------------------------------------------


def say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def hear() -> Any:
    return json.loads(await asyncio.to_thread(sys.stdin.readline) or "null")


async def slack() -> None:
    async with FakeSlack(validate=False) as twin:
        say({"SLACK_BOT_TOKEN": twin.bot_token, "SLACK_APP_TOKEN": twin.app_token, "SLACK_API_URL": twin.api_url})
        twin.configure(await hear())
        ana = twin.add_user("ana")
        rooms = [twin.add_channel(f"room-{number}", [ana]) for number in range(COMMANDS)]
        await hear()
        await twin.until(lambda: twin.connections)
        say(await measured([lambda room=room: twin.slash(room, ana, "/avatar", "start") for room in rooms]))
        await hear()


async def discord() -> None:
    async with FakeDiscord(validate=False) as twin:
        guild = twin.add_guild("Home")
        ana = twin.add_user("ana", guild=guild)
        rooms = [twin.add_channel(guild, f"room-{number}") for number in range(COMMANDS)]
        access = {"DISCORD_TOKEN": twin.token, "DISCORD_API_URL": twin.api_url}
        say({**access, "DISCORD_GATEWAY_URL": twin.gateway_url})
        await hear()
        await twin.ready()
        say(await measured([lambda room=room: twin.slash(room, ana, "avatar start", anyway=True) for room in rooms]))
        await hear()


async def measured(commands: Sequence[Callable[[], Awaitable[Any]]]) -> list[float]:
    gc.collect()
    gc.freeze()  # The schemas are a large heap; to collect it in the middle would count as the time of the bot.
    asked = await asyncio.gather(*(command() for command in commands))
    for one in asked:
        await one.acknowledged()
    return [(one.ack_seconds or 0.0) * 1000 for one in asked]


if __name__ == "__main__":
    asyncio.run({"slack": slack, "discord": discord}[sys.argv[1]]())
