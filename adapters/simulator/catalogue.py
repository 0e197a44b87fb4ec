"""The invented avatars and voices, and how a list is cut into pages.

Data and lookups only. Nobody here is a real person; the pictures are drawn by `pictures`.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

CREATED_AT = 1_767_225_600
"""1 January 2026, 00:00 UTC, when all of them came into being."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice. Only `realtime` ones work in a v1 session."""

    id: str
    name: str
    language: str
    gender: str
    realtime: bool = True
    public: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """An avatar with its looks."""

    id: str
    name: str
    gender: str
    voice: str
    public: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """One look of an avatar; its id is what v3 calls `avatar_id`. `colours` are background, skin, hair and clothes."""

    id: str
    name: str
    group: str
    kind: str
    colours: tuple[str, str, str, str]
    tags: tuple[str, ...] = ()


VOICES = (
    Voice("sim-voice-clara", "Clara", "English", "female"),
    Voice("sim-voice-milo", "Milo", "English", "male"),
    Voice("sim-voice-yuki", "Yuki", "Japanese", "female"),
    Voice("sim-voice-anton", "Anton", "Russian", "male"),
    Voice("sim-voice-lena", "Lena", "German", "female"),
    Voice("sim-voice-salma", "Salma", "Arabic", "female", realtime=False),
    Voice("sim-voice-workshop", "Workshop", "English", "neutral", public=False),
)

GROUPS = (
    Group("sim-group-robin", "Robin", "neutral", "sim-voice-clara"),
    Group("sim-group-juno", "Juno", "female", "sim-voice-clara"),
    Group("sim-group-otis", "Otis", "male", "sim-voice-milo"),
    Group("sim-group-workshop", "Workshop twin", "neutral", "sim-voice-workshop", public=False),
)

LOOKS = (
    Look("sim-robin", "Robin", "sim-group-robin", "photo_avatar",
         ("#dfeaf0", "#f2c9a5", "#5b4636", "#3f7d86"), ("calm",)),
    Look("sim-robin-evening", "Robin in the evening", "sim-group-robin", "photo_avatar",
         ("#2f3e55", "#e6b993", "#4a392c", "#b8683f"), ("calm", "dark")),
    Look("sim-juno", "Juno", "sim-group-juno", "digital_twin",
         ("#f1e6da", "#c98f66", "#2b211d", "#7a5aa6"), ("studio",)),
    Look("sim-otis", "Otis", "sim-group-otis", "studio_avatar",
         ("#e3ecdf", "#8d5a3c", "#1f1a18", "#4c6b3c"), ("studio",)),
    Look("sim-workshop", "Workshop twin", "sim-group-workshop", "digital_twin",
         ("#ececec", "#eac3a0", "#8a8a8a", "#555f6b")),
)  # fmt: skip

DEFAULT_AVATAR = "default"
"""What v1 accepts when no avatar was chosen; it is the first look."""

VOICE_BY_ID = {voice.id: voice for voice in VOICES}
GROUP_BY_ID = {group.id: group for group in GROUPS}
LOOK_BY_ID = {look.id: look for look in LOOKS}


def look_for(avatar: str) -> Look | None:
    """The look of an avatar id, `default` included."""
    return LOOKS[0] if avatar == DEFAULT_AVATAR else LOOK_BY_ID.get(avatar)


class BadToken(ValueError):
    """A page token that was never handed out."""


def page_of(items: Sequence[Item], limit: int, token: str | None) -> tuple[Sequence[Item], str | None]:
    """At most `limit` items behind `token`, and the token of the next page, None on the last one.

    Raises `BadToken`.
    """
    first = 0 if token is None else _offset(token)
    if first > len(items) or first < 0:
        raise BadToken(token)
    until = first + limit
    following = base64.urlsafe_b64encode(f"after:{until}".encode()).decode() if until < len(items) else None
    return items[first:until], following


def _offset(token: str) -> int:
    try:
        mark, _, number = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii").partition(":")
    except ValueError as error:
        raise BadToken(token) from error
    if mark != "after" or not number.isdecimal() or len(number) > 9:
        raise BadToken(token)
    return int(number)


_DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 180" role="img" aria-label="{name}">
<rect width="320" height="180" fill="{background}"/>
<path d="M80 180c0-36 36-54 80-54s80 18 80 54z" fill="{clothes}"/>
<rect x="144" y="108" width="32" height="34" rx="14" fill="{skin}"/>
<ellipse cx="160" cy="78" rx="42" ry="48" fill="{skin}"/>
<path d="M114 78c-4-44 22-58 46-58s50 14 46 58c-8-22-18-32-46-32s-38 10-46 32z" fill="{hair}"/>
<circle cx="144" cy="80" r="4.5" fill="#26323a"/><circle cx="176" cy="80" r="4.5" fill="#26323a"/>
<path d="M146 102q14 10 28 0" fill="none" stroke="#26323a" stroke-width="3" stroke-linecap="round"/>
</svg>
"""


def picture_of(look: Look) -> str:
    """The drawing as SVG."""
    background, skin, hair, clothes = look.colours
    return _DRAWING.format(name=look.name, background=background, skin=skin, hair=hair, clothes=clothes)
