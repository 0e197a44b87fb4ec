"""Which process has each part of a platform's connection, and when the next one may be introduced."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "shards",
        sa.Column("platform", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("of", sa.Integer, nullable=False),
        sa.Column("owner", key(), sa.ForeignKey("processes.id", name="fk_shards_owner", ondelete="SET NULL")),
    )
    op.create_index("ix_shards_owner", "shards", ["owner"])
    op.create_table(
        "shard_sharers",
        sa.Column("platform", sa.String, primary_key=True),
        sa.Column(
            "process",
            key(),
            sa.ForeignKey("processes.id", name="fk_shard_sharers_process", ondelete="CASCADE"),
            primary_key=True,
        ),
    )
    op.create_table(
        "shard_tickets",
        sa.Column("platform", sa.String, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("shard_tickets")
    op.drop_table("shard_sharers")
    op.drop_index("ix_shards_owner", "shards")
    op.drop_table("shards")


def key() -> TypeEngine[str]:
    """An id, compared byte by byte on both engines."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")
