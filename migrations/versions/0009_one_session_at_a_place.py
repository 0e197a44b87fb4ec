"""One open session in a channel, whichever workspace it is heard through: two that share one channel could each have
opened a session there. Of those only the older one stays open; the streams of the others are closed by the next start,
as all that sessions leave behind.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

IS_OPEN = sa.text("state != 'closed'")

CLOSE_SECOND_ONES = """
UPDATE sessions
SET state = 'closed', closed_at = CURRENT_TIMESTAMP, end_reason = 'failed', owner = NULL,
    end_detail = 'There was another avatar in this channel already.'
WHERE state != 'closed' AND EXISTS (
  SELECT 1 FROM sessions AS older
  WHERE older.state != 'closed' AND older.platform = sessions.platform AND older.channel = sessions.channel
    AND (older.created_at < sessions.created_at
         OR (older.created_at = sessions.created_at AND older.id < sessions.id))
)
"""


def upgrade() -> None:
    """Add the index. The one that it makes superfluous stays for processes of the version before."""
    op.execute(CLOSE_SECOND_ONES)
    op.create_index(
        "uq_one_open_session_at_a_place",
        "sessions",
        ["platform", "channel"],
        unique=True,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("uq_one_open_session_at_a_place", "sessions")
