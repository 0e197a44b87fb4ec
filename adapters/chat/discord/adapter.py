"""The Discord adapter's life: log in, connect, wait out what passes, give up on what only the operator can change, and
say goodbye. What is said and shown is decided in the other modules.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import aiohttp
import discord
import structlog

from adapters.chat.discord import missing_settings, strings
from adapters.chat.discord.activity import Activity
from adapters.chat.discord.client import EventHandlers, RelayClient
from adapters.chat.discord.command_sync import CommandSync
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.errors import in_words, told
from adapters.chat.discord.frames import DiscordFrames
from adapters.chat.discord.interactions import Interactions
from adapters.chat.discord.lifecycle import GuildLifecycle
from adapters.chat.discord.log_filters import shortened
from adapters.chat.discord.messages import Messages
from adapters.chat.discord.outbox import Notices, Outbox
from adapters.chat.discord.panels import Panels
from adapters.chat.discord.permissions import invite_link
from adapters.chat.discord.reactions import Reactions
from adapters.chat.discord.rest import DiscordRest, application_of
from adapters.chat.discord.voice.outlets import DiscordOutlets
from bot.core.backoff import Backoff
from bot.core.errors import SettingsError
from bot.core.events import LeftUnsaid, Notice, SessionChanged, SessionEvent, UtteranceChanged
from bot.core.tasks import cancel_and_wait
from bot.facade import Bot, EmbedHost, WebRoute
from bot.settings import Settings
from bot.terminal import write_line

log = structlog.get_logger(__name__)

DRAIN_TIMEOUT = 1.5
"""Seconds for what must still be shown when the bot leaves; the port allows 2 for this and the disconnection."""
_DISCONNECT_TIME = 0.5
RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds before the bot connects again, from the beginning after each connection that came about."""
_MAX_WAIT = 3600.0
"""Seconds: what Discord asks for is waited out, but not for more than an hour."""
_TOKEN_REFUSED = 4004
"""The gateway's close code for a token that is no longer good."""
_TOO_MANY_REQUESTS = 429
_TIRED = 500


