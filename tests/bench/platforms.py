"""`python -m tests.bench.platforms slack|discord CHANNELS`: a local Slack or Discord, and the people in it.

It writes what lets a bot in, and the port where it hears of texts that reached the provider; then it carries out one
order after another, each a line of JSON, and answers each with a line (`ORDERS`). It ends with its input. All times are
seconds of `time.perf_counter`, which all processes of a machine share.
"""

import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol
from unittest.mock import patch

from aiohttp import web

from adapters.chat.slack.manifest import manifest_of
from tests.fakes.discord import FakeDiscord
from tests.fakes.slack import FakeSlack, Timing
from tests.platforms.running_bot import settings_with

PATIENCE = 180.0
"""Seconds that something may take to come; only a benchmark that fails waits so long."""

NUMBER = re.compile(r"message number (\d+)")


class Platform(Protocol):
    """What both platforms have in common. `access` are the settings that let a bot in."""

    access: dict[str, str]

    async def connected(self) -> None:
        """Wait until a bot is there."""

    async def type(self, channel: int, command: str) -> Any:
        """Somebody types `/avatar` and a word, such as `start`; returns the interaction."""

    async def write(self, channel: int, text: str) -> Any:
        """Somebody writes a message that mentions the bot; returns it."""

    async def deliver_to(self, bot: int | None) -> None:
        """From now on, send everything to one of the bots, counted in the order in which they came, once it is there;
        or to each in turn."""

    def send_again(self) -> None:
        """From now on, send every second what the bot has not acknowledged."""

    def is_acknowledged(self, message: Any) -> bool:
        """Whether the bot has confirmed that it has the message."""


class LocalSlack:
    def __init__(self, fake: FakeSlack, channels: int) -> None:
        self._fake, self._ana = fake, fake.add_user("ana")
        self._channels = [fake.add_channel(f"channel-{number}", [self._ana]) for number in range(channels)]
        self.access = {
            "SLACK_BOT_TOKEN": fake.bot_token,
            "SLACK_APP_TOKEN": fake.app_token,
            "SLACK_API_URL": fake.api_url,
        }
        fake.configure(manifest_of(settings_with(self.access)))

    async def connected(self) -> None:
        await self._fake.until(lambda: self._fake.connections)

    async def type(self, channel: int, command: str) -> Any:
        return await self._fake.slash(self._channels[channel], self._ana, "/avatar", command)

    async def write(self, channel: int, text: str) -> Any:
        return await self._fake.write(self._channels[channel], self._ana, f"@{self._fake.bot.name} {text}")

    async def deliver_to(self, bot: int | None) -> None:
        if bot is None:
            self._fake.socket.choose = None
            return
        await self._fake.until(lambda: len(self._fake.connections) > bot)
        self._fake.socket.choose = lambda ready: ready[bot]

    def send_again(self) -> None:
        # Within Slack's own three seconds, after which a bot no longer acknowledges; more often than Slack does.
        self._fake.timing = Timing(retries=(1.0,) * 60)

    def is_acknowledged(self, message: Any) -> bool:
        return all(delivery.done for delivery in message.deliveries)


class LocalDiscord:
    def __init__(self, fake: FakeDiscord, channels: int) -> None:
        guild = fake.add_guild("Home")
        self._fake, self._ana = fake, fake.add_user("ana", guild=guild)
        self._channels = [fake.add_channel(guild, f"channel-{number}") for number in range(channels)]
        self.access = {
            "DISCORD_TOKEN": fake.token,
            "DISCORD_API_URL": fake.api_url,
            "DISCORD_GATEWAY_URL": fake.gateway_url,
        }

    async def connected(self) -> None:
        await self._fake.until(lambda: self._fake.connected)

    async def type(self, channel: int, command: str) -> Any:
        commands, guild = self._fake.interactions.commands, self._channels[channel].guild
        assert guild is not None
        # The bot registers them once it is connected.
        await self._fake.until(lambda: commands.all(None) or commands.all(guild.id))
        return await self._fake.slash(self._channels[channel], self._ana, f"avatar {command}", anyway=True)

    async def write(self, channel: int, text: str) -> Any:
        return await self._fake.write(self._channels[channel], self._ana, text, mentions=[self._fake.bot])

    async def deliver_to(self, bot: int | None) -> None:
        raise NotImplementedError("a guild's events come to whoever has its shard")

    def send_again(self) -> None:
        raise NotImplementedError("a gateway's events are not acknowledged")

    def is_acknowledged(self, message: Any) -> bool:
        raise NotImplementedError("a gateway's events are not acknowledged")


@asynccontextmanager
async def local_slack(channels: int) -> Any:
    # What is late in a measurement is late, and not sent twice.
    async with FakeSlack(timing=Timing(ack=PATIENCE, trigger=PATIENCE), validate=False) as fake:
        yield LocalSlack(fake, channels)


@asynccontextmanager
async def local_discord(channels: int) -> Any:
    async with FakeDiscord(validate=False, strict=False) as fake:
        yield LocalDiscord(fake, channels)


