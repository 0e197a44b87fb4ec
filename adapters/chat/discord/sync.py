"""Brings the commands that Discord has in line with ours: only where their shape has changed, in one scope, with stale
copies removed. One attempt; `command_sync` decides when there is another.

What Discord has is asked of Discord, so nothing has to be remembered. A command that is registered both globally and in
a server appears there twice, which is why the other scope is emptied first. Commands of a kind that is not made here,
such as the entry point of an application with Activities, belong to somebody else: an overwrite hands them back as they
are, since Discord refuses one that leaves the entry point out (400, code 50240).
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp
import discord
import structlog

from adapters.chat.discord.rest import application_of

log = structlog.get_logger(__name__)

T = TypeVar("T")

OUR_TYPES = (1, 2, 3)
"""Slash commands and the entries of context menus; an entry point is 4."""
REQUEST_TIME = 60.0
"""Seconds of one request, the waits that Discord's rate limits ask for included."""
_NOT_THERE = (403, 404)
_NO_MEMBER = (10004, 50001)
"""Unknown Guild and Missing Access: the bot was not invited to that server, or without the scope for commands."""

_DEFAULTS: dict[str, Any] = {"type": 1, "required": False, "autocomplete": False, "nsfw": False, "description": ""}
_KEPT = (
    "name", "type", "description", "required", "autocomplete", "min_length", "max_length", "nsfw",
    "default_member_permissions",
)  # fmt: skip
_HANDED_BACK = (
    "id", "type", "name", "name_localizations", "description", "description_localizations", "handler",
    "integration_types", "contexts", "default_member_permissions", "nsfw", "options",
)  # fmt: skip
"""The fields of a command that an overwrite takes; Discord shows more (its OpenAPI file)."""


class SyncFailed(Exception):
    """A request that the commands needed has failed. The message names it and says how, for the operator.

    status, code: HTTP's and Discord's, 0 where there was no answer. wait: seconds that Discord asked for.
    """

    def __init__(self, request: str, how: str, *, status: int = 0, code: int = 0, wait: float = 0.0) -> None:
        super().__init__(f"{request}: {how}")
        self.status = status
        self.code = code
        self.wait = wait

    @property
    def is_no_member(self) -> bool:
        """Whether the bot is not in the server that was asked for, which only an invitation changes."""
        return self.status in _NOT_THERE and self.code in _NO_MEMBER


async def sync(client: discord.Client, shapes: Sequence[Mapping[str, Any]], guild_ids: Sequence[int]) -> list[int]:
    """Bring what Discord has in line; returns the servers of `guild_ids` that the bot has not been invited to.

    shapes: the commands as Discord takes them. guild_ids: `DISCORD_GUILD_IDS`; empty registers globally. Raises
    `SyncFailed`; what could be done besides is done.
    """
    if not guild_ids:
        await _sync_globally(client, shapes)
        return []
    failures: list[SyncFailed] = []
    absent: list[int] = []
    try:
        await _empty(client, None)
    except SyncFailed as error:
        failures.append(error)
    for guild_id in guild_ids:
        try:
            there = await registered(client, guild_id)
            if not _same(there, shapes):
                await _overwrite(client, guild_id, shapes, there)
        except SyncFailed as error:
            if error.is_no_member:
                absent.append(guild_id)
            else:
                failures.append(error)
    if failures:
        raise failures[0]
    return absent


async def registered(client: discord.Client, guild_id: int | None) -> list[Mapping[str, Any]]:
    """The commands of one server, or the global ones. Raises `SyncFailed`."""
    # Not by `get_global_commands`: discord.py 2.7.1 does not ask for the translations, and without them an overwrite
    # would take those of somebody else's command away.
    application = application_of(client)
    route = (
        discord.http.Route("GET", "/applications/{application_id}/commands", application_id=application)
        if guild_id is None
        else discord.http.Route(
            "GET",
            "/applications/{application_id}/guilds/{guild_id}/commands",
            application_id=application,
            guild_id=guild_id,
        )
    )
    asked: Awaitable[object] = client.http.request(route, params={"with_localizations": "true"})
    return await _commands(f"GET {_path(guild_id)}", asked)


async def _commands(request: str, asked: Awaitable[object]) -> list[Mapping[str, Any]]:
    answer = await ask(request, asked)
    if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
        raise SyncFailed(request, "the answer is not a list of commands")
    return answer


