"""The statements on what chat platforms need kept: panels, blocks, installations, as plain functions over a connection.

No transaction begins or ends here and nothing waits: `bot.store.store` runs these.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from bot.core.models import Block, PanelMessage
from bot.store.tables import blocks, installations, oauth_states, panels


def _insert_into(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that knows ON CONFLICT, which both dialects write the same and SQLAlchemy has in each one's own."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def place_panel(connection: Connection, platform: str, panel: PanelMessage) -> None:
    """Insert the panel, or move it."""
    insert = _insert_into(connection, panels)
    move = insert.on_conflict_do_update(
        index_elements=panels.primary_key.columns, set_={"reference": insert.excluded.reference}
    )
    connection.execute(move, {"session_id": panel.session_id, "platform": platform, "reference": panel.reference})


def panels_of(connection: Connection, platform: str) -> list[PanelMessage]:
    """Every panel of a platform."""
    query = sa.select(panels.c.session_id, panels.c.reference).where(panels.c.platform == platform)
    return [PanelMessage(*row) for row in connection.execute(query.order_by(panels.c.session_id))]


def forget_panel(connection: Connection, session_id: str) -> None:
    """Delete the panel of a session."""
    connection.execute(panels.delete().where(panels.c.session_id == session_id))


def block(connection: Connection, block: Block) -> bool:
    """Insert a block. False if the person has one there already."""
    insert = _insert_into(connection, blocks).on_conflict_do_nothing()
    row = {name: getattr(block, name) for name in Block.__slots__}
    return connection.execute(insert, row).rowcount > 0


def unblock(connection: Connection, person: str, workspace: str) -> bool:
    """Delete a block. False if there is none."""
    is_it = sa.and_(blocks.c.person == person, blocks.c.workspace == workspace)
    return connection.execute(blocks.delete().where(is_it)).rowcount > 0


def blocked(connection: Connection) -> list[Block]:
    """Every block, the newest first."""
    return [
        Block(*row)
        for row in connection.execute(
            sa.select(blocks).order_by(blocks.c.at.desc(), blocks.c.person, blocks.c.workspace)
        )
    ]


def save_installation(connection: Connection, platform: str, workspace: str, sealed: str, moment: datetime) -> None:
    """Insert an installation, or replace it."""
    insert = _insert_into(connection, installations)
    replace = insert.on_conflict_do_update(
        index_elements=installations.primary_key.columns,
        set_={"sealed": insert.excluded.sealed, "installed_at": insert.excluded.installed_at},
    )
    row = {"platform": platform, "workspace": workspace, "sealed": sealed, "installed_at": moment}
    connection.execute(replace, row)


def installation(connection: Connection, platform: str, workspace: str) -> str | None:
    """What a workspace gave the app, encrypted."""
    query = sa.select(installations.c.sealed).where(_is_of(platform, workspace))
    return connection.execute(query).scalar_one_or_none()


def installed_in(connection: Connection, platform: str) -> list[str]:
    """The workspaces the app is installed in."""
    query = sa.select(installations.c.workspace).where(installations.c.platform == platform)
    return list(connection.execute(query.order_by(installations.c.workspace)).scalars())


def forget_installation(connection: Connection, platform: str, workspace: str) -> None:
    """Delete an installation."""
    connection.execute(installations.delete().where(_is_of(platform, workspace)))


def issue_state(connection: Connection, state: str, expires_at: datetime, moment: datetime) -> None:
    """Insert a state, and delete those that have expired."""
    connection.execute(oauth_states.delete().where(oauth_states.c.expires_at <= moment))
    connection.execute(oauth_states.insert(), {"state": state, "expires_at": expires_at})


def consume_state(connection: Connection, state: str, moment: datetime) -> bool:
    """Delete a state. False if there is none that is still good."""
    is_good = sa.and_(oauth_states.c.state == state, oauth_states.c.expires_at > moment)
    return connection.execute(oauth_states.delete().where(is_good)).rowcount > 0


def _is_of(platform: str, workspace: str) -> sa.ColumnElement[bool]:
    return sa.and_(installations.c.platform == platform, installations.c.workspace == workspace)
