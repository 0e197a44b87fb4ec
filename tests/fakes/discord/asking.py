"""Builds the interactions that people cause: slash commands, autocomplete, buttons, menus, modals. It answers none.

[D] https://docs.discord.com/developers/interactions/receiving-and-responding#interaction-object, and what discord.py
reads of it [L interactions.py: `attachment_size_limit` and `version` are not optional].
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.discord import shapes
from tests.fakes.discord.commands import CHAT_INPUT, ENTRY_POINT, MESSAGE, USER, CommandHidden
from tests.fakes.discord.components import parts
from tests.fakes.discord.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, SUBMIT, Interaction, Interactions, owners
from tests.fakes.discord.permissions import EVERYONE, permissions_in
from tests.fakes.discord.state import Channel, Message, Role, User


def _made(
    interactions: Interactions, kind: int, channel: Channel, user: User, data: dict[str, Any], message: Message | None
) -> tuple[Interaction, dict[str, Any]]:
    world = interactions.world
    token = secrets.token_urlsafe(96)
    one = Interaction(world.snowflake(), token, kind, channel, user, interactions.changes, message, data=data)
    payload: dict[str, Any] = {
        "id": str(one.id),
        "application_id": str(world.bot.id),
        "type": kind,
        "token": token,
        "version": 1,
        "data": data,
        "channel": shapes.channel(channel),
        "channel_id": str(channel.id),
        "app_permissions": str(_app_permissions(channel, world.bot)),
        "locale": user.locale,
        "entitlements": [],
        "authorizing_integration_owners": owners(channel),
        "context": 1 if channel.guild is None else 0,
        "attachment_size_limit": 10 * 1024 * 1024,
    }
    if channel.guild is None:
        payload["user"] = shapes.user(user)
    else:
        payload["guild_id"] = str(channel.guild.id)
        payload["guild"] = {"id": str(channel.guild.id), "locale": "en-US", "features": []}
        payload["guild_locale"] = "en-US"
        payload["member"] = shapes.member(channel.guild, user, channel=channel)
    if message is not None:
        payload["message"] = shapes.message(message, bot=world.bot)
    return one, payload


def _app_permissions(channel: Channel, bot: User) -> int:
    """What `app_permissions` says: where only the commands are, it is not 0, as if the bot could work there."""
    guild = channel.guild
    return EVERYONE if guild is not None and not guild.has_bot else permissions_in(channel, bot)


def _command(command: Mapping[str, Any]) -> dict[str, Any]:
    data = {"id": command["id"], "name": command["name"], "type": command["type"]}
    return data | ({"guild_id": command["guild_id"]} if "guild_id" in command else {})


async def type_command(
    interactions: Interactions,
    channel: Channel,
    user: User,
    typed: str,
    values: Mapping[str, object],
    *,
    focused: str | None = None,
    anyway: bool = False,
) -> Interaction:
    """Sends a slash command, or the autocompletion of its option `focused`."""
    name, *path = typed.split()
    command = interactions.commands.find(channel, user, name, CHAT_INPUT, anyway=anyway)
    data = _command(command)
    options = interactions.commands.typed(command, path, values, focused=focused)
    if options:
        data["options"] = options
    resolved = _resolved(channel, values.values())
    if resolved:
        data["resolved"] = resolved
    kind = COMMAND if focused is None else AUTOCOMPLETE
    return await interactions.send(*_made(interactions, kind, channel, user, data, None))


def _resolved(channel: Channel, values: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        if isinstance(value, User):
            found.setdefault("users", {})[str(value.id)] = shapes.user(value)
            if channel.guild is not None and value.id in channel.guild.members:
                shape = shapes.member(channel.guild, value, within=False, channel=channel)
                found.setdefault("members", {})[str(value.id)] = shape
        elif isinstance(value, Channel):
            shape = shapes.channel(value) | {"permissions": "0"}
            found.setdefault("channels", {})[str(value.id)] = shape
        elif isinstance(value, Role):
            found.setdefault("roles", {})[str(value.id)] = shapes.role(value, 1)
    return found


async def use_context_menu(
    interactions: Interactions, channel: Channel, user: User, name: str, target: Message | User, *, anyway: bool = False
) -> Interaction:
    """Sends the use of a message's or a user's context-menu entry."""
    kind = MESSAGE if isinstance(target, Message) else USER
    command = interactions.commands.find(channel, user, name, kind, anyway=anyway)
    data = _command(command) | {"target_id": str(target.id)}
    if isinstance(target, Message):
        # The whole message, whatever the intents: [D] message-content intent, "message context menu commands".
        data["resolved"] = {"messages": {str(target.id): shapes.message(target, bot=interactions.world.bot)}}
    else:
        data["resolved"] = _resolved(channel, [target])
    return await interactions.send(*_made(interactions, COMMAND, channel, user, data, None))


async def launch(interactions: Interactions, channel: Channel, user: User) -> Interaction:
    """Sends the use of the application's entry point, as from the app launcher."""
    command = next(one for one in interactions.commands.all(None) if one["type"] == ENTRY_POINT)
    return await interactions.send(*_made(interactions, COMMAND, channel, user, _command(command), None))


