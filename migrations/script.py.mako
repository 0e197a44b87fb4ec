"""${message}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """What this step changes."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Back to where it was."""
    ${downgrades if downgrades else "pass"}