class People:
    """Write messages, and know of each when it was sent to the bot and when its text reached the provider."""

    def __init__(self, platform: Platform, channels: int) -> None:
        self._platform, self._channels = platform, channels
        self._messages: list[Any] = []
        self._places: list[int] = []
        self._sent: dict[int, float] = {}
        self._reached: list[tuple[int, float]] = []
        self._waiting: dict[int, asyncio.Event] = {}
        self._news = asyncio.Condition()

    async def take_reports(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear from the provider what it was asked to say."""
        async for line in reader:
            text, at = json.loads(line)
            async with self._news:
                if (found := NUMBER.search(text)) is not None:
                    number = int(found[1])
                    self._reached.append((number, at))
                    if number in self._waiting:
                        self._waiting.pop(number).set()
                self._news.notify_all()
        writer.close()

    @asynccontextmanager
    async def watching_the_wire(self) -> Any:
        """Note when each message is handed to the socket, whatever platform's it is. A message that is told in two
        events counts from the first."""
        send = web.WebSocketResponse.send_str

        async def timed(socket: web.WebSocketResponse, data: str, *arguments: Any) -> None:
            if (found := NUMBER.search(data)) is not None:
                self._sent.setdefault(int(found[1]), time.perf_counter())
            await send(socket, data, *arguments)

        with patch.object(web.WebSocketResponse, "send_str", timed):
            yield

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    async def _write(self, channel: int) -> int:
        number = len(self._messages)
        self._messages.append(None)
        self._places.append(channel)
        self._messages[number] = await self._platform.write(channel, f"message number {number}")
        return number

    # --- what can be ordered -----------------------------------------------------------------------------------------

    async def connected(self) -> None:
        """Wait until the bot is there."""
        await self._platform.connected()

    async def start_avatars(self, bots: int) -> None:
        """Start an avatar in every channel, so that each of several bots has as many."""
        for channel in range(self._channels):
            if bots > 1:
                await self._platform.deliver_to(channel % bots)
            await (await self._platform.type(channel, "start")).acknowledged()
        if bots > 1:
            await self._platform.deliver_to(None)

    async def deliver_to(self, bot: int) -> None:
        """Have everything come to one of several bots, counted in the order in which they came."""
        await self._platform.deliver_to(bot)

    async def acknowledgements(self, command: str) -> list[float]:
        """Type a command, such as `start` of `/avatar start`, in every channel at once. Milliseconds until each was
        acknowledged, the least first."""
        freeze_heap()
        asked = await asyncio.gather(*(self._platform.type(channel, command) for channel in range(self._channels)))
        for one in asked:
            await one.acknowledged()
        return sorted((one.ack_seconds or 0.0) * 1000 for one in asked)

    async def steady(self, messages: int, rate: float) -> list[float]:
        """Write so many messages, `rate` a second, over all channels in turn. Milliseconds of each from the platform
        that sends it to the provider that receives it, the least first."""
        freeze_heap()
        first, started = len(self._reached), time.perf_counter()
        numbers = []
        for place in range(messages):
            await asyncio.sleep(started + place / rate - time.perf_counter())
            numbers.append(await self._write(place % self._channels))
        await self._until(lambda: len(self._reached) >= first + messages)
        reached = dict(self._reached[first:])
        return sorted((reached[number] - self._sent[number]) * 1000 for number in numbers)

    async def closed_loop(self, channels: int, each: int) -> float:
        """In so many channels, write a message once the one before has reached the provider. Messages a second."""
        freeze_heap()
        started = time.perf_counter()

        async def talk(channel: int) -> None:
            for _ in range(each):
                reached = self._waiting[len(self._messages)] = asyncio.Event()
                await self._write(channel)
                async with asyncio.timeout(PATIENCE):
                    await reached.wait()

        await asyncio.gather(*(talk(channel) for channel in range(channels)))
        return channels * each / (time.perf_counter() - started)

    async def flood(self, messages: int, reached: int) -> list[int]:
        """Write so many messages at once. Once some have reached the provider: which ones the bot has acknowledged by
        then."""
        self._platform.send_again()
        first = len(self._reached)

        async def write() -> None:
            for place in range(messages):
                await self._write(place % self._channels)

        await asyncio.gather(write(), self._until(lambda: len(self._reached) >= first + reached))
        return [number for number, message in enumerate(self._messages) if self._platform.is_acknowledged(message)]

    async def all_acknowledged(self) -> None:
        """Wait until the bot has every message."""
        async with asyncio.timeout(PATIENCE):
            while not all(self._platform.is_acknowledged(message) for message in self._messages):  # noqa: ASYNC110 - a benchmark may poll
                await asyncio.sleep(0.05)

    async def books(self) -> dict[str, list[int]]:
        """The numbers of the messages that reached the provider, in their order, and the channel of each message."""
        return {"reached": [number for number, _ in self._reached], "channels": self._places}


def freeze_heap() -> None:
    """The collector would stop for all that the platform remembers, and that would count as the time of the bot."""
    gc.collect()
    gc.freeze()


ORDERS = (
    "connected",
    "start_avatars",
    "deliver_to",
    "acknowledgements",
    "steady",
    "closed_loop",
    "flood",
    "all_acknowledged",
    "books",
)


def say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def main(name: str, channels: int) -> None:
    opened: AbstractAsyncContextManager[Platform] = {"slack": local_slack, "discord": local_discord}[name](channels)
    async with opened as platform:
        people = People(platform, channels)
        async with (
            people.watching_the_wire(),
            await asyncio.start_server(people.take_reports, "127.0.0.1", 0) as server,
        ):
            say({"port": server.sockets[0].getsockname()[1], "access": platform.access})
            while line := await asyncio.to_thread(sys.stdin.readline):
                order = json.loads(line)
                name = order.pop("order")
                assert name in ORDERS
                carried_out: Awaitable[Any] = getattr(people, name)(**order)
                say(await carried_out)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
