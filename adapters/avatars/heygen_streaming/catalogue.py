"""How v1 lists things: avatars, voices, sessions. Lists come bare or under their name; null stands for an empty one.
Asks for nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, BaseModel, Field, OnErrorOmit

from adapters.wire.lenient import NO_BOOL, HttpUrl, LenientModel, Text
from bot.core.ports import CatalogueEntry

MAX_CATALOGUE_SIZE = 1000
"""Entries of a list that are kept."""


class Session(LenientModel):
    """One of `streaming.list`."""

    session_id: Text
    status: Text = "unknown"
    created_at: Annotated[float, Field(gt=0, lt=1e11, allow_inf_nan=False), NO_BOOL] | None = None

    @property
    def opened_at(self) -> datetime | None:
        """When it was created, in UTC."""
        return None if self.created_at is None else datetime.fromtimestamp(self.created_at, UTC)


class _Avatar(LenientModel):
    avatar_id: Text
    pose_name: Text | None = None
    normal_preview: HttpUrl | None = None
    default_voice: Text | None = None
    status: object = None


class _Voice(LenientModel):
    voice_id: Text
    name: Text | None = None
    display_name: Text | None = None
    support_realtime: object = None
    support_interactive_avatar: object = None


def _listed(name: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(AliasPath("data", name), "data"))


class Sessions(BaseModel):
    """The answer of `streaming.list`."""

    sessions: list[OnErrorOmit[Session]] | None = _listed("sessions")


class Avatars(BaseModel):
    """The answer of `avatar.list`."""

    avatars: list[OnErrorOmit[_Avatar]] | None = _listed("avatars")

    def entries(self) -> Sequence[CatalogueEntry]:
        """The avatars that are active."""
        return [
            CatalogueEntry(row.avatar_id, row.pose_name or row.avatar_id, row.normal_preview, row.default_voice)
            for row in (self.avatars or [])[:MAX_CATALOGUE_SIZE]
            if row.status in (None, "ACTIVE")
        ]


class Voices(BaseModel):
    """The answer of `voices`."""

    voices: list[OnErrorOmit[_Voice]] | None = _listed("voices")

    def entries(self) -> Sequence[CatalogueEntry]:
        """The voices that work in a live stream."""
        return [
            CatalogueEntry(row.voice_id, row.name or row.display_name or row.voice_id)
            for row in (self.voices or [])[:MAX_CATALOGUE_SIZE]
            if True in (flags := [row.support_realtime, row.support_interactive_avatar]) or flags == [None, None]
        ]
