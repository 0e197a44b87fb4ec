"""The slash commands and the context menu, built from the core's table of commands; nothing of the table is repeated.

Choices and completions come from memory: Discord waits 3 seconds for them, and the provider is never asked meanwhile.
"""

import inspect
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import discord
from discord import app_commands

from adapters.chat.discord import strings
from adapters.chat.discord.interactions import Interactions
from bot.commands.parser import ADMIN, Command, Usage
from bot.core import languages
from bot.core.ports import CatalogueEntry
from bot.facade import Bot
from bot.relay import MAX_MESSAGE_LENGTH

_MAX_CHOICES = 25
_MAX_CHOICE_LENGTH = 100
_MAX_TEXT_LENGTH = min(6000, MAX_MESSAGE_LENGTH)
_GROUPS = {ADMIN: "Look after the avatars of this bot", "voice": "Where the avatar speaks besides the watch page"}
_OTHER_GROUP = "A live, talking avatar in this channel"
_OPTIONS = {
    "avatar": "which avatar",
    "voice": "which voice",
    "mode": "say what is written, or answer it",
    "quality": "quality of the picture",
    "speed": "how fast it speaks, 1.0 is normal",
    "language": "which language it speaks",
    "channel": "a voice channel: its name, or its link",
    "text": "the words",
    "person": "whom",
    "seconds": "how many seconds, or default",
    "session": "the session, as /avatar-admin sessions shows it",
}
"""Descriptions of options by their names; an option that is not here is described by its name."""
_LANGUAGES = [CatalogueEntry(code, name) for code, name in languages.OFFERED.items()]
_RENAMED = {"id": "session"}
_PERSON = "person"
"""An option that Discord fills in with somebody; the core reads a mention."""

Answer = Callable[[discord.Interaction[Any], str], Coroutine[Any, Any, list[app_commands.Choice[str]]]]


def build(tree: app_commands.CommandTree[Any], bot: Bot, interactions: Interactions) -> None:
    """Put every command into the tree. In no server's scope, also where they are registered in `DISCORD_GUILD_IDS`: so
    each is understood from wherever Discord has a copy of it, an old one included."""
    groups: dict[str, app_commands.Group] = {}
    for usage in bot.commands.usages.values():
        if usage.group not in groups:
            groups[usage.group] = _group(usage.group)
        first, _, second = usage.verb.partition(" ")
        if second and f"{usage.group} {first}" not in groups:
            inner = groups[f"{usage.group} {first}"] = app_commands.Group(name=first, description=_GROUPS[first])
            groups[usage.group].add_command(inner)
        group = groups[f"{usage.group} {first}" if second else usage.group]
        group.add_command(_command(usage, bot, interactions))

    async def say_this(interaction: discord.Interaction[Any], message: discord.Message) -> None:
        interactions.say_this(interaction, message)

    menu = app_commands.ContextMenu(name=strings.SAY_THIS, callback=say_this)
    menu.guild_only = True
    for group in groups.values():
        if group.parent is None:
            tree.add_command(group)
    tree.add_command(menu)


def _group(name: str) -> app_commands.Group:
    rights = discord.Permissions(manage_guild=True) if name == ADMIN else None
    description = _GROUPS.get(name, _OTHER_GROUP)
    return app_commands.Group(name=name, description=description, guild_only=True, default_permissions=rights)


def _command(usage: Usage, bot: Bot, interactions: Interactions) -> app_commands.Command[Any, ..., None]:
    argument = _argument_name(usage)
    names = [*([argument] if argument else []), *usage.options]

    async def run(interaction: discord.Interaction[Any], **given: str | discord.User | None) -> None:
        options = {name: _text(value) for name, value in given.items() if value is not None}
        text = options.pop(argument, "") if argument else ""
        interactions.command(interaction, Command(usage.group, usage.verb, text.strip(), options))

    # discord.py reads the options of a command from the signature of its callback.
    required = {argument} if usage.required else set()
    parameters = [_parameter(name, usage, is_required=name in required) for name in names]
    first = inspect.Parameter("interaction", inspect.Parameter.POSITIONAL_ONLY, annotation=discord.Interaction)
    run.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    command = app_commands.Command[Any, ..., None](
        name=usage.verb.rpartition(" ")[2], description=_sentence(usage.summary), callback=_described(run, names, usage)
    )
    for name in names:
        if (complete := _completion(name, bot)) is not None:
            command.autocomplete(name)(complete)
    return command


def _described(run: Any, names: Sequence[str], usage: Usage) -> Any:
    described = app_commands.describe(**{name: _sentence(_OPTIONS.get(name, name)) for name in names})(run)
    choices = {name: values for name in names if (values := _choices(name, usage))}
    return app_commands.choices(
        **{name: [app_commands.Choice(name=value, value=value) for value in values] for name, values in choices.items()}
    )(described)


def _argument_name(usage: Usage) -> str | None:
    """What the argument is called as an option: `TEXT` is `text`, and a choice has the name of its command."""
    if not usage.argument:
        return None
    if "|" in usage.argument:
        return usage.verb
    name = re.sub(r"[^a-z0-9]+", "_", usage.argument.lower()).strip("_")
    return _RENAMED.get(name, name)


def _parameter(name: str, usage: Usage, *, is_required: bool) -> inspect.Parameter:
    text: Any = discord.User if name == _PERSON else app_commands.Range[str, 1, _MAX_TEXT_LENGTH]
    if is_required:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=text)
    # A choice is a plain text to discord.py; it does not take one with a length.
    annotation: Any = str if name in usage.choices else text
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation | None, default=None)


def _choices(name: str, usage: Usage) -> list[str]:
    if name == usage.verb and "|" in usage.argument:
        return usage.argument.split("|")
    return list(usage.choices.get(name, ()))


def _text(value: str | discord.User) -> str:
    return value if isinstance(value, str) else value.mention


def _sentence(text: str) -> str:
    return (text[:1].upper() + text[1:])[:_MAX_CHOICE_LENGTH]


# --- completions -----------------------------------------------------------------------------------------------------


def _completion(name: str, bot: Bot) -> Answer | None:
    catalogue = bot.sessions.services.catalogue
    lists: dict[str, Callable[[], Sequence[CatalogueEntry]]] = {
        "avatar": lambda: catalogue.cached_avatars,
        "voice": lambda: catalogue.known_voices,
        "language": lambda: _LANGUAGES,
    }
    entries = lists.get(name)
    if entries is None:
        return None

    async def complete(_interaction: discord.Interaction[Any], typed: str) -> list[app_commands.Choice[str]]:
        return matching(entries(), typed)

    return complete


def matching(entries: Sequence[CatalogueEntry], typed: str) -> list[app_commands.Choice[str]]:
    """The entries whose name or id has `typed` in it, those that begin with it first, as many as Discord shows."""
    wanted = typed.strip().casefold()
    fitting = [entry for entry in entries if wanted in entry.name.casefold() or wanted in entry.id.casefold()]
    fitting.sort(key=lambda entry: (not entry.name.casefold().startswith(wanted), entry.name.casefold()))
    return [
        app_commands.Choice(name=(entry.name or entry.id)[:_MAX_CHOICE_LENGTH], value=entry.id)
        for entry in fitting
        if 0 < len(entry.id) <= _MAX_CHOICE_LENGTH
    ][:_MAX_CHOICES]
