"""`make bench`: how much the bot costs, as ratios against a bare baseline measured in the same run.

The baseline is the same HTTP client posting the same tasks to the same simulator with no bot between. The simulator
runs in a process of its own, and its avatars speak in no time, so that only the program is measured."""

import asyncio
import gc
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from bot.core.clock import SystemClock
from bot.core.models import Mode
from bot.core.ports import SpeakResult
from bot.relay import Message
from bot.sessions.session import AvatarSession
from bot.settings import LogFormat, LogLevel
from bot.telemetry.logs import configure
from tests.bench import discord, slack
from tests.bench.bot import ACTOR, BenchBot, running_bot, simulator_process

TEXT = "Good morning everybody, how are you today?"
SESSIONS = 32
PER_SESSION = 60
ROUNDS = 5


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# --- throughput ------------------------------------------------------------------------------------------------------


async def post_bare(address: str, ids: list[str]) -> float:
    """Tasks per second that the bare client posts, one after another for each of the sessions."""
    async with httpx.AsyncClient(
        transport=AiohttpTransport(), base_url=address, headers={"X-Api-Key": "simulator"}
    ) as client:

        async def post(session_id: str) -> None:
            body = {"session_id": session_id, "text": TEXT, "task_type": "repeat", "task_mode": "async"}
            for _ in range(PER_SESSION):
                (await client.post("/v1/streaming.task", json=body)).raise_for_status()

        started = time.perf_counter()
        await asyncio.gather(*(post(session_id) for session_id in ids))
        return len(ids) * PER_SESSION / (time.perf_counter() - started)


async def relay_all(bot: BenchBot, round_: int) -> float:
    """Messages per second from hand-in to spoken."""
    sessions = list(bot.sessions)

    async def write(place: int) -> None:
        running = sessions[place]
        for number in range(PER_SESSION):
            key = f"{round_}-{place}-{number}"
            await bot.relay.receive(Message(running.session.channel, ACTOR, TEXT, keys=(key,), message_id=key))
        await running.idle.wait()

    started = time.perf_counter()
    await asyncio.gather(*(write(place) for place in range(len(sessions))))
    return len(sessions) * PER_SESSION / (time.perf_counter() - started)


async def throughput(folder: Path) -> None:
    async with simulator_process() as address, running_bot(folder, address, "heygen-streaming") as bot:
        running = await bot.start(SESSIONS)
        ids = [one.stream.upstream_id or "" for one in running if one.stream]
        await relay_all(bot, 0)
        await post_bare(address, ids)
        pairs = [(await post_bare(address, ids), await relay_all(bot, number + 1)) for number in range(ROUNDS)]
    ratios = sorted(relayed / bare for bare, relayed in pairs)
    say(f"throughput, {SESSIONS} sessions: {statistics.median(ratios):.2f} of the bare rate (at least 0.3, aim 0.5)")
    say(f"    ratios {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    say(
        f"    medians: {statistics.median(relayed for _, relayed in pairs):.0f} messages/s through the bot, "
        f"{statistics.median(bare for bare, _ in pairs):.0f} posts/s bare"
    )


# --- latency ---------------------------------------------------------------------------------------------------------


class Stopwatch(HeyGenStreaming):
    """The real client, noting when it is handed a text."""

    def __init__(self, address: str, clock: SystemClock) -> None:
        super().__init__(SecretStr("simulator"), address, clock)
        self.handed: dict[str, float] = {}
        self.taken: dict[str, float] = {}

    async def speak(
        self, upstream_id: str, utterance_id: str, text: str, mode: Mode = Mode.REPEAT, *, more: bool = False
    ) -> SpeakResult:
        self.handed[utterance_id] = time.perf_counter()
        speech = await super().speak(upstream_id, utterance_id, text, mode, more=more)
        self.taken[utterance_id] = time.perf_counter()
        return speech


