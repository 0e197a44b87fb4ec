"""What Alembic runs for every command: it migrates over the connection that `bot.store.migrate` hands in.

For developers, from the folder of the project:
`alembic -c migrations/alembic.ini -x url=sqlite:////tmp/dev.db revision --autogenerate -m "what changes"`.
"""

import asyncio
from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.engine import Connection

from bot.store.column_types import UtcDateTime
from bot.store.migrate import over_connection
from bot.store.tables import metadata


def render(kind: str, item: object, _: AutogenContext) -> str | Literal[False]:
    """How autogenerate writes our own type down: a step does not import the program."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def migrate(connection: Connection) -> None:
    """Run the command's steps in the transaction that is already open on the connection."""
    # Batch mode: SQLite cannot alter most things in place, so Alembic copies the table.
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, render_item=render)
    context.run_migrations()


handed_in = context.config.attributes.get("connection")
if isinstance(handed_in, Connection):
    migrate(handed_in)
else:
    asyncio.run(over_connection(context.get_x_argument(as_dictionary=True)["url"], migrate))
