"""`python -m tests.bench.core throughput|sessions ...`: what the core does without a platform, in this process, with
the provider in another one. It writes one line of JSON with what it found, which `tests.bench.parts` judges.

The baseline is the same HTTP client posting the same tasks to the same simulator with no bot between.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import httpx
from httpx_aiohttp import AiohttpTransport

from bot.relay import Message
from bot.sessions.session import AvatarSession
from bot.settings import LogFormat, LogLevel
from bot.telemetry.logs import configure
from tests.bench.bot import ACTOR, BenchBot, running_bot
from tests.bench.processes import Child, cpu_seconds, folder, resident_megabytes
from tests.bench.provider import SAY
from tests.harness.programs import KEY

TEXT = "Good morning everybody, how are you today?"
SESSIONS = 32
AT_ONCE = 32
"""Look-ups of the bare client after a restart, as many as the bot makes."""

Found = dict[str, list[float]]


def bare_client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=AiohttpTransport(), base_url=address, headers={"X-Api-Key": KEY})


# --- throughput ------------------------------------------------------------------------------------------------------


async def throughput(where: Path, address: str, rounds: int, each: int) -> Found:
    """Messages a second from hand-in to spoken, in 32 sessions, beside bare posts of the same."""
    async with running_bot(where, address, "heygen-streaming") as bot:
        running = await bot.start(SESSIONS)
        ids = [one.stream.upstream_id or "" for one in running]
        await relay_all(bot, 0, each)
        await post_bare(address, ids, each)
        pairs = [
            (await relay_all(bot, number + 1, each), await post_bare(address, ids, each)) for number in range(rounds)
        ]
    return {"ours": [ours for ours, _ in pairs], "bare": [bare for _, bare in pairs]}


async def post_bare(address: str, ids: list[str], each: int) -> float:
    """Tasks a second that the bare client posts, one after another for each of the sessions."""
    async with bare_client(address) as client:

        async def post(session_id: str) -> None:
            body = {"session_id": session_id, "text": TEXT, "task_type": "repeat", "task_mode": "async"}
            for _ in range(each):
                (await client.post(SAY, json=body)).raise_for_status()

        started = time.perf_counter()
        await asyncio.gather(*(post(session_id) for session_id in ids))
        return len(ids) * each / (time.perf_counter() - started)


async def relay_all(bot: BenchBot, round_: int, each: int) -> float:
    """Messages a second from hand-in to spoken."""
    sessions = list(bot.sessions)

    async def write(place: int) -> None:
        running = sessions[place]
        for number in range(each):
            key = f"{round_}-{place}-{number}"
            await bot.relay.receive(Message(running.session.channel, ACTOR, TEXT, keys=(key,), message_id=key))
        await running.idle.wait()

    started = time.perf_counter()
    await asyncio.gather(*(write(place) for place in range(len(sessions))))
    return len(sessions) * each / (time.perf_counter() - started)


# --- many sessions ---------------------------------------------------------------------------------------------------


async def sessions(where: Path, address: str, provider: str, number: int, silence: float) -> Found:
    """So many live sessions: what they take, and how soon a restart has them back. Linux only."""
    pid = os.getpid()
    async with running_bot(where, address, provider) as bot:
        await speak_once(bot, await bot.start(1))  # what the first session of all loads is start-up, not a session
        gc.collect()
        before = resident_megabytes(pid)
        running = await bot.start(number)
        assert all(one.is_live for one in running)
        await asyncio.sleep(2)
        gc.collect()
        memory = resident_megabytes(pid) - before
        await asyncio.sleep(silence)
        cpu = await cpu_percent(pid, min(silence, 10.0) or 1.0)
        await speak_once(bot, running)  # so that every stream is open when the bot goes away
    started = time.perf_counter()
    async with running_bot(where, address, provider) as bot:
        found = await bot.recover()
        recovered = time.perf_counter() - started
        assert found.adopted >= number
        bare = await bare_look_ups(address, number)
    return {"memory": [memory], "cpu": [cpu], "ours": [recovered], "bare": [bare]}


async def speak_once(bot: BenchBot, running: list[AvatarSession]) -> None:
    await asyncio.gather(*(bot.relay.receive(Message(one.session.channel, ACTOR, TEXT)) for one in running))
    await asyncio.gather(*(one.idle.wait() for one in running))
    assert all(one.stream is not None for one in running)


async def bare_look_ups(address: str, number: int) -> float:
    """Seconds for as many status requests with the bare client."""
    limit = asyncio.Semaphore(AT_ONCE)
    async with bare_client(address) as client:

        async def look() -> None:
            async with limit:
                await client.get("/v3/avatar-realtime/none")

        started = time.perf_counter()
        await asyncio.gather(*(look() for _ in range(number)))
        return time.perf_counter() - started


async def cpu_percent(pid: int, seconds: float) -> float:
    before, started = cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    return 100 * (cpu_seconds(pid) - before) / (time.perf_counter() - started)


def main(arguments: list[str]) -> None:
    with Child("provider") as provider, folder() as where:
        address = provider.hear()
        match arguments:
            case ["throughput", rounds, each]:
                found: Awaitable[Found] = throughput(where, address, int(rounds), int(each))
            case ["sessions", name, number, silence]:
                found = sessions(where, address, name, int(number), float(silence))
            case _:
                sys.exit(__doc__)

        async def wait() -> Found:
            return await found

        sys.stdout.write(f"{json.dumps(asyncio.run(wait()))}\n")


if __name__ == "__main__":
    configure(LogLevel.ERROR, LogFormat.TEXT, ())
    main(sys.argv[1:])
