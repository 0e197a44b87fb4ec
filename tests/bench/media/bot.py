"""`python -m tests.bench.media.bot PROVIDER ADDRESS SESSIONS`: the program without a chat, with so many sessions.

It writes the provider's HLS address and the watch link of the first, as JSON. An order `messages` has it take messages
in the other sessions at a steady rate; it answers how long each took from there to the provider's call, milliseconds.
"""

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.app import Application
from bot.core import event_loop
from bot.core.clock import SystemClock
from bot.core.models import Actor, Channel
from bot.relay import Message
from bot.sessions.registry import StartOptions
from bot.sessions.session import AvatarSession
from bot.settings import (
    AvatarSettings,
    HeyGenSettings,
    LiveAvatarSettings,
    LogFormat,
    LogLevel,
    SessionSettings,
    Settings,
    StreamSettings,
    WebSettings,
)
from bot.telemetry.logs import configure
from tests.bench.processes import folder
from tests.harness.programs import KEY

TEXT = re.compile(r"Message [0-9]+ of [0-9]+")
ACTOR = Actor("bench", "someone", "Someone")


class Calls:
    """When the provider was called with each text."""

    def __init__(self, provider: Any) -> None:
        self.at: dict[str, float] = {}
        self._speak = provider.speak
        provider.speak = self.speak

    async def speak(self, upstream_id: str, utterance_id: str, text: str, *others: Any, **more: Any) -> Any:
        """Note the time, and call the provider. What waited may go as one text."""
        for message in TEXT.findall(text):
            self.at[message] = time.perf_counter()
        return await self._speak(upstream_id, utterance_id, text, *others, **more)


async def run(where: Path, provider: str, address: str, number: int) -> None:
    service: dict[str, Any] = {"api_url": address, "api_key": SecretStr(KEY)}
    settings = Settings(
        database_url=f"sqlite:///{where / 'bot.sqlite3'}",
        avatar=AvatarSettings(provider=provider),
        heygen=HeyGenSettings(**service),
        liveavatar=LiveAvatarSettings(**service),
        web=WebSettings(port=0),
        session=SessionSettings(idle_timeout=3600.0),
        stream=StreamSettings(linger=3600.0),
        user_rate=0,
    )
    told: list[str] = []
    bot = Application(settings, SystemClock(), told.append)
    try:
        await bot.start([])
        serving = asyncio.create_task(bot.serve())
        (base,) = [line.split(" running at ")[1].split(",")[0] for line in told if line.startswith("Web: ")]
        bot._links.public_url = base
        first, *others = [await opened(bot, place) for place in range(1 + number)]
        calls = Calls(bot.bot.sessions.services.provider)
        say([first.view().hls_url, first.view().watch_url])
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            say(await take_messages(bot, others, calls, order["rate"], order["seconds"]))
        bot.ask_to_stop()
        await serving
    finally:
        await bot.stop()


async def opened(bot: Application, place: int) -> AvatarSession:
    """A session that can be watched and has greeted."""
    channel = Channel("bench", "w", str(place))
    await bot.bot.sessions.start(channel, ACTOR, StartOptions())
    running = bot.bot.sessions.in_channel(channel)
    assert running is not None
    await running.idle.wait()
    return running


async def take_messages(
    bot: Application, sessions: list[AvatarSession], calls: Calls, rate: float, seconds: float
) -> list[float]:
    """Milliseconds from the arrival of each message to the call of the provider."""
    arrived: dict[str, float] = {}
    started = time.perf_counter()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        text = f"Message {number} of {round(started)}"
        arrived[text] = time.perf_counter()
        await bot.bot.relay.receive(Message(sessions[number % len(sessions)].session.channel, ACTOR, text))
    await asyncio.gather(*(running.idle.wait() for running in sessions))
    return sorted(1000 * (calls.at[text] - at) for text, at in arrived.items())


def say(told: object) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    configure(LogLevel.ERROR, LogFormat.TEXT, ())
    with folder() as made:
        event_loop.run(run(made, sys.argv[1], sys.argv[2], int(sys.argv[3])))
