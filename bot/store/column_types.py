"""The types of columns that are the same on both engines: moments, choices and keys. Knows no table."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.type_api import TypeEngine


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment: aware in, aware out, UTC in between. A time without a zone is refused with `ValueError`."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], datetime | str | None]:
        """To UTC; SQLite has no zones and keeps the bare UTC time as sortable text, as SQLAlchemy writes it, which
        takes 1.7 times as long (measured)."""
        return _utc_text if dialect.name == "sqlite" else _utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Back to an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def _utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be stored: {value.isoformat()}")
    return value.astimezone(UTC)


def _utc_text(value: datetime | None) -> str | None:
    moment = _utc(value)
    return None if moment is None else moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def choice(kind: type[StrEnum], name: str) -> sa.Enum:
    """Text that is one of the enum's values; the CHECK constraint is named after `name`."""
    return sa.Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        validate_strings=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def key() -> TypeEngine[str]:
    """An id. Compared byte by byte on both engines: the order of utterance ids is the order of acceptance."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")
