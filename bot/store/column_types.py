"""The types of columns that are the same on both engines: moments, choices and keys. Knows no table."""

from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.type_api import TypeEngine


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment: aware in, aware out, UTC in between. A time without a zone is refused with `ValueError`."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; SQLite has no zones and keeps the bare UTC time as sortable text."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value.isoformat()}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Back to an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


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
