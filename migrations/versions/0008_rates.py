"""What several processes must agree on of people: how much somebody has sent within this minute, and which page has a
ticket that was made for one.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "rates",
        sa.Column("person", key(), primary_key=True),
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("characters", sa.Integer, nullable=False),
    )
    op.create_table(
        "tickets",
        sa.Column("nonce", key(), primary_key=True),
        sa.Column("page", sa.String, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_tickets_taken_at", "tickets", ["taken_at"])


def downgrade() -> None:
    """Take them back."""
    op.drop_table("tickets")
    op.drop_table("rates")


def key() -> TypeEngine[str]:
    """An id, compared byte by byte on both engines."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")
