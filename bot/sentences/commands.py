"""The answers to commands that cannot be carried out as they were given.

Part of `bot.sentences`, which is where the rest of the program takes it from.
"""

import difflib
from collections.abc import Iterable

from bot.core.models import Role


def not_allowed(role: Role) -> str:
    """The refusal of somebody who may not."""
    return {
        Role.ADMIN: "Only admins of this bot can do that. The operator names them in ADMIN_USERS.",
        Role.HOST: "You may not start or stop the avatar here. Ask a host of this channel.",
        Role.SPEAKER: "You may not write to the avatar here. Ask a host of this channel.",
        Role.VIEWER: "You are blocked from using the avatar here.",
        Role.BLOCKED: "You are blocked from using the avatar here.",
    }[role]


def unknown_command(word: str, known: Iterable[str]) -> str:
    """The answer to a verb that does not exist; names one that is close, else all."""
    known = list(known)
    if close := difflib.get_close_matches(word, known, n=1):
        return f"Unknown command `{word}`. Did you mean `{close[0]}`?"
    return f"Unknown command `{word}`. Available: {', '.join(known)}. `/help` explains them."


def needs_argument(command: str, argument: str) -> str:
    """The answer to a command without its argument."""
    return f"`{command}` needs {argument}."


def takes_nothing(usage: str, rest: str) -> str:
    """The answer to a command with something behind it that has no meaning there."""
    return f"I do not understand `{rest}` there. Usage: `{usage}`."


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The answer to `name=value` with an unknown name."""
    return f"Unknown option `{name}=`. Available: {', '.join(f'`{option}=`' for option in known)}."


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    """The answer to a choice that does not exist."""
    return f"`{value}` is not a valid {name}. Choose one of: {', '.join(choices)}."


NO_SPEED = "This avatar service has one speed of speech. Start it without `speed=`."
NO_LANGUAGE = "With this avatar service the voice decides the language. Start it without `language=`."


def speed_out_of_bounds(value: str, slowest: float, fastest: float) -> str:
    """The answer to a speed that the avatar service does not have."""
    return f"`{value}` is not a speed. Give a number from {slowest:g} (slow) to {fastest:g} (fast); 1 is normal."


def not_a_language(value: str) -> str:
    """The answer to a language that is written in no known way."""
    return f"`{value}` is not a language code. Give one such as `en`, `de` or `pt-BR`."
