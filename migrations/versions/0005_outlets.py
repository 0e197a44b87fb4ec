"""Where sessions are heard outside the watch page.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "outlets",
        sa.Column(
            "session_id",
            key(),
            sa.ForeignKey("sessions.id", name="fk_outlets_session_id"),
            primary_key=True,
        ),
        sa.Column("platform", sa.String, nullable=False),
        sa.Column("place", sa.String, nullable=False),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("outlets")


def key() -> TypeEngine[str]:
    """An id, compared byte by byte on both engines."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")
