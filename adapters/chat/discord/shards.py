"""The shards of this process, where several processes share a database and so Discord's servers.

Discord splits the servers among shards (`client.shard_of`), and the processes split the shards: each claims free ones
up to its share, has a client for each, and owns the sessions of their servers, so no event has to travel. The rows of a
process that has ended are free, and the others claim them; one that has more than its share, as it was there first, or
that does not reach Discord, hands over. What was missed meanwhile is read up (`catch_up`).

Requests go over a client that is only logged in, since Discord counts them for the whole bot, and shards come and go.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import aiohttp
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
GIVE_UP_AFTER = 60.0
"""Seconds without a connection after which a process leaves its shards to others."""
GREETING_TIME = 10.0
"""Seconds within which the gateway greets whoever connects."""
RETRY_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before Discord is asked again how many shards it recommends, or whether its gateway answers."""


class SharedShards:
    """See the module. `run` serves until cancelled; `close` says goodbye."""

    def __init__(
        self,
        bot: Bot,
        rest: DiscordRest,
        make: Callable[[Shard | None], RelayClient],
        once: OncePerProcess,
    ) -> None:
        """`make` makes a client, of a shard or for requests alone."""
        self._bot = bot
        self._rest = rest
        self._make = make
        self._rows = bot.sessions.services.store.shards
        self._login = Connection(bot, rest, partial(make, None), once, hears=False)
        self._connections: dict[int, Connection] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._given_up: set[int] = set()
        self._waiting: set[int] = set()
        self._down_since: float | None = None
        self._of = 0
        self._buckets = 1
        self._gateway = ""
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
        """Leave every shard to the others, which can take them from now on. Goodbyes go over what is connected."""
        try:
            await self._rows.withdraw(PLATFORM)
        except StoreError as error:
            log.error("the shards of Discord are free when this process has ended", error=str(error))

    async def close(self) -> None:
        """Disconnect."""
        connections = [*self._connections.values(), self._login]
        self._connections.clear()
        await asyncio.gather(*(connection.disconnect() for connection in connections))

    # --- which are ours ----------------------------------------------------------------------------------------------

    async def _keep_share(self, group: asyncio.TaskGroup) -> None:
        while True:
            count = await self._count()
            await self._join()
            await self._share(count, group)
            self._down_since = None
            log.warning("Discord cannot be reached from here: its servers are left to the other processes for now")
            await self._until_greeted()
            log.info("Discord can be reached again")

    async def _join(self) -> None:
        while True:
            try:
                await self._rows.join(PLATFORM)
            except StoreError as error:
                self._tell(f"the shards of Discord cannot be shared yet: {error}")
                await self._bot.clock.sleep(LOOK_EVERY)
            else:
                break
        if not self._bot.cluster.directory.is_alone:
            # Those that are started together know of each other then, and none has to hand over.
            await self._bot.clock.sleep(LOOK_EVERY)

    async def _share(self, count: int, group: asyncio.TaskGroup) -> None:
        """Have this process's share of so many shards. Returns once it has left them to the others, as it could not
        connect them for `GIVE_UP_AFTER`."""
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
                if found.sharers > 1 and self._is_cut_off() and await self._hand_over(list(self._connections)):
                    await self.leave()
                    return
                if found.surplus:
                    await self._hand_over([self._least_used()])
                # Claimed while this process was alone.
                if misplaced := [number for number in found.elsewhere if self._sessions_of(number)]:
                    await self._hand_over(misplaced)
            await self._bot.clock.sleep(LOOK_EVERY)

    def _is_cut_off(self) -> bool:
        """Whether a shard has been without a connection for too long. To wait for its turn is no trouble."""
        down = [
            number
            for number, connection in self._connections.items()
            if connection.unhealthy_reason is not None and number not in self._waiting
        ]
        now = self._bot.clock.monotonic()
        self._down_since = (now if self._down_since is None else self._down_since) if down else None
        return self._down_since is not None and now - self._down_since >= GIVE_UP_AFTER

    async def _count(self) -> int:
        """How many shards there should be: as Discord recommends, or more where the operator wants that."""
        backoff = Backoff(RETRY_DELAYS)
        while True:
            try:
                # Waits for the login.
                asked = await self._rest.request("shards", lambda client: client.http.get_bot_gateway())
                recommended, self._gateway, limits = asked
                self._buckets = max(1, limits["max_concurrency"])
                return max(recommended, self._bot.settings.discord.shards)
            except (discord.HTTPException, discord.GatewayNotFound, *TRANSIENT_ERRORS) as error:
                log.warning("Discord did not say how many shards it recommends", error=str(error) or repr(error))
            await self._bot.clock.sleep(backoff.next())

    async def _until_greeted(self) -> None:
        """Wait until the gateway greets whoever connects to it. Nothing is introduced to it."""
        backoff = Backoff(RETRY_DELAYS)
        while True:
            await self._bot.clock.sleep(backoff.next())
            try:
                async with asyncio.timeout(GREETING_TIME):
                    socket = await self._rest.request(
                        "gateway", lambda client: client.http.ws_connect(f"{self._gateway}?v=10&encoding=json")
                    )
                    try:
                        if (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                            return
                    finally:
                        await socket.close()
            except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
                log.info("the gateway of Discord does not answer", error=str(error) or repr(error))

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

    def _least_used(self) -> int:
        return min(self._connections, key=lambda number: (len(self._sessions_of(number)), -number))

    async def _hand_over(self, numbers: Sequence[int]) -> bool:
        """Let other processes have shards, and their sessions. What is being said is said to the end before, over the
        connections there are. False if the database did not take it; then it is tried again."""
        self._given_up.update(numbers)
        try:
            await self._bot.sessions.settle([running for number in numbers for running in self._sessions_of(number)])
            # Before the connections end, over which they leave what they had; nobody claims them before the shards.
            await self._bot.sessions.release([each for number in numbers for each in self._sessions_of(number)])
            for number in self._connections.keys() & set(numbers):
                await self._stop(number)
            await self._rows.release(PLATFORM, numbers)
        except StoreError as error:
            # The rows are this process's still: it connects the shards again.
            self._tell(f"shards of Discord could not be handed over: {error}")
            return False
        finally:
            self._given_up.difference_update(numbers)
        write_line(strings.shards_here(sorted(self._connections), self._of))
        return True

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
        self._waiting.add(number)
        try:
            await self._bot.clock.sleep(await self._ticket(number))
        finally:
            self._waiting.discard(number)

    async def _ticket(self, number: int) -> float:
        """Seconds until the turn of a shard comes."""
        while True:
            try:
                return await self._rows.take_ticket(PLATFORM, number % self._buckets, INTRODUCE_EVERY)
            except StoreError as error:
                log.warning("a shard cannot be introduced to Discord yet", shard=number, error=str(error))
            await self._bot.clock.sleep(INTRODUCE_EVERY)

    def _tell(self, trouble: str) -> None:
        if trouble not in self._told:
            self._told.add(trouble)
            log.warning(trouble)
