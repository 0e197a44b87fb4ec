"""The application commands that the bot registered, and what a person's client makes of what is typed.

It sends nothing. [D] https://docs.discord.com/developers/interactions/application-commands: scopes, bulk overwrite that
keeps the id of a command with the same name and type, `default_member_permissions`, option types and limits; a command
in both scopes is shown twice, and the guild's one is used here.
"""

import re
from collections.abc import Mapping
from typing import Any

from tests.fakes.discord.errors import Refused, invalid
from tests.fakes.discord.permissions import BITS, permissions_in
from tests.fakes.discord.state import Channel, DiscordState, Guild, User

CHAT_INPUT, USER, MESSAGE, ENTRY_POINT = 1, 2, 3, 4
SUB_COMMAND, SUB_COMMAND_GROUP = 1, 2
_TYPES: dict[int, tuple[type, ...]] = {3: (str,), 4: (int,), 5: (bool,), 10: (int, float)}
_KINDS = {USER: "user", MESSAGE: "message", ENTRY_POINT: "entry point"}


class CommandHidden(Exception):
    """The person's client does not offer this: not registered, not allowed, or wrong options."""


class Commands:
    """Registered commands by scope: a guild's id, or None for the global ones."""

    def __init__(self, world: DiscordState) -> None:
        self._world = world
        self._scopes: dict[int | None, dict[int, dict[str, Any]]] = {}

    def all(self, scope: int | None) -> list[dict[str, Any]]:
        """The commands of a scope as Discord returns them."""
        return list(self._scopes.get(scope, {}).values())

    def visible(self, guild_id: int) -> list[str]:
        """The names that are listed in a guild."""
        return sorted(command["name"] for scope in (None, guild_id) for command in self.all(scope))

    def overwrite(self, scope: int | None, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Replaces the commands of a scope. Raises Refused when Discord would."""
        kept = {(command["name"], command["type"]): command["id"] for command in self.all(scope)}
        keys = [(body["name"], body.get("type") or CHAT_INPUT) for body in bodies]
        if len(keys) != len(set(keys)):
            raise invalid("name", "Application command names must be unique")
        if sum(kind == CHAT_INPUT for _, kind in keys) > 100:
            raise Refused(30032)
        if any(kind == ENTRY_POINT for _, kind in kept) and not any(kind == ENTRY_POINT for _, kind in keys):
            raise Refused(50240)
        made = [self._made(scope, body, kept.get(key)) for body, key in zip(bodies, keys, strict=True)]
        self._scopes[scope] = {int(command["id"]): command for command in made}
        return made

    def enable_activities(self) -> dict[str, Any]:
        """What switching Activities on does: the application has an entry point, which the app itself answers."""
        launch = {"name": "launch", "type": ENTRY_POINT, "description": "Launch an activity", "handler": 1}
        launch |= {"name_localizations": {"de": "starten"}, "description_localizations": {"de": "Startet etwas"}}
        return self.put(None, launch | {"integration_types": [0, 1], "contexts": [0, 1, 2]})

    def put(self, scope: int | None, body: dict[str, Any]) -> dict[str, Any]:
        """Adds one, or replaces the one of the same name and type."""
        key = (body["name"], body.get("type") or CHAT_INPUT)
        old = next((one for one in self.all(scope) if (one["name"], one["type"]) == key), None)
        made = self._made(scope, body, old["id"] if old else None)
        self._scopes.setdefault(scope, {})[int(made["id"])] = made
        return made

    def get(self, scope: int | None, number: int) -> dict[str, Any]:
        """One command. Raises Refused 10063 when there is none."""
        try:
            return self._scopes.get(scope, {})[number]
        except KeyError:
            raise Refused(10063) from None

    def edit(self, scope: int | None, number: int, body: dict[str, Any]) -> dict[str, Any]:
        """Changes one."""
        made = self._made(scope, self.get(scope, number) | body, str(number))
        self._scopes[scope][number] = made
        return made

    def delete(self, scope: int | None, number: int) -> None:
        """Removes one."""
        self.get(scope, number)
        del self._scopes[scope][number]

    def _made(self, scope: int | None, body: dict[str, Any], number: str | None) -> dict[str, Any]:
        kind = body.get("type") or CHAT_INPUT
        if kind == CHAT_INPUT:
            _check_shape(body, "")
        held = body.get("default_member_permissions")
        return (
            body
            | {
                "id": number or str(self._world.snowflake()),
                "application_id": str(self._world.bot.id),
                "version": str(self._world.snowflake()),
                "type": kind,
                "description": body.get("description") or "",
                "default_member_permissions": None if held is None else str(held),
                "integration_types": body.get("integration_types") or [0],
                "nsfw": body.get("nsfw") or False,
            }
            | ({} if scope is None else {"guild_id": str(scope)})
        )

    # -- what a person's client does with them ----------------------------------------------------------------------

    def find(self, channel: Channel, user: User, name: str, kind: int, *, anyway: bool = False) -> dict[str, Any]:
        """The command that the user finds in the channel. Raises CommandHidden."""
        if channel.deleted or (channel.guild is not None and not _is_offered(channel.guild)):
            raise CommandHidden("the channel is gone, or the bot is not in its guild any more")
        scopes: list[int | None] = [channel.guild.id, None] if channel.guild else [None]
        for scope in scopes:
            for command in self.all(scope):
                if command["name"] == name and command["type"] == kind:
                    if not anyway:
                        _check_offered(command, channel, user)
                    return command
        raise CommandHidden(f"no {_KINDS.get(kind, 'slash')} command {name!r} in {self._names(scopes)}")

    def _names(self, scopes: list[int | None]) -> list[str]:
        return [command["name"] for scope in scopes for command in self.all(scope)]

    def typed(
        self, command: Mapping[str, Any], path: list[str], values: Mapping[str, object], *, focused: str | None = None
    ) -> list[dict[str, Any]]:
        """The nested `options` of an interaction for "start" or "group start" with values by option name.

        Raises CommandHidden for what a client does not let through; while autocompleting only what is there counts.
        """
        known = list(command.get("options") or [])
        if not path:
            if any(option["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP) for option in known):
                raise CommandHidden(f"{command['name']} needs one of {[option['name'] for option in known]}")
            return _filled(known, values, focused)
        for option in known:
            if option["name"] == path[0] and option["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP):
                inner = self.typed(option, path[1:], values, focused=focused)
                return [{"name": option["name"], "type": option["type"], "options": inner}]
        raise CommandHidden(f"{command['name']} has no {path[0]!r}, only {[option['name'] for option in known]}")


def _is_offered(guild: Guild) -> bool:
    return guild.has_bot or guild.has_commands


def _check_shape(body: Mapping[str, Any], where: str) -> None:
    where = f"{where}{body['name']}"
    if not re.fullmatch(r"[-_'\w]{1,32}", body["name"]) or body["name"] != body["name"].lower():
        raise invalid("name", f"Command name is invalid: {where}")
    if not 1 <= len(body.get("description") or "") <= 100:
        raise invalid("description", f"Must be between 1 and 100 in length: {where}")
    optional = False
    for option in body.get("options") or []:
        if option["type"] not in (SUB_COMMAND, SUB_COMMAND_GROUP):
            if optional and option.get("required"):
                raise invalid("options", f"Required options must be placed before non-required options: {where}")
            optional = optional or not option.get("required")
            if option.get("autocomplete") and option.get("choices"):
                raise invalid("options", f"Autocomplete and choices exclude each other: {where}")
        _check_shape(option, f"{where} ")


def _check_offered(command: Mapping[str, Any], channel: Channel, user: User) -> None:
    contexts = command.get("contexts")
    direct = channel.guild is None
    if contexts is not None and (1 if direct else 0) not in contexts:
        raise CommandHidden(f"{command['name']} is not offered here (contexts {contexts})")
    if direct and contexts is None and command.get("dm_permission") is False:
        raise CommandHidden(f"{command['name']} is not offered in direct messages")
    if direct:
        return
    held = permissions_in(channel, user)
    needed = int(command["default_member_permissions"] or 0)
    nobody = command["default_member_permissions"] == "0" and not held & BITS["administrator"]
    if nobody or held & needed != needed or not held & BITS["use_application_commands"]:
        raise CommandHidden(f"{user.name} may not use {command['name']} here")


def _filled(known: list[dict[str, Any]], values: Mapping[str, object], focused: str | None) -> list[dict[str, Any]]:
    names = [option["name"] for option in known]
    unknown = set(values) - set(names)
    if unknown:
        raise CommandHidden(f"no option {sorted(unknown)} among {names}")
    filled = []
    for option in known:
        if option["name"] not in values:
            if option.get("required") and focused is None:
                raise CommandHidden(f"the option {option['name']!r} is required")
            continue
        value = values[option["name"]]
        given: dict[str, Any] = {"name": option["name"], "type": option["type"], "value": _sent(value)}
        if option["name"] == focused:
            given["focused"] = True
            if not option.get("autocomplete"):
                raise CommandHidden(f"the option {focused!r} does not autocomplete")
        elif focused is None:
            _check_value(option, value)
        filled.append(given)
    return filled


def _sent(value: object) -> object:
    return str(value.id) if hasattr(value, "id") else value


def _check_value(option: Mapping[str, Any], value: object) -> None:
    expected = _TYPES.get(option["type"])
    if expected and (not isinstance(value, expected) or isinstance(value, bool) != (option["type"] == 5)):
        raise CommandHidden(f"{option['name']} takes {expected[0].__name__}, not {value!r}")
    choices = [choice["value"] for choice in option.get("choices") or []]
    if choices and value not in choices:
        raise CommandHidden(f"{option['name']} offers {choices}, not {value!r}")
    if isinstance(value, str):
        if not (option.get("min_length") or 0) <= len(value) <= (option.get("max_length") or 6000):
            raise CommandHidden(f"{option['name']} does not take {len(value)} characters")
    elif isinstance(value, int | float):
        low, high = option.get("min_value"), option.get("max_value")
        if (low is not None and value < low) or (high is not None and value > high):
            raise CommandHidden(f"{option['name']} takes {low} to {high}")