class DiscordAdapter:
    """Discord as a chat platform."""

    name = PLATFORM
    routes: Sequence[WebRoute] = ()

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._connection = DiscordRest(bot.clock)
        outbox, reactions = Outbox(self._connection), Reactions(self._connection, bot.clock)
        self._outbox = outbox
        self._reactions = reactions
        self._activity = Activity(bot)
        self._frames = DiscordFrames(bot, self._activity, self._connection)
        self.embed: EmbedHost | None = self._frames
        self._panels = Panels(bot, self._connection, self._activity)
        self._notices = Notices(bot, outbox)
        self._interactions = Interactions(bot, outbox, self._activity)
        self._messages = Messages(bot, outbox, reactions)
        self._lifecycle = GuildLifecycle(bot)
        self._voice = DiscordOutlets(bot, self._connection)
        self._commands = CommandSync(bot.clock, bot.settings.discord.guild_ids)
        self._client: RelayClient | None = None
        self._disconnected_because: str = strings.CONNECTING
        self._has_served = False

    @classmethod
    def missing_settings(cls, settings: Settings) -> str | None:
        """The token."""
        return missing_settings(settings)

    @property
    def unhealthy_reason(self) -> str | None:
        """Why messages cannot come in right now."""
        client = self._client
        if client is None or not client.has_connected:
            return self._disconnected_because
        if not client.hears_everything or client.is_closed():
            return strings.DISCONNECTED
        return self._commands.unhealthy_reason

    async def __aenter__(self) -> Self:
        # Process-wide, since discord.py has it nowhere else; one process talks to one Discord.
        discord.http.Route.BASE = self._bot.settings.discord.api_url.rstrip("/")
        self._panels.restore()
        await self._voice.prepare()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._panels.hurry()
        await self._voice.close()
        if self._connection.client is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    await self._all_shown()
        for part in (self._interactions, self._messages, self._lifecycle, self._panels, self._outbox, self._reactions):
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
                    self._reactions.show(channel, utterance)
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
                await self._serve_for_ever()
        except Exception:
            await self._disconnect()
            raise
        except asyncio.CancelledError:
            # From here on sessions only close; what people still write finds nobody.
            self._interactions.is_leaving = self._messages.is_leaving = True
            raise

    async def _serve_for_ever(self) -> None:
        backoff = Backoff(RETRY_DELAYS)
        while True:
            asked = 0.0
            try:
                await self._serve()
            except discord.PrivilegedIntentsRequired:
                raise SettingsError(strings.INTENT_MISSING) from None
            except discord.ConnectionClosed as error:
                if error.code == _TOKEN_REFUSED:
                    raise SettingsError(strings.TOKEN_REFUSED) from None
                log.warning("Discord has closed the connection", code=error.code)
            except (
                discord.HTTPException, discord.RateLimited, discord.GatewayNotFound, aiohttp.ClientError, OSError,
            ) as error:  # fmt: skip
                asked = error.retry_after if isinstance(error, discord.RateLimited) else 0.0
                self._disconnected_because = in_words(error)
                log.warning(self._disconnected_because, error=told(error))
            had_connected = self._client is not None and self._client.has_connected
            await self._disconnect()
            if had_connected:
                backoff.reset()
            # Many bots that lost Discord together should not come back together.
            pause = max(backoff.next() * random.uniform(0.5, 1.0), min(asked, _MAX_WAIT))  # noqa: S311 - no secret
            log.info("connecting to Discord again", seconds=round(pause, 1))
            await self._bot.clock.sleep(pause)

    async def _serve(self) -> None:
        listeners = EventHandlers(
            self._interactions, self._messages, self._panels, self._lifecycle, self._commands, self._voice
        )
        client = self._client = RelayClient(self._bot, listeners)
        await self._log_in(client)
        self._activity.learn(client)
        link = invite_link(application_of(client))
        self._connection.open(client)
        registering = asyncio.create_task(self._commands.run(client, client.tree), name="discord commands")
        connecting = asyncio.create_task(client.connect(), name="discord gateway")
        try:
            ready = asyncio.create_task(client.wait_until_ready(), name="discord ready")
            await asyncio.wait({connecting, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not connecting.done():
                log.info("connected to Discord", name=str(client.user), servers=len(client.guilds), invite=link)
                write_line(strings.connected(str(client.user), len(client.guilds), link))
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)
            await asyncio.shield(connecting)
        finally:
            # The client itself stays until the bot leaves, so that goodbyes can be said over it.
            await cancel_and_wait(registering)
            await cancel_and_wait(connecting, again_after=1.0)
            await asyncio.gather(registering, connecting, return_exceptions=True)

    async def _log_in(self, client: RelayClient) -> None:
        token, url = self._bot.settings.discord.token, self._bot.settings.discord.api_url
        assert token is not None  # noqa: S101 - `missing` asks for it
        try:
            await client.login(token.get_secret_value())
        except discord.LoginFailure:
            raise SettingsError(strings.TOKEN_REFUSED) from None
        except discord.HTTPException as error:
            if self._has_served or error.status == _TOO_MANY_REQUESTS or error.status >= _TIRED:
                raise
            raise SettingsError(strings.wrong_api(url, f"HTTP {error.status}")) from None
        except (TypeError, KeyError, ValueError):
            # discord.py treats whatever it gets as Discord's JSON; a page of something else ends here.
            log.debug("no Discord at DISCORD_API_URL", exc_info=True)
            if self._has_served:
                # It was Discord before: something on the way answers in its place, which passes.
                raise ConnectionError("not Discord's JSON") from None
            raise SettingsError(strings.wrong_api(url, "not Discord's JSON")) from None

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._has_served = self._has_served or (client is not None and client.has_connected)
        self._connection.close()
        if client is not None:
            try:
                async with asyncio.timeout(_DISCONNECT_TIME):
                    await client.close()
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                log.info("Discord did not say goodbye", error=str(error) or repr(error))
                # What the goodbye would have closed at its end.
                await client.http.close()
