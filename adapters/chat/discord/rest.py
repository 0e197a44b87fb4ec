"""The way to Discord's REST API for whoever has something to post: waits for the login, repeats what may be; and to
what discord.py knows of a server.

There are clients one after another (a new one after each failed connection), and beside each other where processes
share the shards (`shards`): the first that is logged in makes the requests, so that one client counts what Discord lets
a bot do. Each knows the servers of its own shards alone. Nobody else keeps one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import discord
import structlog

from adapters.chat.redraw import Drawn, of_status
from bot.core.ports import Clock

log = structlog.get_logger(__name__)

T = TypeVar("T")

TRANSIENT_ERRORS = (discord.DiscordServerError, discord.RateLimited, aiohttp.ClientError, OSError, TimeoutError)
"""Trouble that says nothing about the request: it may work a little later."""


def is_passing(error: Exception) -> bool:
    """Whether the same request may work a little later (`adapters.chat.redraw`)."""
    if isinstance(error, discord.HTTPException):
        return of_status(error.status) is Drawn.AGAIN
    return isinstance(error, TRANSIENT_ERRORS)


def application_of(client: discord.Client) -> int:
    """The application's id, of a client that has logged in."""
    assert client.application_id is not None  # noqa: S101 - logging in has told it
    return client.application_id


_TRIES = 5
_REQUEST_TIME = 60.0
"""Seconds of one request, the waits that Discord's rate limits ask for included."""
_FIRST_PAUSE = 1.0


class DiscordRest:
    """Holds the clients that are logged in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._clients: list[discord.Client] = []
        self._logged_in = asyncio.Event()

    def open(self, client: discord.Client) -> None:
        """A client has logged in."""
        self._clients.append(client)
        self._logged_in.set()

    def close(self, client: discord.Client) -> None:
        """A client is no longer of use."""
        if client in self._clients:
            self._clients.remove(client)
        if not self._clients:
            self._logged_in.clear()

    @property
    def client(self) -> discord.Client | None:
        """The client that makes requests, while one is logged in."""
        return self._clients[0] if self._clients else None

    def client_of(self, guild_id: int) -> discord.Client | None:
        """The client that knows a server; None if none here does."""
        return next((client for client in self._clients if client.get_guild(guild_id) is not None), None)

    def guild(self, guild_id: int) -> discord.Guild | None:
        """What discord.py knows of a server; None if nothing."""
        return next(filter(None, (client.get_guild(guild_id) for client in self._clients)), None)

    async def request(
        self, what: str, work: Callable[[discord.Client], Awaitable[T]], *, knows: int | None = None
    ) -> T:
        """Make a request that does no harm when it is made twice (an edit, a reaction, a message with its own nonce).

        Waits for the login, and repeats it a few times on passing trouble. knows: a server, where `work` looks at what
        the client knows of it. Raises what discord.py raises.
        """
        pause = _FIRST_PAUSE
        for attempt in range(1, _TRIES + 1):
            await self._logged_in.wait()
            client = (self.client_of(knows) if knows is not None else None) or self.client
            if client is None:
                continue
            try:
                async with asyncio.timeout(_REQUEST_TIME):
                    return await work(client)
            except RuntimeError:
                # aiohttp's word for a session that was closed, as the client's is when it reconnects.
                if client in self._clients:
                    raise
                continue
            except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
                if attempt == _TRIES or not is_passing(error):
                    raise
                log.info("Discord did not take a request; trying again", what=what, error=str(error) or repr(error))
                asked = error.retry_after if isinstance(error, discord.RateLimited) else 0.0
            await self._clock.sleep(max(pause, min(asked, _REQUEST_TIME)))
            pause *= 2
        raise TimeoutError(f"{what}: no connection to Discord")
