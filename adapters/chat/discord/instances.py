"""The running instances of the application's Activity: in which channel each one is, and who is in front of it.

Asked of Discord, since nothing that a frame says of itself is proof: `GET /applications/{id}/activity-instances/{id}`
with the bot's token (Discord's documentation, "Multiplayer Experience"). An instance ends with the last person in it.
Answers are kept for some seconds, and one question goes out for all who want to know the same.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import discord
import structlog
from cachetools import LRUCache

from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest, application_of
from bot.core.errors import EmbedUnavailable, LinkInvalid
from bot.core.models import Channel
from bot.core.ports import Clock
from bot.core.tasks import TaskSet

log = structlog.get_logger(__name__)

INSTANCE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""What an instance's id is made of; real ones have some 70 characters. Nothing is read from it."""

YOUNG = (0.5, 1.0, 1.5)
"""Seconds between questions about an instance that Discord does not know yet: its frame may be there first."""
NEVER_AGAIN = 5.0
"""Seconds in which an id that Discord does not know is not asked for again."""
GRACE = 120.0
"""Seconds for which an instance counts as running while Discord does not answer."""
_ASK_TIME = 8.0
"""Seconds of one question."""
_AT_ONCE = 4
"""Questions that are under way at a time."""
MAX_WAITING = 200
"""Instances that are asked for, waiting included; beyond that somebody is guessing ids."""
MAX_KNOWN = 2_000
"""Instances that are remembered."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance. people: ids of the users in front of it. A channel of no server has no workspace."""

    channel: Channel
    people: frozenset[str]


@dataclass(slots=True)
class _Known:
    """What is known of an id. instance: None if Discord knows none. asked_at: when it was asked for last, told_at: when
    it last answered, on the clock."""

    instance: Instance | None
    asked_at: float
    told_at: float


class Instances:
    """Looks instances up."""

    def __init__(self, connection: DiscordRest, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._known: LRUCache[str, _Known] = LRUCache(MAX_KNOWN)
        self._asking: dict[str, asyncio.Future[Instance | None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tasks = TaskSet()

    async def look_up(self, instance_id: str, *, max_age: float) -> Instance:
        """An instance, as it was at most `max_age` seconds ago. Raises `LinkInvalid` if there is none (any more), and
        `EmbedUnavailable` if that cannot be known right now."""
        known = self._known.get(instance_id)
        if known is None or self._clock.monotonic() - known.asked_at > (max_age if known.instance else NEVER_AGAIN):
            instance = await asyncio.shield(self._question(instance_id))
        else:
            instance = known.instance
        if instance is None:
            raise LinkInvalid("expired")
        return instance

    async def close(self) -> None:
        """Stop asking."""
        await self._tasks.close()

    def _question(self, instance_id: str) -> "asyncio.Future[Instance | None]":
        if (question := self._asking.get(instance_id)) is None:
            if len(self._asking) >= MAX_WAITING:
                raise EmbedUnavailable("too many instances are asked for at once")
            question = self._asking[instance_id] = asyncio.get_running_loop().create_future()
            self._tasks.create_task(self._answer(instance_id, question), name="activity instance")
        return question

    async def _answer(self, instance_id: str, question: "asyncio.Future[Instance | None]") -> None:
        failure = EmbedUnavailable("the bot leaves Discord")
        try:
            question.set_result(await self._find(instance_id))
        except EmbedUnavailable as error:
            failure = error
        finally:
            del self._asking[instance_id]
            if not question.done():
                question.set_exception(failure)
                question.exception()  # those who wanted to know may have left

    async def _find(self, instance_id: str) -> Instance | None:
        known = self._known.get(instance_id)
        is_young = known is None or known.instance is None
        try:
            instance = await self._ask(instance_id)
            for pause in YOUNG if is_young else ():
                if instance is not None:
                    break
                await self._clock.sleep(pause)
                instance = await self._ask(instance_id)
        except EmbedUnavailable:
            now = self._clock.monotonic()
            if known is None or known.instance is None or now - known.told_at > GRACE:
                raise
            known.asked_at = now
            return known.instance
        now = self._clock.monotonic()
        self._known[instance_id] = _Known(instance, now, now)
        return instance

    async def _ask(self, instance_id: str) -> Instance | None:
        client = self._connection.client
        if client is None:
            raise EmbedUnavailable("the bot is not connected to Discord")
        application = application_of(client)
        route = discord.http.Route(
            "GET",
            "/applications/{application_id}/activity-instances/{instance_id}",
            application_id=application,
            instance_id=instance_id,
        )
        try:
            async with self._room, asyncio.timeout(_ASK_TIME):
                answer = await client.http.request(route)
            return _read(answer, application, instance_id)
        except discord.NotFound:
            return None
        except (discord.HTTPException, RuntimeError, *TRANSIENT_ERRORS) as error:
            # RuntimeError: aiohttp's, where the client has reconnected meanwhile.
            raise EmbedUnavailable(f"an instance could not be looked up: {error!r}") from error
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            # discord.py treats whatever it gets as Discord's JSON.
            raise EmbedUnavailable(f"the answer is not Discord's ({type(error).__name__})") from error


def _read(answer: Any, application: int, instance_id: str) -> Instance | None:
    """The instance in Discord's answer; None if it is one of another application or another one altogether."""
    if str(answer["application_id"]) != str(application) or answer["instance_id"] != instance_id:
        log.warning("Discord answered with another instance than it was asked for")
        return None
    location = answer["location"]
    guild = str(location["guild_id"]) if location["kind"] == "gc" else ""
    return Instance(Channel(PLATFORM, guild, str(location["channel_id"])), frozenset(map(str, answer["users"])))