async def latency(folder: Path) -> None:
    """Milliseconds from the hand-in of a message to the request to the provider, at 50 messages/s over 50 sessions."""
    async with simulator_process() as address:
        stopwatch = Stopwatch(address, SystemClock())
        async with running_bot(folder, address, "heygen-streaming", stopwatch) as bot:
            running = await bot.start(50)
            arrived: dict[str, float] = {}

            async def write(number: int) -> None:
                at = time.perf_counter()
                key = f"latency-{number}"
                channel = running[number % 50].session.channel
                receipt = await bot.relay.receive(Message(channel, ACTOR, TEXT, keys=(key,)))
                assert receipt.utterance is not None
                arrived[receipt.utterance.id] = at

            async with asyncio.TaskGroup() as group:
                for number in range(1000):
                    group.create_task(write(number))
                    await asyncio.sleep(1 / 50)
            await asyncio.gather(*(one.idle.wait() for one in running))
    added = sorted((stopwatch.handed[key] - at) * 1000 for key, at in arrived.items())
    wire = statistics.median((stopwatch.taken[key] - stopwatch.handed[key]) * 1000 for key in arrived)
    say(
        f"latency added at 50 messages/s: p50 {at_percent(added, 50):.2f} ms (under 3), "
        f"p99 {at_percent(added, 99):.2f} ms (under 15)"
    )
    say(f"    p50 is {at_percent(added, 50) / wire:.2f} of the request to the simulator itself")


def at_percent(sorted_values: list[float], percent: int) -> float:
    return sorted_values[min(len(sorted_values) - 1, len(sorted_values) * percent // 100)]


# --- a thousand sessions ---------------------------------------------------------------------------------------------


async def thousand(folder: Path, name: str) -> None:
    async with simulator_process() as address:
        async with running_bot(folder, address, name) as bot:
            await warm_up(bot)
            gc.collect()
            before = resident()
            running = await bot.start(1000)
            assert all(one.is_live for one in running)
            await asyncio.sleep(2)
            gc.collect()
            memory = (resident() - before) / 2**20
            # Nobody talks: v3 closes its streams after 30 s, which is work of the last talk and not of the silence.
            await asyncio.sleep(40 if name == "heygen-realtime" else 0)
            cpu = await cpu_share(10)
            await wake(bot, running)
        started = time.perf_counter()
        async with running_bot(folder, address, name) as bot:
            found = await bot.sessions.recover()
            recovered = time.perf_counter() - started
            assert found.adopted >= 1000
            bare = await bare_look_ups(address, 1000)
        say(f"1,000 live sessions on {name}: {memory:.1f} MB above start-up (under 60), {cpu:.2%} of a core (under 3%)")
        say(
            f"    recovered after a restart in {recovered:.2f} s (under 2), "
            f"{recovered / bare:.2f} of 1,000 bare look-ups"
        )


async def wake(bot: BenchBot, running: list[AvatarSession]) -> None:
    """Have every session speak once, so that every stream is open when the bot goes away."""
    await asyncio.gather(*(bot.relay.receive(Message(one.session.channel, ACTOR, TEXT)) for one in running))
    await asyncio.gather(*(one.idle.wait() for one in running))
    assert all(one.stream is not None for one in running)


async def warm_up(bot: BenchBot) -> None:
    """What the first session of all loads and caches is start-up, not a session."""
    for one in await bot.start(1):
        await bot.relay.receive(Message(one.session.channel, ACTOR, TEXT))
        await one.idle.wait()


async def bare_look_ups(address: str, number: int) -> float:
    """Seconds for as many status requests with the bare client, 32 at a time."""
    limit = asyncio.Semaphore(32)
    async with httpx.AsyncClient(
        transport=AiohttpTransport(), base_url=address, headers={"X-Api-Key": "simulator"}
    ) as client:

        async def look() -> None:
            async with limit:
                await client.get("/v3/avatar-realtime/none")

        started = time.perf_counter()
        await asyncio.gather(*(look() for _ in range(number)))
        return time.perf_counter() - started


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def cpu_share(seconds: float) -> float:
    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    before, started = used(), time.perf_counter()
    await asyncio.sleep(seconds)
    return (used() - before) / (time.perf_counter() - started)


MEASUREMENTS: dict[str, Callable[[Path], Coroutine[Any, Any, None]]] = {
    "throughput": throughput,
    "latency": latency,
    "thousand-streaming": lambda folder: thousand(folder, "heygen-streaming"),
    "thousand-realtime": lambda folder: thousand(folder, "heygen-realtime"),
    **discord.MEASUREMENTS,
    **slack.MEASUREMENTS,
}


async def main(names: list[str]) -> None:
    """Each measurement in a process of its own, so that none inherits the memory of another."""
    if len(names) == 1:
        with tempfile.TemporaryDirectory() as folder:
            await MEASUREMENTS[names[0]](Path(folder))
        return
    for name in names or MEASUREMENTS:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench", name)
        if await process.wait():
            sys.exit(f"{name} failed")


if __name__ == "__main__":
    configure(LogLevel.ERROR, LogFormat.TEXT, ())
    asyncio.run(main(sys.argv[1:]))
