"""What `/avatar start` offers beside the avatar and the voice, and how it is read, by what the provider can do.

Knows the provider by its `Capabilities` alone. What the provider does not have is refused in words, and before anything
is opened: an avatar that speaks unlike it was asked to costs as much.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from bot import sentences
from bot.core.errors import Refused
from bot.core.languages import language_code
from bot.core.models import Mode
from bot.core.ports import Capabilities
from bot.sessions.registry import StartOptions
from bot.settings import Quality

ALWAYS = ("avatar", "voice", "mode", "quality", "channel")
"""Options of every provider; one without a choice of quality has the one it has. `channel`: `bot.commands.voice`."""

STEP = 0.1
"""Between the speeds that are offered; any other within the bounds may be typed."""

_Choice = TypeVar("_Choice", bound=StrEnum)


def offered(capabilities: Capabilities) -> tuple[str, ...]:
    """The names of the options that have an effect."""
    speed = () if capabilities.speeds is None else ("speed",)
    language = ("language",) if capabilities.takes_language else ()
    return (*ALWAYS, *speed, *language)


def not_offered(capabilities: Capabilities) -> tuple[str, ...]:
    """The names that are only read to say why they have none."""
    return tuple(name for name in ("speed", "language") if name not in offered(capabilities))


def choices(capabilities: Capabilities) -> Mapping[str, tuple[str, ...]]:
    """The values to offer, by option, where they are few."""
    return {
        "mode": tuple(Mode),
        "quality": capabilities.qualities or (Quality.LOW, Quality.MEDIUM, Quality.HIGH),
        "speed": _speeds(capabilities.speeds),
    }


def read_wishes(options: Mapping[str, str], capabilities: Capabilities) -> StartOptions:
    """What somebody asks for. Raises `Refused` with a sentence that names what may be given."""
    quality = options.get("quality")
    mode = options.get("mode")
    return StartOptions(
        avatar=options.get("avatar"),
        voice=options.get("voice"),
        quality=None if quality is None else _quality(quality, capabilities.qualities),
        mode=None if mode is None else one_of(tuple(Mode), "mode", mode),
        speed=_speed(options["speed"], capabilities.speeds) if "speed" in options else None,
        language=_language(options["language"], capabilities) if "language" in options else None,
    )


def one_of(values: Sequence[_Choice], name: str, value: str) -> _Choice:
    """The value that somebody wrote. Raises `Refused` with those there are."""
    wanted = value.strip().lower()
    for each in values:
        if each.value == wanted:
            return each
    raise Refused(sentences.one_of(name, value[:40], [each.value for each in values]), stage="grammar")


def _quality(value: str, qualities: Sequence[str]) -> Quality:
    # Without a choice at the provider any of them means the one it has.
    known = [quality for quality in Quality if not qualities or quality in qualities]
    return one_of(known, "quality", value)


def _speed(text: str, speeds: tuple[float, float] | None) -> float:
    if speeds is None:
        raise Refused(sentences.NO_SPEED, stage="grammar")
    try:
        speed = float(text.strip().replace(",", "."))
    except ValueError:
        speed = math.nan
    slowest, fastest = speeds
    if not slowest <= speed <= fastest:
        raise Refused(sentences.speed_out_of_bounds(text.strip()[:40], slowest, fastest), stage="grammar")
    return speed


def _language(text: str, capabilities: Capabilities) -> str:
    if not capabilities.takes_language:
        raise Refused(sentences.NO_LANGUAGE, stage="grammar")
    code = language_code(text)
    if code is None:
        raise Refused(sentences.not_a_language(text.strip()[:40]), stage="grammar")
    return code


def _speeds(speeds: tuple[float, float] | None) -> tuple[str, ...]:
    if speeds is None:
        return ()
    slowest, fastest = speeds
    steps = math.floor((fastest - slowest) / STEP + 1e-9)
    return tuple(f"{slowest + STEP * step:.1f}" for step in range(steps + 1))
