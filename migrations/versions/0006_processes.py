"""Which processes share the database, which of them a session belongs to, what came in while none did, and on
PostgreSQL the fence: what a process that is no longer a member would write to accepted work is refused.

Written out and not taken from `bot.store.tables`: this step stays what it was when the tables move on.
"""

import re
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0006"
down_revision = "0005"

FOREIGN_KEY = "CONSTRAINT fk_sessions_owner FOREIGN KEY(owner) REFERENCES processes (id) ON DELETE SET NULL"
"""As SQLAlchemy writes it."""

FENCED = ("sessions", "streams", "utterances", "processed_events", "panels", "outlets")

STILL_A_MEMBER = """
CREATE OR REPLACE FUNCTION still_a_member() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  me text := current_setting('relay.process', true);
BEGIN
  IF me <> '' THEN
    PERFORM 1 FROM processes WHERE id = me FOR KEY SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'this process no longer owns anything' USING ERRCODE = 'RL001';
    END IF;
  END IF;
  RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Add the table, the column, and the trigger on PostgreSQL."""
    op.create_table(
        "processes",
        sa.Column("id", key(), primary_key=True),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("is_leaving", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proof", sa.String, nullable=False),
    )
    op.create_table(
        "parcels",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("platform", sa.String, nullable=False),
        sa.Column("workspace", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("sessions", sa.Column("owner", key()))
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        op.create_foreign_key("fk_sessions_owner", "sessions", "processes", ["owner"], ["id"], ondelete="SET NULL")
    else:
        rebuild_sessions(lambda sql: f"{sql.removesuffix(')').rstrip()}, {FOREIGN_KEY})")
    op.create_index("ix_sessions_owner", "sessions", ["owner"])
    ownerless = sa.text("state != 'closed' AND owner IS NULL")
    op.create_index("ix_sessions_ownerless", "sessions", ["id"], sqlite_where=ownerless, postgresql_where=ownerless)
    if is_postgresql:
        op.execute(STILL_A_MEMBER)
        for table in FENCED:
            op.execute(
                f"CREATE TRIGGER still_a_member BEFORE INSERT OR UPDATE OR DELETE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION still_a_member()"
            )


def downgrade() -> None:
    """Take it all back."""
    if op.get_bind().dialect.name == "postgresql":
        for table in FENCED:
            op.execute(f"DROP TRIGGER still_a_member ON {table}")
        op.execute("DROP FUNCTION still_a_member()")
        op.drop_constraint("fk_sessions_owner", "sessions")
    op.drop_index("ix_sessions_ownerless", "sessions")
    op.drop_index("ix_sessions_owner", "sessions")
    if op.get_bind().dialect.name == "sqlite":
        rebuild_sessions(without_foreign_key)
    op.drop_column("sessions", "owner")
    op.drop_table("processes")
    op.drop_table("parcels")


def rebuild_sessions(change: Callable[[str], str]) -> None:
    """Make SQLite's table anew from its changed statement: it knows no other way to a foreign key. Alembic's batch mode
    would do the same, and forget the checks."""
    connection = op.get_bind()
    of_table = "FROM sqlite_master WHERE tbl_name = 'sessions' AND sql IS NOT NULL"
    made = connection.exec_driver_sql(f"SELECT sql {of_table} AND type = 'table'").scalar_one()
    indexes = connection.exec_driver_sql(f"SELECT sql {of_table} AND type = 'index'").scalars().all()
    columns = made[made.index("(") :]
    connection.exec_driver_sql(f"CREATE TABLE sessions_anew {change(columns)}")
    connection.exec_driver_sql("INSERT INTO sessions_anew SELECT * FROM sessions")
    connection.exec_driver_sql("DROP TABLE sessions")
    connection.exec_driver_sql("ALTER TABLE sessions_anew RENAME TO sessions")
    for index in indexes:
        connection.exec_driver_sql(index)


def without_foreign_key(sql: str) -> str:
    """The statement of the table as this step or the newest tables made it, without the foreign key."""
    changed = re.sub(rf",\s*{re.escape(FOREIGN_KEY)}", "", sql)
    if changed == sql:
        raise ValueError("the table of sessions was not made by this program")
    return changed


def key() -> TypeEngine[str]:
    """An id, compared byte by byte on both engines."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql")
