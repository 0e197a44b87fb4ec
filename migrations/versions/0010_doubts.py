"""Messages that are in doubt, until people have been told so: a process that is struck after it has noted that, and
before it has told, leaves it to the next one. What was in doubt before this step counts as told.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "doubts",
        sa.Column(
            "utterance_id", key(), sa.ForeignKey("utterances.id", name="fk_doubts_utterance_id"), primary_key=True
        ),
        sa.Column("session_id", key(), sa.ForeignKey("sessions.id", name="fk_doubts_session_id"), nullable=False),
        sa.PrimaryKeyConstraint("utterance_id", name="pk_doubts"),
    )
    op.create_index("ix_doubts_session_id", "doubts", ["session_id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_table("doubts")


def key() -> TypeEngine[str]:
    """An id, compared byte by byte on both engines."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")
