"""The shards of this process, where several processes share a database and so Discord's servers.

Discord splits the servers among shards (`client.shard_of`), and the processes split the shards: each claims free ones
up to its share, has a client for each, and owns the sessions of their servers, so no event has to travel. The rows of a
process that has ended are free, and the others claim them; one that has more than its share, as it was there first,
hands over. What was missed meanwhile is read up (`catch_up`).

Requests go over a client that is only logged in, since Discord counts them for the whole bot, and shards come and go.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.client import INTRODUCE_EVERY, RelayClient, Shard, shard_of
from adapters.chat.discord.connection import Connection, OncePerProcess
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest
from bot.core.backoff import Backoff
from bot.core.errors import SettingsError, StoreError
from bot.core.models import Channel
from bot.core.tasks import cancel_and_wait
from bot.facade import Bot
from bot.sessions.session import AvatarSession
from bot.store.shards import Shards
from bot.terminal import write_line

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds between looks at who has which shard: a dead process's are taken within that."""
RETRY_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before Discord is asked again how many shards it recommends."""


class SharedShards:
    """See the module. `run` serves until cancelled; `close` says goodbye."""

    def __init__(
        self,
        bot: Bot,
        rest: DiscordRest,
        make: Callable[[Shard | None], RelayClient],
        once: OncePerProcess,
        let_go: Callable[[str], Awaitable[None]],
    ) -> None:
        """`make` makes a client, of a shard or for requests alone. `let_go` has nothing more shown of a session, by its
        id: another process goes on with it."""
        self._bot = bot
        self._rest = rest
        self._make = make
        self._let_go = let_go
        self._rows = bot.sessions.services.store.shards
        self._login = Connection(bot, rest, partial(make, None), once, hears=False)
        self._connections: dict[int, Connection] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._given_up: set[int] = set()
        self._of = 0
        self._buckets = 1
        self._told: set[str] = set()

    @property
    def unhealthy_reason(self) -> str | None:
        """Why nothing can come in right now, or not all that belongs here. Without a shard all is well, as others have
        them."""
        if self._login.unhealthy_reason is not None or not self._of:
            return self._login.unhealthy_reason or strings.CONNECTING
        troubles = (connection.unhealthy_reason for connection in self._connections.values())
        return next((trouble for trouble in troubles if trouble is not None), None)

    def may_own(self, channel: Channel) -> bool:
        """Whether the sessions of a channel belong to this process."""
        return self._of > 0 and shard_of(int(channel.workspace), self._of) in self._connections.keys() - self._given_up

    async def run(self) -> None:
        """Have this process's share of the shards, and connect them. Raises `SettingsError` as `Connection.run`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._login.run(), name="discord login")
                await self._keep_share(group)
        except* SettingsError as errors:
            raise SettingsError(str(errors.exceptions[0])) from None

    async def leave(self) -> None:
        """Give every shard to the others, which can take them from now on; the goodbyes still go over this process's
        connections."""
        try:
            await self._rows.release(PLATFORM, list(self._connections))
        except StoreError as error:
            log.error("the shards of Discord are free when this process has ended", error=str(error))

    async def close(self) -> None:
        """Disconnect."""
        connections = [*self._connections.values(), self._login]
        self._connections.clear()
        await asyncio.gather(*(connection.disconnect() for connection in connections))

    # --- which are ours ----------------------------------------------------------------------------------------------

    async def _keep_share(self, group: asyncio.TaskGroup) -> None:
        count = await self._count()
        is_first = True
        while True:
            try:
                found = await self._rows.look(PLATFORM)
                if is_first or found.wanted:
                    found = await self._rows.claim(PLATFORM, count)
            except StoreError as error:
                self._tell(f"who has which shard of Discord is not known: {error}")
            else:
                if is_first and found.of != count:
                    log.warning(strings.other_shards(found.of, count))
                is_first = False
                self._told.clear()
                await self._have(found, group)
                if found.surplus:
                    await self._hand_over_one()
            await self._bot.clock.sleep(LOOK_EVERY)

    async def _count(self) -> int:
        """How many shards there should be: as Discord recommends, or more where the operator wants that."""
        backoff = Backoff(RETRY_DELAYS)
        while True:
            try:
                # Waits for the login.
                asked = await self._rest.request("shards", lambda client: client.http.get_bot_gateway())
                recommended, _, limits = asked
                self._buckets = max(1, limits["max_concurrency"])
                return max(recommended, self._bot.settings.discord.shards)
            except (discord.HTTPException, discord.GatewayNotFound, *TRANSIENT_ERRORS) as error:
                log.warning("Discord did not say how many shards it recommends", error=str(error) or repr(error))
            await self._bot.clock.sleep(backoff.next())

    async def _have(self, found: Shards, group: asyncio.TaskGroup) -> None:
        self._of = found.of
        gone, new = self._connections.keys() - found.mine, found.mine - self._connections.keys()
        for number in gone:
            await self._stop(number)
        for number in sorted(new):
            shard = Shard(number, found.of, self._introduce)
            connection = Connection(self._bot, self._rest, partial(self._make, shard), None, is_known=True)
            self._connections[number] = connection
            self._serving[number] = group.create_task(connection.run(), name=f"discord shard {number}")
        if gone or new:
            line = strings.shards_here(sorted(found.mine), found.of)
            log.info(line)
            write_line(line)
            self._bot.cluster.claims.hurry()

    async def _hand_over_one(self) -> None:
        """Let another process have the shard with the fewest sessions. What is being said is said to the end before,
        over the connection there is."""
        of_shard = {number: self._sessions_of(number) for number in self._connections}
        number = min(of_shard, key=lambda number: (len(of_shard[number]), -number))
        self._given_up.add(number)
        try:
            await self._bot.sessions.settle(self._sessions_of(number))
            released = self._sessions_of(number)
            for running in released:
                await self._let_go(running.session.id)
            await self._stop(number)
            await self._bot.sessions.release(released)
            await self._rows.release(PLATFORM, [number])
        except StoreError as error:
            # The row is this process's still: it connects the shard again, and tries again later.
            self._tell(f"a shard of Discord could not be handed over: {error}")
        else:
            write_line(strings.shards_here(sorted(self._connections), self._of))
        finally:
            self._given_up.discard(number)

    def _sessions_of(self, number: int) -> list[AvatarSession]:
        return [
            running
            for running in self._bot.sessions
            if running.session.channel.platform == PLATFORM
            and shard_of(int(running.session.channel.workspace), self._of) == number
        ]

    async def _stop(self, number: int) -> None:
        connection = self._connections.pop(number)
        await cancel_and_wait(self._serving.pop(number), again_after=1.0)
        await connection.disconnect()

    async def _introduce(self, number: int) -> None:
        """Wait until Discord takes a shard: one of a bucket at a time, over all processes."""
        while True:
            try:
                wait = await self._rows.take_ticket(PLATFORM, number % self._buckets, INTRODUCE_EVERY)
            except StoreError as error:
                log.warning("a shard cannot be introduced to Discord yet", shard=number, error=str(error))
                await self._bot.clock.sleep(INTRODUCE_EVERY)
            else:
                await self._bot.clock.sleep(max(0.0, wait))
                return

    def _tell(self, trouble: str) -> None:
        if trouble not in self._told:
            self._told.add(trouble)
            log.warning(trouble)
