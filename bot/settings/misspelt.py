"""Variables that look like a setting and are none: such as AVATAR_WATHC, which would pass silently.

Names only, never a value. What a variable means is not decided here, and nothing is refused: other programs have
variables of their own that begin like ours, so where a prefix is not ours alone, only what is hardly anything but a
slip is told.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

from bot.settings import SECTIONS, variables

OURS_ALONE = ("AVATAR_", "HEYGEN_", "HEYGEN_STREAMING_", "LIVEAVATAR_")
"""Prefixes that nobody but the bot uses on a machine. Desktops set SESSION_MANAGER, livekit-server reads LIVEKIT_KEYS,
web servers WEB_CONCURRENCY, and every other bot has DISCORD_ and SLACK_ tokens."""

LIKENESS = 0.6
"""From which ratio of `difflib` on a name is told, where it is meant for the bot; 1 is equal."""

STRONG_LIKENESS = 0.8
"""The same for what may belong to another program: one letter of five that is wrong or elsewhere."""

OF_OTHERS = frozenset({"SLACK_API_TOKEN"})
"""Names of other programs that are that near to one of ours: this is what older Slack apps call their token."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,60}")
_PREFIXES = sorted({str(kind.model_config.get("env_prefix", "")) for kind in SECTIONS.values()} - {""}, reverse=True)


@dataclass(frozen=True, slots=True)
class Misspelt:
    """A variable that is set and is no setting, and the setting that was probably meant."""

    name: str
    meant: str

    def __str__(self) -> str:
        return f"{self.name} is no setting and has no effect: {self.meant} was probably meant"


def misspelt(env_file: Path | None) -> list[Misspelt]:
    """What is set in `env_file` and in the environment and is probably a slip, by name.

    A file that is missing or is not text sets nothing.
    """
    in_file = _names_in(env_file)
    known = {name for name, _, _ in variables()}
    given = in_file | {name.upper() for name, value in os.environ.items() if value.strip()}
    return [
        Misspelt(name, meant)
        for name in sorted(given - known - OF_OTHERS)
        if _NAME.fullmatch(name) and (meant := _meant(name, known, given, is_in_file=name in in_file))
    ]


def _meant(name: str, known: set[str], given: set[str], *, is_in_file: bool) -> str | None:
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    if prefix in OURS_ALONE:
        return next(_like(name, prefix, known, LIKENESS), None)
    if not prefix and not is_in_file:
        return None
    # Whoever has set the one that was meant has no need of the other, so it is somebody else's.
    return next((meant for meant in _like(name, prefix, known, STRONG_LIKENESS) if meant not in given), None)


def _like(name: str, prefix: str, known: set[str], likeness: float) -> Iterator[str]:
    """The settings with this prefix whose rest is like that of `name`: a prefix in common makes nothing alike."""
    rests = sorted(setting.removeprefix(prefix) for setting in known if setting.startswith(prefix))
    for rest in get_close_matches(name.removeprefix(prefix), rests, n=1, cutoff=likeness):
        yield f"{prefix}{rest}"


def _names_in(env_file: Path | None) -> set[str]:
    if env_file is None or not env_file.is_file():
        return set()
    try:
        return {name.upper() for name, value in dotenv_values(env_file, interpolate=False).items() if value}
    except (OSError, UnicodeDecodeError):
        # `bot.settings.load` has said so, and stopped the start.
        return set()
