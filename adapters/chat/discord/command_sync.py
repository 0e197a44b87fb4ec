"""Keeps at it until Discord has the commands. A failure keeps nobody from connecting: the bot works with the commands
that are there, and this tries again with growing pauses. Knows no request; `sync` makes them.
"""

import asyncio
from collections.abc import Sequence

import discord
import structlog
from discord import app_commands

from adapters.chat.discord import strings
from adapters.chat.discord.permissions import invite_link
from adapters.chat.discord.sync import SyncFailed, sync
from bot.core.backoff import Backoff
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected
from bot.terminal import write_line

log = structlog.get_logger(__name__)

RETRY_DELAYS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0)
"""Seconds between two attempts; our choice."""
_MAX_WAIT = 86_400.0
"""Seconds: what Discord asks for is waited out, but not for more than a day."""


class CommandSync:
    """The commands of every client of this process, one after another."""

    def __init__(self, clock: Clock, guild_ids: Sequence[int]) -> None:
        """guild_ids: `DISCORD_GUILD_IDS`; empty registers for every server."""
        self._clock = clock
        self._guild_ids = guild_ids
        self._due = asyncio.Event()
        self._told: set[int] = set()
        self.unhealthy_reason: str | None = strings.REGISTERING

    def again(self) -> None:
        """Look again now: the bot was invited to a server that did not take the commands before."""
        self._due.set()

    async def run(self, client: discord.Client, tree: app_commands.CommandTree[discord.Client]) -> None:
        """Register, and look again where that failed or `again` asks for it, until cancelled."""
        backoff = Backoff(RETRY_DELAYS)
        while True:
            self._due.clear()
            wait = await self._attempt(client, tree, backoff)
            if wait is None:
                await self._due.wait()
                continue
            timer = self._clock.call_later(wait, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()

    async def _attempt(
        self, client: discord.Client, tree: app_commands.CommandTree[discord.Client], backoff: Backoff
    ) -> float | None:
        """Try once. The seconds until the next attempt, None if none is needed."""
        try:
            shapes = [command.to_dict(tree) for command in tree.get_commands()]
            absent = await sync(client, shapes, self._guild_ids)
        except SyncFailed as error:
            return self._note(str(error), min(max(backoff.next(), error.wait), _MAX_WAIT))
        except Exception as error:  # noqa: BLE001 - whatever mistake this is, the bot can do its work without it
            report_unexpected("the commands could not be registered: unexpected error", error)
            return self._note(f"an unexpected {type(error).__name__}", backoff.next())
        backoff.reset()
        self.unhealthy_reason = None
        for guild_id in absent:
            self._tell_of(guild_id, client)
        return None

    def _note(self, what: str, wait: float) -> float:
        trouble = strings.not_registered(what)
        # The same failure again is not news.
        tell = log.info if trouble == self.unhealthy_reason else log.warning
        tell(trouble, again_in=round(wait))
        self.unhealthy_reason = trouble
        return wait

    def _tell_of(self, guild_id: int, client: discord.Client) -> None:
        if guild_id in self._told or client.application_id is None:
            return
        self._told.add(guild_id)
        log.warning("the bot is not in a server of DISCORD_GUILD_IDS", guild=guild_id)
        write_line(strings.not_in_server(guild_id, invite_link(client.application_id)))
