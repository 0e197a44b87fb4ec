"""How v1 lists things: avatars, voices, sessions. Asks for nothing."""

from collections.abc import Sequence

from adapters.wire import fields
from bot.core.errors import Transient, Trouble
from bot.core.ports import CatalogueEntry

MAX_CATALOGUE_SIZE = 1000
"""Entries of a list that are kept."""


def avatars_in(body: object) -> Sequence[CatalogueEntry]:
    """The avatars that are active."""
    rows = rows_of(body, "avatars")
    entries = [_avatar(row) for row in rows[:MAX_CATALOGUE_SIZE] if fields.field(row, "status") in (None, "ACTIVE")]
    return [entry for entry in entries if entry is not None]


def voices_in(body: object) -> Sequence[CatalogueEntry]:
    """The voices that work in a live stream."""
    rows = rows_of(body, "voices")
    entries = [_voice(row) for row in rows[:MAX_CATALOGUE_SIZE] if _speaks_live(row)]
    return [entry for entry in entries if entry is not None]


def rows_of(body: object, name: str) -> list[object]:
    """The rows of a list, which come bare or under their name; null stands for none."""
    data = fields.field(body, "data")
    rows = data[name] if isinstance(data, dict) and name in data else data
    if rows is not None and not isinstance(rows, list):
        raise Transient(
            f"HeyGen listed its {name} in a form nobody knows", may_have_taken_effect=False, trouble=Trouble.MALFORMED
        )
    return rows or []


def _avatar(row: object) -> CatalogueEntry | None:
    avatar_id = fields.text(fields.field(row, "avatar_id"))
    if avatar_id is None:
        return None
    return CatalogueEntry(
        avatar_id,
        fields.text(fields.field(row, "pose_name")) or avatar_id,
        fields.url(fields.field(row, "normal_preview"), "https", "http"),
        fields.text(fields.field(row, "default_voice")),
    )


def _voice(row: object) -> CatalogueEntry | None:
    voice_id = fields.text(fields.field(row, "voice_id"))
    if voice_id is None:
        return None
    name = fields.text(fields.field(row, "name")) or fields.text(fields.field(row, "display_name")) or voice_id
    return CatalogueEntry(voice_id, name)


def _speaks_live(row: object) -> bool:
    flags = [fields.field(row, "support_realtime"), fields.field(row, "support_interactive_avatar")]
    return True in flags or flags == [None, None]
