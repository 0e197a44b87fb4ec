"""Two servers on two shards, an avatar service, and real programs that share a PostgreSQL database; Discord and the
avatar service are in the test's process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.chat.discord.voice.library import load_opus
from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from tests.fakes.discord import Channel, FakeDiscord, Message, User
from tests.platforms.discord import answer_of, read
from tests.scenario.chat_services import PUBLIC
from tests.scenario.served_program import ServedProgram
from tests.scenario.setup.shell import PATIENCE

TOKEN = "twin.discord.token"
KEY = "simulator-key-0123456789"

IDENTIFY_EVERY = 5.0
"""Seconds between two IDENTIFYs of a bucket, as at Discord."""


class SharedWorld:
    """Two servers on two shards, with a text and a voice channel each, an avatar service, and programs that share a
    database."""

    def __init__(self, folder: Path, url: str, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._url = url
        self._stack = stack
        self._started = 0
        self.discord = FakeDiscord(token=TOKEN, shards=2, voice=True, dave=True)
        self.discord.response_deadline = PATIENCE
        self.avatars = Simulator(SimulatorOptions(api_key=SecretStr(KEY), auto_viewer=True), SystemClock())
        self.channels: list[Channel] = []
        self.lounges: list[Channel] = []
        self.person: User

    async def open(self) -> None:
        # The local Discord hears with it.
        assert await asyncio.to_thread(load_opus)
        await self._stack.enter_async_context(self.discord)
        await self._stack.enter_async_context(self.avatars)
        self.discord.limit_identifies(IDENTIFY_EVERY)
        self.person = self.discord.add_user("ana")
        for shard in range(2):
            guild = self.discord.add_guild(f"server {shard}", shard=shard)
            self.discord.join(guild, self.person)
            self.channels.append(self.discord.add_channel(guild, "general"))
            self.lounges.append(self.discord.add_channel(guild, "Lounge", kind="voice"))

    async def start(self, **settings: str) -> ServedProgram:
        self._started += 1
        folder = self._folder / f"process {self._started}"
        folder.mkdir()
        trusted = folder / "trusted.pem"
        trusted.write_text(self.discord.voice.certificate)
        needed = {
            "DATABASE_URL": self._url,
            "DISCORD_TOKEN": TOKEN,
            "DISCORD_API_URL": self.discord.api_url,
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "DISCORD_VOICE": "ask",
            "HEYGEN_API_URL": self.avatars.address,
            "HEYGEN_API_KEY": KEY,
            "WEB_SECRET": "0123456789abcdef" * 2,
            "WEB_PORT": "0",
            "WEB_PUBLIC_URL": PUBLIC,
            "SESSION_NEEDS_VIEWER": "never",
            "STREAM_LINGER": "3600",
            "LOG_LEVEL": "info",
            "SSL_CERT_FILE": str(trusted),
        }
        return await self._stack.enter_async_context(ServedProgram(folder, needed | settings))

    async def until(
        self, condition: Callable[[], object], programs: list[ServedProgram], *, patience: float = PATIENCE
    ) -> None:
        """Wait until something is true; tells what the programs said where it never is."""
        try:
            async with asyncio.timeout(patience):
                while not condition():  # noqa: ASYNC110 - of programs
                    await asyncio.sleep(0.02)
        except TimeoutError:
            told = "\n\n".join(f"{program.output[-2000:]}\n{program.log[-3000:]}" for program in programs)
            raise AssertionError(told) from None

    async def command(self, channel: Channel, typed: str) -> str:
        """Send a slash command, and read the answer."""
        return read(await answer_of(await self.discord.slash(channel, self.person, typed, {}, anyway=True)))

    async def bring_avatar(self, channel: Channel) -> None:
        await self.command(channel, "avatar start")
        await self.discord.until(lambda: any("live" in read(one) for one in self.discord.messages(channel)))

    async def write(self, channel: Channel, text: str) -> None:
        await self.discord.write(channel, self.person, text, mentions=[self.discord.bot])

    def posted(self, channel: Channel) -> list[Message]:
        """What the bot has posted in a channel."""
        return [message for message in self.discord.messages(channel) if message.author is self.discord.bot]

    def panels(self, channel: Channel) -> list[Message]:
        return [message for message in self.posted(channel) if message.embeds]

    @property
    def spoken(self) -> list[str]:
        """What has been said to the end, greetings left out."""
        return [
            text.asked.strip()
            for view in self.avatars.streams()
            for text in view.spoken
            if text.state == "spoken" and "I am here" not in text.asked
        ]

    @property
    def asked(self) -> list[str]:
        """Everything that was given to say."""
        return [text.asked.strip() for view in self.avatars.streams() for text in view.spoken]


def shards_of(program: ServedProgram) -> set[int]:
    """Those that a program has, as it said last."""
    told = [line for line in program.output.splitlines() if line.startswith("Discord: ") and " of 2 " in line]
    if not told or "none" in told[-1]:
        return set()
    return {int(number) for number in told[-1].split("shard")[1].lstrip("s ").split(" of ")[0].split(", ")}


@pytest.fixture
async def world(tmp_path: Path, new_postgres_url: Callable[[], str]) -> AsyncIterator[SharedWorld]:
    url = await asyncio.to_thread(new_postgres_url)
    async with AsyncExitStack() as stack:
        world = SharedWorld(tmp_path, url, stack)
        await world.open()
        yield world


async def share(world: SharedWorld, **settings: str) -> list[ServedProgram]:
    """Two programs, in the order of their shards, once each has one and both are connected."""
    programs = [await world.start(**settings), await world.start(**settings)]
    await world.until(lambda: sorted(map(len, map(shards_of, programs))) == [1, 1], programs)
    await world.until(lambda: world.discord.connected == 2, programs)
    return sorted(programs, key=lambda program: min(shards_of(program)))
