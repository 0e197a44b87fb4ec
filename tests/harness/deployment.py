"""A deployment: a local Slack with many channels and an avatar service, both in this process, and the real program in a
process of its own between them. All clocks are the fork server's. Knows no story; that is the business of the tests.
"""

import asyncio
import contextlib
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from adapters.chat.slack.manifest import manifest_of
from adapters.simulator import Simulator, SimulatorOptions, SpokenText
from tests.fakes.slack import Channel, FakeSlack, Interaction, Message, Timing
from tests.harness.forkserver import ClockOffset, ForkServer, KillableProcess, SharedClock
from tests.harness.programs import KEY, Service
from tests.harness.watchers import Watchers
from tests.platforms.platform_driver import ADA, ANA, BEN, PATIENT
from tests.platforms.running_bot import settings_with

PATIENCE = 60.0
"""Seconds of real time that something may take to come true; only a failing test waits so long."""

GREETING = "Hi."
NO_WORD_YET = 0.25
"""Seconds of the machine into a text in which a program need not know that it began."""

MISTAKES = ("Traceback", "task failed", "unexpected error", "ResourceWarning")
"""What a program must never write."""


class SlackDeployment:
    """As an async context manager: everything but the program, which `start` starts.

    channels: how many there are, with everybody in them. settings: further variables of the program.
    """

    def __init__(
        self,
        fork_server: ForkServer,
        folder: Path,
        provider: str,
        options: SimulatorOptions,
        *,
        channels: int,
        **settings: str,
    ) -> None:
        self.clock = SharedClock(**fork_server.clock)
        self.simulator = Simulator(options, self.clock)
        self.slack = FakeSlack(timing=Timing(ack=PATIENT, trigger=PATIENT), validate=False)
        self.people = {name: self.slack.add_user(name, is_admin=name == ADA) for name in (ANA, BEN, ADA)}
        self.channels = [
            self.slack.add_channel(f"channel-{number}", self.people.values()) for number in range(channels)
        ]
        self.clock_offset = ClockOffset(folder / "clock-offset")
        self.bot: KillableProcess
        self._speed = fork_server.clock["speed"]
        self._fork_server, self._folder, self._provider, self._chosen = fork_server, folder, provider, settings
        self._settings: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        await self.simulator.start()
        await self.slack.__aenter__()
        url = self.simulator.address
        self._settings = Service(url).settings(
            self._folder,
            AVATAR_PROVIDER=self._provider,
            AVATAR_KEY_EXCLUSIVE="true",
            LIVEAVATAR_API_URL=url,
            LIVEAVATAR_API_KEY=KEY,
            CHAT_API_URL=f"{url}/v1",
            CHAT_API_KEY=KEY,
            CHAT_MODEL="simulator",
            SLACK_API_URL=self.slack.api_url,
            SLACK_BOT_TOKEN=self.slack.bot_token,
            SLACK_APP_TOKEN=self.slack.app_token,
            **self._chosen,
        )
        self.slack.configure(manifest_of(settings_with(self._settings)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "bot"):
            self.bot.__exit__(kind, error, trace)
        await self.slack.__aexit__(kind, error, trace)
        await self.simulator.stop()

    # --- the program -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the program, the first or the next, and wait until it hears Slack."""
        if hasattr(self, "bot"):
            self.bot.__exit__(None, None, None)
        self.bot = KillableProcess(
            self._fork_server, self._folder, "run", clock_offset=self.clock_offset, is_watched=False, **self._settings
        )
        await self.until(lambda: "Web: " in self.bot.output and self.slack.connections)

    async def kill(self) -> None:
        """As `kill -9` does."""
        self.bot.send(signal.SIGKILL)
        assert await self._end() == -signal.SIGKILL

    async def stop(self) -> None:
        """As a service manager does, and see that it ends well."""
        self.bot.send(signal.SIGTERM)
        assert await self._end() == 0, self.bot.errors

    async def _end(self) -> int:
        code = await asyncio.to_thread(self.bot.end)
        assert not [mistake for mistake in MISTAKES if mistake in self.bot.errors], self.bot.errors
        await self.slack.until(lambda: not self.slack.connections)
        return code

    async def until(self, condition: Callable[[], object], *, every: float = 0.02) -> None:
        """Wait until something is true while the program runs, with a look `every` so many seconds of the machine."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert self.bot.is_there(), self.bot.errors
                await asyncio.sleep(every)

    async def pass_time(self, seconds: float) -> None:
        """Let so many seconds of the program pass."""
        await asyncio.sleep(seconds / self._speed)
        assert self.bot.is_there(), self.bot.errors

    @property
    def address(self) -> str | None:
        """Where the program serves its pages; None before it has said so."""
        found: list[str] = re.findall(r"Web: .*?(http://127[\d.]+:\d+)", self.bot.output)
        return found[-1] if found and self.bot.is_there() else None

    async def measure(self) -> dict[str, float]:
        """What the program says of itself at `/metrics`."""
        async with (
            aiohttp.ClientSession(headers={"Connection": "close"}) as client,
            client.get(f"{self.address}/metrics") as answer,
        ):
            families = list(text_string_to_metric_families(await answer.text()))
        return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}

    def watchers(self, lifetime: float) -> Watchers:
        """People with watch pages, of a program with `tests.harness.watchers.SETTINGS`, by the ids of channels."""
        clock = SharedClock(**self._fork_server.clock, clock_offset=self.clock_offset)
        return Watchers(self.clock, clock, lifetime, lambda: self.address, self._nonce_of)

    def _nonce_of(self, channel: str) -> str | None:
        rows = self.rows("SELECT channel, link_nonce FROM sessions WHERE state = 'live'")
        return next((row["link_nonce"] for row in rows if row["channel"] == channel), None)

    # --- what people do ----------------------------------------------------------------------------------------------

    async def command(self, channel: Channel, line: str, *, by: str = ANA) -> Interaction:
        """Type a slash command."""
        word, _, text = line.partition(" ")
        return await self.slack.slash(channel, self.people[by], word, text)

    async def write(self, channel: Channel, text: str, *, by: str = ANA) -> Message:
        """Write a message that mentions the app."""
        return await self.slack.write(channel, self.people[by], f"@{self.slack.bot.name} {text}")

    # --- what there is -----------------------------------------------------------------------------------------------

    def rows(self, query: str) -> list[Any]:
        """What is in the database."""
        with contextlib.closing(sqlite3.connect(self._folder / "bot.sqlite3")) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query).fetchall()

    @property
    def heard(self) -> list[str]:
        """What people have heard, in its order, without greetings.

        What was cut at its very beginning counts as not heard: the program, busy or dead, need not have learnt that it
        began. And nobody hears a stream of v3 whose playback the program was never told: it had ended by then.
        """
        unseen = self.rows("SELECT upstream_id FROM streams WHERE provider = 'heygen-realtime' AND hls_url IS NULL")
        without = {row["upstream_id"] for row in unseen}
        streams = [view for view in self.simulator.streams() if view.id not in without]
        texts = [text for view in streams for text in view.spoken if text.starts_at is not None]
        return [
            text.asked.strip()
            for text in sorted(texts, key=lambda text: text.starts_at or 0.0)
            if text.asked.strip() != GREETING and self._was_noticed(text)
        ]

    def _was_noticed(self, text: SpokenText) -> bool:
        if text.state == "interrupted":
            return (text.ends_at or 0.0) - (text.starts_at or 0.0) > NO_WORD_YET * self._speed
        return text.state in ("speaking", "spoken")

    @property
    def open_streams(self) -> set[str]:
        """Ids of what costs money now."""
        return {view.id for view in self.simulator.streams() if view.ended is None}
