"""Tells a command from a chat message in what follows a mention of the avatar. Pure."""

from collections.abc import Mapping

from bot.commands.grammar import ADMIN, AVATAR, Usage

ADMIN_WORD = "admin"
"""`@Avatar admin sessions` is `/avatar-admin sessions`."""


def command_line(words: str, usages: Mapping[tuple[str, str], Usage]) -> tuple[str, str] | None:
    """The command group and its line, where `words` are a command as `usages` has it; None for a chat message.

    `stop` is a command and `stop it` is talk: what has no argument is a command only when nothing or an option follows.
    A mention with nothing behind it asks for help.
    """
    verb, _, rest = words.strip().partition(" ")
    if verb.lower() == ADMIN_WORD:
        group, verb, rest, line = ADMIN, *_split(rest), rest.strip()
    else:
        group, line = AVATAR, words.strip()
    if not line:
        return (group, line) if group == AVATAR else None
    usage = usages.get((group, verb.lower()))
    if usage is None:
        return None
    names_option = any(rest.strip().startswith(f"{option}=") for option in (*usage.options, *usage.not_offered))
    if rest.strip() and not usage.argument and not names_option:
        return None
    return group, line


def is_to_be_said(command: tuple[str, str]) -> bool:
    """Whether the command, as `command_line` found it, has words for the avatar."""
    group, line = command
    return group == AVATAR and line.partition(" ")[0].lower() in ("say", "ask")


def _split(words: str) -> tuple[str, str]:
    verb, _, rest = words.strip().partition(" ")
    return verb, rest
