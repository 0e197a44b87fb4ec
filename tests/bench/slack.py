"""What the Slack adapter costs: how fast it acknowledges while the provider is slow, and what it adds to the way of a
message, as a ratio against a bare bolt app that does nothing but post the task.

The simulator has a process of its own. So has the local Slack where acknowledgements are measured; for the way of a
message it shares the process with both the bot and the bare app, and its work counts for both."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydantic import SecretStr
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from adapters.chat.slack import SlackAdapter
from adapters.chat.slack.manifest import manifest_of
from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.models import Mode
from bot.core.ports import SpeakResult, StreamRequest
from bot.relay import Message, Receipt, Relay
from bot.settings import Settings
from tests.bench.bot import simulator_process
from tests.bench.platforms import SLOW, platform_process, running, slow_provider
from tests.fakes.slack import Channel, FakeSlack
from tests.platforms.running_bot import settings_with

MESSAGES = 300
WARM_UP = 30
"""Messages that are not counted: what is looked up once and cached is not the price of a message."""

TEXT = "good morning number"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Times:
    """Milliseconds since each message was written: until the provider's client was handed it, and until the core."""

    provider: list[float]
    core: list[float]


def slack_settings(folder: Path, access: Mapping[str, str]) -> Settings:
    """The settings of the bot; `access` is what lets it into Slack."""
    return settings_with(
        {
            "AVATAR_PROVIDER": "heygen-streaming",
            "DATABASE_URL": f"sqlite:///{folder / 'bench.sqlite3'}",
            "USER_RATE": "0",
            "QUEUE_LIMIT": "1000",
            "WEB_PUBLIC_URL": "https://watch.example.com",
            **access,
        }
    )


@asynccontextmanager
async def slack_bot(folder: Path, address: str, twin: FakeSlack) -> AsyncIterator[Application]:
    """The bot in a local Slack."""
    access = {"SLACK_BOT_TOKEN": twin.bot_token, "SLACK_APP_TOKEN": twin.app_token, "SLACK_API_URL": twin.api_url}
    settings = slack_settings(folder, access)
    twin.configure(manifest_of(settings))
    async with running(SlackAdapter, settings, address) as application:
        await twin.until(lambda: twin.connections)
        yield application


async def slack_acknowledgement(folder: Path) -> None:
    """Milliseconds from a command to its acknowledgement, 100 at once, while the provider takes 6 s."""
    async with simulator_process() as address, platform_process("slack") as platform:
        settings = slack_settings(folder, platform.access)
        await platform.tell(manifest_of(settings))
        async with running(SlackAdapter, settings, address), slow_provider(address):
            taken = await platform.acknowledgements()
    p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    say(
        f"Slack acknowledges {len(taken)} commands at once, with a provider that takes {SLOW:g} s: "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms (under 100)"
    )


async def slack_latency(folder: Path) -> None:
    """Milliseconds from a mention to the provider's client, through the bot and through a bare bolt app."""
    async with simulator_process() as address:
        ours = await _through_the_bot(folder, address)
        bare = await _through_bare_bolt(address)
    middle, to_core, bare_middle = (statistics.median(times) for times in (ours.provider, ours.core, bare.provider))
    say(f"Slack event to provider request: p50 {middle:.2f} ms, bare bolt {bare_middle:.2f} ms")
    say(f"    {middle / bare_middle:.2f} of a bare bolt app (aim: at most 1.5)")
    say(f"    until the core has it: {to_core:.2f} ms, {to_core / bare_middle:.2f} of a bare bolt app")


async def _through_the_bot(folder: Path, address: str) -> Times:
    async with FakeSlack(validate=False) as twin, slack_bot(folder, address, twin) as application:
        person = twin.add_user("ana")
        place = twin.add_channel("general", [person])
        await twin.slash(place, person, "/avatar", "start")
        await twin.until(lambda: any(running.is_live for running in application.bot.sessions))

        async def quiet() -> None:
            for running in application.bot.sessions:
                await running.idle.wait()

        return await _write_all(twin, place, quiet)


async def _through_bare_bolt(address: str) -> Times:
    async with (
        FakeSlack(validate=False) as twin,
        HeyGenStreaming(SecretStr("simulator"), address, SystemClock()) as provider,
    ):
        stream = await provider.create(StreamRequest("", "", "medium", "", 300.0, 3600.0))
        await provider.start(stream)
        app = AsyncApp(client=AsyncWebClient(token=twin.bot_token, base_url=twin.api_url))

        idle = asyncio.Event()
        idle.set()

        async def post(event: dict[str, Any]) -> None:
            idle.clear()
            await provider.speak(stream, str(event["ts"]), str(event["text"]).partition("> ")[2])
            idle.set()

        async def quiet() -> None:
            await idle.wait()

        async def ignore() -> None:
            """The same post comes as a message too."""

        app.event("app_mention")(post)
        app.event("message")(ignore)
        handler = AsyncSocketModeHandler(app, twin.app_token)
        await handler.connect_async()
        try:
            await twin.until(lambda: twin.connections)
            place = twin.add_channel("general", [twin.add_user("ana")])
            return await _write_all(twin, place, quiet)
        finally:
            await handler.close_async()


async def _write_all(twin: FakeSlack, place: Channel, quiet: Callable[[], Awaitable[None]]) -> Times:
    """Write one message after another; milliseconds until the provider's client was handed each."""
    handed: dict[str, asyncio.Future[float]] = {}
    received: dict[str, float] = {}
    speak, receive = HeyGenStreaming.speak, Relay.receive

    async def timed(
        client: HeyGenStreaming,
        upstream: str,
        utterance: str,
        text: str,
        mode: Mode = Mode.REPEAT,
        *,
        more: bool = False,
    ) -> SpeakResult:
        if (known := handed.get(text)) is not None and not known.done():
            known.set_result(time.perf_counter())
        return await speak(client, upstream, utterance, text, mode, more=more)

    async def noted(relay: Relay, message: Message) -> Receipt:
        received[message.text] = time.perf_counter()
        return await receive(relay, message)

    times = Times([], [])
    await quiet()
    with patch.object(HeyGenStreaming, "speak", timed), patch.object(Relay, "receive", noted):
        for number in range(MESSAGES):
            text = f"{TEXT} {number}"
            handed[text] = asyncio.get_running_loop().create_future()
            at = time.perf_counter()
            await twin.write(place, place.members[0], f"@Avatar {text}")
            times.provider.append((await handed[text] - at) * 1000)
            times.core.append((received.get(text, at) - at) * 1000)
            await quiet()
            await asyncio.sleep(0.02)
    return Times(times.provider[WARM_UP:], times.core[WARM_UP:])


MEASUREMENTS = {"slack-acknowledgement": slack_acknowledgement, "slack-latency": slack_latency}
"""For the table of `tests.bench.__main__`."""
