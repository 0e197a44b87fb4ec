"""What Discord costs, measured with the real discord.py client against the local Discord of the tests, in one process:
how soon commands are acknowledged while the provider is slow, and what the bot adds to a message on its way."""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import discord
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from adapters.chat.discord import DiscordAdapter
from adapters.simulator import SimulatorOptions, SpeechModel
from bot.core.models import Mode
from bot.core.ports import AvatarProvider, SpeakResult
from tests.bench.bot import simulator_process
from tests.bench.platforms import SLOW, platform_process, running, slow_provider
from tests.fakes.discord import Channel, FakeDiscord
from tests.platforms.discord import DiscordDriver
from tests.platforms.running_bot import KEY, settings_with

CHANNELS = 20
MESSAGES = 300
PAUSE = 0.02
"""Seconds between two messages: no queue anywhere, so that only the way is measured."""
ENVIRONMENT = {"AVATAR_PROVIDER": "heygen-streaming", "USER_RATE": "0", "SESSION_RELAY": "all", "QUEUE_LIMIT": "1000"}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def options(latency: float = 0.0) -> SimulatorOptions:
    """A simulator with room for every session, whose avatars speak in no time."""
    return SimulatorOptions(
        api_key=SecretStr(KEY),
        latency=latency,
        v1_concurrency=1000,
        auto_viewer=True,
        speech=SpeechModel(per_character=0.0, lead=0.0005),
    )


def at_percent(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


async def acknowledgement(folder: Path) -> None:
    """Milliseconds until Discord has the acknowledgement of each of 100 commands at once, Discord and the provider in
    processes of their own."""
    async with simulator_process() as address, platform_process("discord") as platform:
        settings = settings_with(
            {
                **ENVIRONMENT,
                "WEB_PUBLIC_URL": "https://watch.example.com",
                "DATABASE_URL": f"sqlite:///{folder / 'bench.sqlite3'}",
                **platform.access,
            }
        )
        async with running(DiscordAdapter, settings, address) as bot, slow_provider(address):
            waits = await platform.acknowledgements()
            assert not any(one.is_live for one in bot.bot.sessions), "the provider was not slow"
    say(
        f"Discord acknowledges {len(waits)} commands at once, with a provider that takes {SLOW:g} s: "
        f"p50 {at_percent(waits, 50):.0f} ms, p99 {at_percent(waits, 99):.0f} ms (under 100)"
    )


# --- latency ---------------------------------------------------------------------------------------------------------


class Bare(discord.Client):
    """The least there can be: a client that posts every message as a task."""

    def __init__(self, address: str, upstream_ids: dict[int, str], taken: Callable[[str], None]) -> None:
        super().__init__(intents=discord.Intents(guilds=True, guild_messages=True, message_content=True))
        self._http = httpx.AsyncClient(transport=AiohttpTransport(), base_url=address, headers={"X-Api-Key": KEY})
        self._upstream_ids = upstream_ids
        self._taken = taken

    async def on_message(self, message: discord.Message) -> None:
        """Post the task."""
        if message.author.bot:
            return
        body = {
            "session_id": self._upstream_ids[message.channel.id],
            "text": message.content,
            "task_type": "repeat",
            "task_mode": "async",
        }
        (await self._http.post("/v1/streaming.task", json=body)).raise_for_status()
        self._taken(message.content)

    async def close(self) -> None:
        """End both connections."""
        await self._http.aclose()
        await super().close()


class Watch:
    """When each text was written, and when the provider had taken it."""

    def __init__(self) -> None:
        self.written: dict[str, float] = {}
        self.done: dict[str, float] = {}

    def taken(self, text: str) -> None:
        """The provider's answer to a text is in."""
        self.done.setdefault(text.strip(), time.perf_counter())

    @property
    def milliseconds(self) -> list[float]:
        """How long each text took."""
        return [(self.done[text] - at) * 1000 for text, at in self.written.items()]


def watch_provider(provider: AvatarProvider, watch: Watch) -> None:
    """Note when the provider has taken a text."""
    speak = provider.speak

    async def speak_and_tell(
        upstream_id: str, utterance_id: str, text: str, mode: Mode = Mode.REPEAT, *, more: bool = False
    ) -> SpeakResult:
        speech = await speak(upstream_id, utterance_id, text, mode, more=more)
        watch.taken(text)
        return speech

    provider.speak = speak_and_tell  # type: ignore[method-assign]


async def write_all(chat: DiscordDriver, channels: list[Channel], watch: Watch, name: str) -> None:
    """Write the messages, and wait until the provider has them all."""
    for number in range(MESSAGES):
        text = f"{name} {number}"
        watch.written[text] = time.perf_counter()
        await chat.twin.write(channels[number % len(channels)], chat.people["ana"], text)
        await asyncio.sleep(PAUSE)
    async with asyncio.timeout(60):
        while len(watch.done) < MESSAGES:  # noqa: ASYNC110 - a benchmark may poll
            await asyncio.sleep(0.01)


async def latency(folder: Path) -> None:
    """From MESSAGE_CREATE to the provider having the text, beside a bare discord.py client doing nothing else."""
    twin = FakeDiscord(validate=False)
    async with DiscordDriver(folder, twin=twin, environment=ENVIRONMENT, simulator=options()) as chat:
        channels = [twin.add_channel(chat.guild, f"room-{number}") for number in range(CHANNELS)]
        for channel in channels:
            await chat.slash("/avatar start", channel=channel)
        await chat.bot.until(lambda: len(chat.bot.bot.sessions) == CHANNELS)
        sessions = list(chat.bot.bot.sessions)
        await chat.bot.until(lambda: all(one.is_live and one.idle.is_set() for one in sessions))
        upstream = {int(one.session.channel.id): one.stream.upstream_id or "" for one in sessions if one.stream}
        ours, bare = Watch(), Watch()
        watch_provider(chat.bot.bot.sessions.services.provider, ours)
        await write_all(chat, channels, ours, "ours")
        address = chat.bot.simulator.address
        await chat.bot.bot.sessions.abandon_all()
        await chat.bot.kill()
        with twin.pointed():
            client = Bare(address, upstream, bare.taken)
            running = asyncio.create_task(client.start(twin.token))
            async with asyncio.timeout(60):
                while not client.is_ready():  # noqa: ASYNC110 - discord.py has no event before it has connected
                    await asyncio.sleep(0.01)
            await write_all(chat, channels, bare, "bare")
            await client.close()
            with suppress(asyncio.CancelledError):
                await running
    ratio = statistics.median(ours.milliseconds) / statistics.median(bare.milliseconds)
    say(f"Discord, from message to provider: {ratio:.2f} of a bare client's time (at most 1.5)")
    for name, watch in (("bot", ours), ("bare client", bare)):
        values = watch.milliseconds
        say(f"    {name}: p50 {at_percent(values, 50):.2f} ms, p99 {at_percent(values, 99):.2f} ms")


MEASUREMENTS = {"discord-acknowledgement": acknowledgement, "discord-latency": latency}
"""For the table of `tests.bench.__main__`."""
