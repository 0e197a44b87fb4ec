"""How fast a session speaks, and in which language, where somebody chose that when it was started.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("sessions", sa.Column("speed", sa.Float))
    op.add_column("sessions", sa.Column("language", sa.String))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("sessions", "language")
    op.drop_column("sessions", "speed")