def ours(commands: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The commands of the kinds that are made here."""
    return [command for command in commands if command.get("type", 1) in OUR_TYPES]


async def ask(request: str, answer: Awaitable[T]) -> T:
    """The answer to a request; `request` is how the operator finds it. Raises `SyncFailed`, whatever goes wrong."""
    try:
        async with asyncio.timeout(REQUEST_TIME):
            return await answer
    except discord.RateLimited as error:
        raise SyncFailed(request, "Discord wants us to wait", status=429, wait=error.retry_after) from error
    except discord.HTTPException as error:
        # Its words are not quoted: what answers there need not be Discord, and may repeat what it was sent.
        how = f"HTTP {error.status}" + (f", Discord's code {error.code}" if error.code else "")
        raise SyncFailed(request, how, status=error.status, code=error.code, wait=_wait_in(error)) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise SyncFailed(request, f"no answer ({type(error).__name__})") from error
    except (discord.DiscordException, ValueError, TypeError, KeyError, AttributeError) as error:
        # discord.py treats whatever it gets as Discord's JSON.
        raise SyncFailed(request, f"the answer is not Discord's ({type(error).__name__})") from error


def _wait_in(error: discord.HTTPException) -> float:
    told = getattr(error.response, "headers", {}).get("Retry-After", "")
    return float(told) if told.isdecimal() else 0.0


# --- one scope -------------------------------------------------------------------------------------------------------


async def _sync_globally(client: discord.Client, shapes: Sequence[Mapping[str, Any]]) -> None:
    there = await registered(client, None)
    if _same(there, shapes):
        return
    # Whoever used DISCORD_GUILD_IDS before has no global commands, so copies in servers are looked for only here; and
    # first, so that a start that is cut short looks again.
    for guild_id in await ask("GET /users/@me/guilds", _guild_ids(client)):
        try:
            await _empty(client, guild_id)
        except SyncFailed as error:
            if error.status not in _NOT_THERE:
                raise
            log.info("the commands of a server could not be looked up", guild=guild_id, error=str(error))
    await _overwrite(client, None, shapes, there)


async def _guild_ids(client: discord.Client) -> list[int]:
    return [guild.id async for guild in client.fetch_guilds(limit=None)]


async def _empty(client: discord.Client, guild_id: int | None) -> None:
    there = await registered(client, guild_id)
    if ours(there):
        await _overwrite(client, guild_id, [], there)


async def _overwrite(
    client: discord.Client,
    guild_id: int | None,
    shapes: Sequence[Mapping[str, Any]],
    there: Sequence[Mapping[str, Any]],
) -> None:
    application = application_of(client)
    payload = [*map(dict, shapes), *(_handed_back(one) for one in there if one.get("type", 1) not in OUR_TYPES)]
    asked: Awaitable[object] = (
        client.http.bulk_upsert_global_commands(application, payload=payload)
        if guild_id is None
        else client.http.bulk_upsert_guild_commands(application, guild_id, payload=payload)
    )
    await _commands(f"PUT {_path(guild_id)}", asked)
    log.info("the commands were registered", commands=len(shapes), guild=guild_id or "all")


def _handed_back(command: Mapping[str, Any]) -> dict[str, Any]:
    """A command as an overwrite takes it, from what Discord shows of it."""
    kept = {name: command[name] for name in _HANDED_BACK if command.get(name) is not None}
    if "default_member_permissions" in kept:
        kept["default_member_permissions"] = int(kept["default_member_permissions"])
    return kept


def _path(guild_id: int | None) -> str:
    return f"/applications/…/guilds/{guild_id}/commands" if guild_id is not None else "/applications/…/commands"


# --- comparing -------------------------------------------------------------------------------------------------------


def _same(there: Sequence[Mapping[str, Any]], here: Sequence[Mapping[str, Any]]) -> bool:
    try:
        return _sorted(ours(there)) == _sorted(here)
    except (TypeError, KeyError, AttributeError, ValueError):
        # What cannot even be read is not what we would have registered.
        return False


def _sorted(commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return sorted((shape_of(command) for command in commands), key=lambda shape: (shape["type"], shape["name"]))


def shape_of(command: Mapping[str, Any]) -> dict[str, Any]:
    """What matters of a command, in one form: Discord adds ids and leaves defaults out."""
    shape = {name: _DEFAULTS.get(name) if command.get(name) is None else command[name] for name in _KEPT}
    if shape["default_member_permissions"] is not None:
        shape["default_member_permissions"] = str(shape["default_member_permissions"])
    if shape["type"] in (2, 3):
        shape["description"] = ""
    shape["choices"] = [(choice["name"], choice["value"]) for choice in command.get("choices") or ()]
    shape["options"] = [shape_of(option) for option in command.get("options") or ()]
    for name in ("contexts", "integration_types"):
        shape[name] = sorted(command.get(name) or ())
    return shape
