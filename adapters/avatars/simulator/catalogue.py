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
