"""How much of a stream was speech. What closed before this step says nothing of it, and counts as silent.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("streams", sa.Column("spoken_seconds", sa.Float))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("streams", "spoken_seconds")
