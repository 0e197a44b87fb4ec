"""One connection to Discord: log in, connect, wait out what passes, give up on what only the operator can change.

There is a client for each attempt, one after another; what comes over it is handled elsewhere (`client`).
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.activity import Activity
from adapters.chat.discord.client import RelayClient
from adapters.chat.discord.command_sync import CommandSync
from adapters.chat.discord.errors import in_words, told
from adapters.chat.discord.permissions import invite_link
from adapters.chat.discord.rest import DiscordRest, application_of
from bot.core.backoff import Backoff
from bot.core.errors import SettingsError
from bot.core.tasks import cancel_and_wait
from bot.facade import Bot
from bot.terminal import write_line

log = structlog.get_logger(__name__)

RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds before the bot connects again, from the beginning after each connection that came about."""
_DISCONNECT_TIME = 0.5
_MAX_WAIT = 3600.0
"""Seconds: what Discord asks for is waited out, but not for more than an hour."""
_TOKEN_REFUSED = 4004
"""The gateway's close code for a token that is no longer good."""
_TOO_MANY_REQUESTS = 429
_TIRED = 500


@dataclass(frozen=True, slots=True)
class OncePerProcess:
    """What one connection of a process looks after: the commands at Discord, and what it tells of the application."""

    commands: CommandSync
    activity: Activity


class Connection:
    """See the module. client: the newest one, None before the first and after `disconnect`."""

    def __init__(
        self,
        bot: Bot,
        rest: DiscordRest,
        make: Callable[[], RelayClient],
        once: OncePerProcess | None,
        *,
        hears: bool = True,
        is_known: bool = False,
    ) -> None:
        """`make` makes a client. `once`: where it is this connection that looks after that. hears: it connects to the
        gateway; without, it makes requests alone. is_known: what answers has proven to be Discord."""
        self._bot = bot
        self._rest = rest
        self._make = make
        self._once = once
        self._hears = hears
        self._has_served = is_known
        self._disconnected_because: str = strings.CONNECTING
        self.client: RelayClient | None = None

    @property
    def unhealthy_reason(self) -> str | None:
        """Why nothing can come in over it right now."""
        client = self.client
        if client is None or not (client.has_connected if self._hears else client.application is not None):
            return self._disconnected_because
        if client.is_closed() or (self._hears and not client.hears_everything):
            return strings.DISCONNECTED
        return None

    async def run(self) -> None:
        """Connect and serve until cancelled. The client itself stays then, so that goodbyes can be said over it.

        Raises `SettingsError` for a token or an intent that Discord refuses.
        """
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
            had_connected = self.client is not None and self.client.has_connected
            await self.disconnect()
            if had_connected:
                backoff.reset()
            # Many bots that lost Discord together should not come back together.
            pause = max(backoff.next() * random.uniform(0.5, 1.0), min(asked, _MAX_WAIT))  # noqa: S311 - no secret
            log.info("connecting to Discord again", seconds=round(pause, 1))
            await self._bot.clock.sleep(pause)

    async def disconnect(self) -> None:
        """Say goodbye, and let the client go."""
        client, self.client = self.client, None
        if client is None:
            return
        self._has_served = self._has_served or client.has_connected
        self._rest.close(client)
        try:
            async with asyncio.timeout(_DISCONNECT_TIME):
                await client.close()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.info("Discord did not say goodbye", error=str(error) or repr(error))
            # What the goodbye would have closed at its end.
            await client.http.close()

    async def _serve(self) -> None:
        client = self.client = self._make()
        await self._log_in(client)
        self._rest.open(client)
        if self._once is None:
            await self._stay_connected(client)
            return
        self._once.activity.learn(client)
        work = self._once.commands.run(client, client.tree)
        registering = asyncio.create_task(work, name="discord commands")
        try:
            await self._stay_connected(client)
        finally:
            await cancel_and_wait(registering)
            await asyncio.gather(registering, return_exceptions=True)

    async def _stay_connected(self, client: RelayClient) -> None:
        link = invite_link(application_of(client))
        if not self._hears:
            write_line(strings.logged_in(str(client.user), link))
            await asyncio.Event().wait()
        connecting = asyncio.create_task(client.connect(), name="discord gateway")
        try:
            ready = asyncio.create_task(client.wait_until_ready(), name="discord ready")
            await asyncio.wait({connecting, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not connecting.done():
                log.info("connected to Discord", name=str(client.user), servers=len(client.guilds), invite=link)
                if self._once is not None:
                    write_line(strings.connected(str(client.user), len(client.guilds), link))
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)
            await asyncio.shield(connecting)
        finally:
            await cancel_and_wait(connecting, again_after=1.0)
            await asyncio.gather(connecting, return_exceptions=True)

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
