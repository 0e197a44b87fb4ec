"""The Discord adapter's life: its parts, what is shown, and the goodbye. How it connects is in `connection`, with other
processes on the database in `shards`; what is said and shown is decided in the other modules.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import discord

from adapters.chat.discord import missing_settings
from adapters.chat.discord.activity import Activity
from adapters.chat.discord.catch_up import CatchUp
from adapters.chat.discord.client import EventHandlers, RelayClient, Shard
from adapters.chat.discord.command_sync import CommandSync
from adapters.chat.discord.connection import Connection, OncePerProcess
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.frames import DiscordFrames
from adapters.chat.discord.interactions import Interactions
from adapters.chat.discord.lifecycle import GuildLifecycle
from adapters.chat.discord.log_filters import shortened
from adapters.chat.discord.messages import Messages
from adapters.chat.discord.outbox import Notices, Outbox
from adapters.chat.discord.panels import Panels
from adapters.chat.discord.reactions import Reactions
from adapters.chat.discord.rest import DiscordRest
from adapters.chat.discord.shards import SharedShards
from adapters.chat.discord.voice.outlets import DiscordOutlets
from bot.core.events import LeftUnsaid, Notice, SessionChanged, SessionEvent, UtteranceChanged
from bot.core.models import Session
from bot.facade import Bot, EmbedHost, WebRoute
from bot.settings import Settings

DRAIN_TIMEOUT = 1.5
"""Seconds for what must still be shown when the bot leaves; the port allows 2 for this and the disconnection."""


class DiscordAdapter:
    """Discord as a chat platform."""

    name = PLATFORM
    routes: Sequence[WebRoute] = ()

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._rest = DiscordRest(bot.clock)
        self._outbox = outbox = Outbox(self._rest)
        self._reactions = reactions = Reactions(self._rest, bot.clock, bot.sessions.services.precedence)
        self._activity = Activity(bot)
        self._frames = DiscordFrames(bot, self._activity, self._rest)
        self.embed: EmbedHost | None = self._frames
        self._panels = Panels(bot, self._rest, self._activity)
        self._notices = Notices(bot, outbox)
        self._interactions = Interactions(bot, outbox, self._activity)
        self._messages = Messages(bot, outbox, reactions)
        self._catch_up = CatchUp(bot, self._rest, self._messages)
        self._lifecycle = GuildLifecycle(bot)
        self._voice = DiscordOutlets(bot, self._rest)
        self._commands = CommandSync(bot.clock, bot.settings.discord.guild_ids)
        self._listeners = EventHandlers(
            self._interactions,
            self._messages,
            self._panels,
            self._lifecycle,
            self._commands,
            self._voice,
            self._catch_up,
        )
        once = OncePerProcess(self._commands, self._activity)
        self._connection = Connection(bot, self._rest, self._make_client, once)
        is_shared = bot.sessions.services.store.is_shared
        self._shards: SharedShards | None = None
        if is_shared:
            self._shards = SharedShards(bot, self._rest, self._make_client, once)
            bot.cluster.claims.allow_only(PLATFORM, self._shards.may_own)
            bot.cluster.claims.when_claimed(PLATFORM, self._go_on)
            bot.cluster.claims.when_ended(PLATFORM, self._take_up_left)
            bot.cluster.claims.before_release(PLATFORM, self._let_go)

    @classmethod
    def missing_settings(cls, settings: Settings) -> str | None:
        """The token."""
        return missing_settings(settings)

    @property
    def unhealthy_reason(self) -> str | None:
        """Why messages cannot come in right now."""
        connection = self._shards or self._connection
        return connection.unhealthy_reason or self._commands.unhealthy_reason

    async def __aenter__(self) -> Self:
        # Process-wide, since discord.py has it nowhere else; one process talks to one Discord.
        discord.http.Route.BASE = self._bot.settings.discord.api_url.rstrip("/")
        self._panels.restore()
        self._frames.begin()
        await self._voice.prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._panels.hurry()
        await self._voice.close()
        if self._rest.client is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    await self._all_shown()
        parts = self._catch_up, self._interactions, self._messages, self._lifecycle, self._panels
        for part in (*parts, self._outbox, self._reactions):
            await part.close()
        await self._frames.close()
        await self._disconnect()

    async def _all_shown(self) -> None:
        for part in (self._interactions, self._panels, self._outbox, self._reactions):
            await part.drained()

    async def show(self, event: SessionEvent) -> None:
        """Show something that happened; what needs a request is only handed over here."""
        match event:
            case SessionChanged(view):
                self._panels.show(view)
                self._voice.show(view)
            case Notice():
                self._notices.show(event)
            case LeftUnsaid():
                self._interactions.tell_people(event)
            case UtteranceChanged(channel, utterance):
                if self._bot.settings.session.reactions:
                    self._reactions.show(channel, utterance, event.delivery)
                self._notices.show_answer(event)

    # --- connecting --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect and serve. Raises `SettingsError` for a token or an intent that Discord refuses.

        May be called again after it failed: a new client is made, and what is still to be shown waits for its login.
        """
        await self._disconnect()
        self._interactions.is_leaving = self._messages.is_leaving = False
        try:
            with shortened():
                await (self._shards or self._connection).run()
        except Exception:
            await self._disconnect()
            raise
        except asyncio.CancelledError:
            # From here on sessions only close; what people still write finds nobody.
            self._interactions.is_leaving = self._messages.is_leaving = True
            if self._shards is not None:
                await self._shards.leave()
            raise

    async def _go_on(self, sessions: Sequence[Session]) -> None:
        """Sessions were claimed that another process had."""
        for session in sessions:
            if (running := self._bot.sessions.with_id(session.id)) is not None:
                self._catch_up.session_adopted(running)
        self._panels.take_up_left(session.id for session in sessions)
        self._voice.return_to_places()

    async def _take_up_left(self) -> None:
        self._panels.take_up_left()

    async def _let_go(self, session_id: str) -> None:
        await self._voice.let_go(session_id)
        await self._panels.let_go(session_id)

    async def _disconnect(self) -> None:
        if self._shards is not None:
            await self._shards.close()
        await self._connection.disconnect()

    def _make_client(self, shard: Shard | None = None) -> RelayClient:
        return RelayClient(self._bot, self._listeners, shard)
