"""The syntax of playlists (RFC 8216, 4.1 and 4.2): attributes, numbers, addresses; and the values one is read into.

Raises `PlaylistRefused` at whatever it does not understand.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urljoin, urlsplit

MAX_URL = 4096
"""Characters of an address."""
MAX_DURATION = 60.0
"""Seconds of a segment, and of the target duration."""

NUMBER = re.compile(r"[0-9]{1,15}")
SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,12})?")
_ATTRIBUTE = re.compile(r' *([A-Z0-9-]{1,64})=("[^"\r\n]*"|[^",\s]+)(?:,|$)')


class PlaylistRefused(Exception):
    """It is no playlist, or one that cannot be handed on. The message repeats nothing of it."""


class Kind(Enum):
    """What a playlist leads to."""

    PLAYLIST = "playlist"
    SEGMENT = "segment"
    MAP = "map"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """So many bytes from `offset` on."""

    length: int
    offset: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A file that a playlist leads to. sequence: the number of a segment, or the place of a playlist among those listed
    with it; is_fragmented: it is of a file in fMP4."""

    kind: Kind
    url: str = field(repr=False)
    byte_range: ByteRange | None = None
    sequence: int = 0
    is_fragmented: bool = False


NameOf = Callable[[Reference], str]
"""Gives a reference its name among our files."""


@dataclass(frozen=True, slots=True)
class Playlist:
    """A playlist of ours. target_duration: seconds, None of one that lists playlists; newest_duration: seconds of its
    last segment; edge: the number of the segment that comes next."""

    text: str
    references: Mapping[str, Reference]
    target_duration: float | None = None
    newest_duration: float = 0.0
    edge: int = 0
    is_over: bool = False


def attributes_of(text: str) -> dict[str, str]:
    """The attributes of a tag by their names, without quotation marks."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        if (match := _ATTRIBUTE.match(text, position)) is None:
            raise PlaylistRefused("a list of attributes is malformed")
        found[match[1]] = match[2].strip('"')
        position = match.end()
    return found


def address_of(base: str, uri: str) -> str:
    """The whole address that `uri` names in a playlist from `base`; where it leads to is not looked at."""
    if not uri:
        raise PlaylistRefused("an address is missing")
    if len(uri) > MAX_URL or not uri.isprintable():
        raise PlaylistRefused("an address is malformed")
    try:
        return urlsplit(urljoin(base, uri)).geturl()
    except ValueError:
        raise PlaylistRefused("an address is malformed") from None


def whole_number(text: str) -> int:
    """A decimal integer."""
    if NUMBER.fullmatch(text) is None:
        raise PlaylistRefused("a number is malformed")
    return int(text)


def seconds_of(text: str) -> float:
    """The duration of a segment, seconds."""
    if SECONDS.fullmatch(text) is None or (seconds := float(text)) > MAX_DURATION:
        raise PlaylistRefused("a duration is malformed")
    return seconds
