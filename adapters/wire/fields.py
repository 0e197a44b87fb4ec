"""Reads values out of JSON that somebody else sent, believing nothing about its shape.

Every function answers None (or nothing) where the value is not what was asked for; none raises.
"""

import json
import math

MAX_ID_LENGTH = 200
MAX_URL_LENGTH = 4096


def parsed(content: bytes) -> object:
    """The JSON value in `content`, None if it is not JSON (which also stands for `null`)."""
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value


def field(value: object, *names: str) -> object:
    """The value at a path of names, None if the path does not lead anywhere."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text(value: object, longest: int = MAX_ID_LENGTH) -> str | None:
    """A string with something in it, at most `longest` characters."""
    return value if isinstance(value, str) and value.strip() and len(value) <= longest else None


def url(value: object, *schemes: str) -> str | None:
    """An address that begins with one of `schemes` (`https` ...), without blanks in it."""
    address = text(value, MAX_URL_LENGTH)
    if address is None or any(character.isspace() or not character.isprintable() for character in address):
        return None
    return address if address.partition("://")[0].lower() in schemes and "://" in address else None


def number(value: object) -> float | None:
    """A finite number; also one written as a string, as some credits are."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except (ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) else None


def rows(value: object) -> list[object]:
    """The items of a list; nothing where it is not a list."""
    return list(value) if isinstance(value, list) else []


def code(value: object) -> str | None:
    """A provider's code, which comes as a number or as a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**12 else None
    return text(value, 64)
