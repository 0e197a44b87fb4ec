"""The insert that knows ON CONFLICT. Both engines write it the same; SQLAlchemy has it in each one's own dialect."""

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert_into(dialect: str, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    """An insert for the engine whose dialect SQLAlchemy calls `sqlite` or `postgresql`."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # 2 MB, for those who have a server

    return postgresql.insert(table)