async def press(
    interactions: Interactions,
    user: User,
    message: Message,
    *,
    label: str | None,
    custom_id: str | None,
    anyway: bool,
) -> Interaction:
    """Sends the press of a button."""
    _check_seen(message, user)
    for button in message.buttons:
        wanted = button.get("label") == label if label is not None else button.get("custom_id") == custom_id
        if not wanted:
            continue
        if not button.get("custom_id"):
            raise CommandHidden(f"{label or custom_id} is a link: nothing is sent to the bot")
        if button.get("disabled") and not anyway:
            raise CommandHidden(f"{label or custom_id} is disabled")
        data = {"component_type": 2, "custom_id": button["custom_id"], "id": _number(message, button)}
        return await interactions.send(*_made(interactions, COMPONENT, message.channel, user, data, message))
    if anyway and custom_id is not None:
        data = {"component_type": 2, "custom_id": custom_id, "id": 1}
        return await interactions.send(*_made(interactions, COMPONENT, message.channel, user, data, message))
    offered = [button.get("label") for button in message.buttons]
    raise CommandHidden(f"no button {label or custom_id!r} among {offered}")


async def choose(
    interactions: Interactions, user: User, message: Message, values: Sequence[str], *, custom_id: str | None
) -> Interaction:
    """Sends a choice in a select menu of texts."""
    _check_seen(message, user)
    for menu in parts(message.components):
        if menu["type"] == 3 and custom_id in (None, menu["custom_id"]) and not menu.get("disabled"):
            unknown = set(values) - {option["value"] for option in menu["options"]}
            if unknown:
                raise CommandHidden(f"{sorted(unknown)} cannot be chosen")
            data = {"component_type": 3, "custom_id": menu["custom_id"], "values": list(values)}
            data["id"] = _number(message, menu)
            return await interactions.send(*_made(interactions, COMPONENT, message.channel, user, data, message))
    raise CommandHidden("there is no such menu")


async def submit(interactions: Interactions, user: User, shown: Interaction, values: Mapping[str, str]) -> Interaction:
    """Sends a filled-in modal."""
    if shown.modal is None or shown.user is not user:
        raise CommandHidden("this person was not shown a modal")
    inputs = [part for part in parts(shown.modal["components"]) if part["type"] == 4]
    unknown = set(values) - {part["custom_id"] for part in inputs}
    if unknown:
        raise CommandHidden(f"{sorted(unknown)} are not fields of the modal")
    rows = []
    for number, row in enumerate(shown.modal["components"], 1):
        inner = row.get("component") or row["components"][0]
        value = values.get(inner["custom_id"], inner.get("value") or "")
        if inner.get("required", True) and not value:
            raise CommandHidden(f"the field {inner['custom_id']} is required")
        filled = {"type": inner["type"], "id": 100 + number, "custom_id": inner["custom_id"], "value": value}
        key = "component" if "component" in row else "components"
        rows.append({"type": row["type"], "id": number, key: filled if key == "component" else [filled]})
    data = {"custom_id": shown.modal["custom_id"], "components": rows}
    one, payload = _made(interactions, SUBMIT, shown.channel, user, data, shown.message)
    one.shown_by = shown
    return await interactions.send(one, payload)


def _check_seen(message: Message, user: User) -> None:
    if message.deleted or (message.seen_by is not None and message.seen_by is not user):
        raise CommandHidden(f"{user.name} does not see this message")


def _number(message: Message, wanted: dict[str, Any]) -> int:
    return next(number for number, part in enumerate(parts(message.components), 1) if part is wanted)
