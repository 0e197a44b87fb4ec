"""Where panels stand, who is blocked, what workspaces gave the app, and a channel's own idle time.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and the column."""
    op.create_table(
        "panels",
        sa.Column(
            "session_id",
            key(),
            sa.ForeignKey("sessions.id", name="fk_panels_session_id"),
            primary_key=True,
        ),
        sa.Column("platform", sa.String, nullable=False, index=True),
        sa.Column("reference", sa.String, nullable=False),
    )
    op.create_table(
        "blocks",
        sa.Column("person", key(), primary_key=True),
        sa.Column("workspace", key(), primary_key=True),
        sa.Column("blocked_by", sa.String, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "installations",
        sa.Column("platform", sa.String, primary_key=True),
        sa.Column("workspace", key(), primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("installed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "oauth_states",
        sa.Column("state", key(), primary_key=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.add_column("channel_settings", sa.Column("idle_timeout", sa.Float))


def downgrade() -> None:
    """Take it all back."""
    op.drop_column("channel_settings", "idle_timeout")
    for table in ("oauth_states", "installations", "blocks", "panels"):
        op.drop_table(table)


def key() -> TypeEngine[str]:
    """An id, compared byte by byte on both engines."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")
