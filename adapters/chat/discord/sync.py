"""Registers the commands with Discord: once, when their shape has changed, in one scope, with stale copies removed.

What Discord has is asked of Discord, so nothing has to be remembered. A command that is registered both globally and in
a server appears there twice, which is why the other scope is emptied first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import discord
import structlog
from discord import app_commands

log = structlog.get_logger(__name__)

_DEFAULTS: dict[str, Any] = {"type": 1, "required": False, "autocomplete": False, "nsfw": False, "description": ""}
_KEPT = (
    "name", "type", "description", "required", "autocomplete", "min_length", "max_length", "nsfw",
    "default_member_permissions",
)  # fmt: skip


async def sync(tree: app_commands.CommandTree[Any], guild_ids: Sequence[int]) -> list[int]:
    """Bring what Discord has in line with the tree; returns the servers of `guild_ids` that did not take the commands.

    guild_ids: `DISCORD_GUILD_IDS`; empty registers globally. Raises `discord.HTTPException`.
    """
    client = tree.client
    application = _application(client)
    if not guild_ids:
        await _sync_globally(tree, application)
        return []
    if await client.http.get_global_commands(application):
        await client.http.bulk_upsert_global_commands(application, payload=[])
        log.info("the global commands were removed, as DISCORD_GUILD_IDS is set")
    return [guild_id for guild_id in guild_ids if not await sync_guild(tree, guild_id)]


async def sync_guild(tree: app_commands.CommandTree[Any], guild_id: int) -> bool:
    """Register the commands in one server. False where the bot may not, which is so until it is invited there."""
    guild = discord.Object(guild_id)
    try:
        there = await tree.client.http.get_guild_commands(_application(tree.client), guild_id)
        if not _same(there, _shapes(tree, guild)):
            await tree.sync(guild=guild)
            log.info("the commands were registered", guild=guild_id)
    except (discord.Forbidden, discord.NotFound) as error:
        log.warning("the commands could not be registered", guild=guild_id, error=str(error))
        return False
    return True


async def _sync_globally(tree: app_commands.CommandTree[Any], application: int) -> None:
    client = tree.client
    there = await client.http.get_global_commands(application)
    if _same(there, _shapes(tree, None)):
        return
    # Whoever used DISCORD_GUILD_IDS before has no global commands, so copies in servers are looked for only here; and
    # first, so that a start that is cut short looks again.
    async for guild in client.fetch_guilds(limit=None):
        try:
            if await client.http.get_guild_commands(application, guild.id):
                await client.http.bulk_upsert_guild_commands(application, guild.id, payload=[])
                log.info("the commands of one server were removed, as they are global now", guild=guild.id)
        except (discord.Forbidden, discord.NotFound) as error:
            log.info("the commands of a server could not be looked up", guild=guild.id, error=str(error))
    await tree.sync()
    log.info("the commands were registered globally")


def _application(client: discord.Client) -> int:
    assert client.application_id is not None  # noqa: S101 - logging in has told it
    return client.application_id


def _shapes(tree: app_commands.CommandTree[Any], guild: discord.Object | None) -> list[Mapping[str, Any]]:
    return [command.to_dict(tree) for command in tree.get_commands(guild=guild)]


def _same(there: Sequence[Mapping[str, Any]], here: Sequence[Mapping[str, Any]]) -> bool:
    return _sorted(there) == _sorted(here)


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
