"""What workspaces gave the app when they installed it, encrypted by who hands it over, and installations under way.
A `Repository`."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.store.repository import Repository, reads, writes
from bot.store.tables import installations, oauth_states
from bot.store.upsert import insert_into


class InstallationRepository(Repository):
    """Reads and writes installations, and the one-time states of those under way."""

    @writes
    def save(self, connection: Connection, platform: str, workspace: str, sealed: str) -> None:
        """Keep what a workspace gave the app, encrypted; a second one takes the place of the first."""
        insert = insert_into(connection.dialect.name, installations)
        replace = insert.on_conflict_do_update(
            index_elements=installations.primary_key.columns,
            set_={"sealed": insert.excluded.sealed, "installed_at": insert.excluded.installed_at},
        )
        row = {"platform": platform, "workspace": workspace, "sealed": sealed, "installed_at": self._clock.now()}
        connection.execute(replace, row)

    @reads
    def get(self, connection: Connection, platform: str, workspace: str) -> str | None:
        """What a workspace gave the app, encrypted; None if it is not installed there."""
        query = sa.select(installations.c.sealed).where(_is_of(platform, workspace))
        return connection.execute(query).scalar_one_or_none()

    @reads
    def workspaces(self, connection: Connection, platform: str) -> list[str]:
        """The workspaces the app is installed in."""
        query = sa.select(installations.c.workspace).where(installations.c.platform == platform)
        return list(connection.execute(query.order_by(installations.c.workspace)).scalars())

    @writes
    def forget(self, connection: Connection, platform: str, workspace: str) -> None:
        """The app was removed from a workspace."""
        connection.execute(installations.delete().where(_is_of(platform, workspace)))

    @writes
    def issue_state(self, connection: Connection, state: str, expires_at: datetime) -> None:
        """Remember a one-time state of an installation that has begun; forgets those that have expired."""
        connection.execute(oauth_states.delete().where(oauth_states.c.expires_at <= self._clock.now()))
        connection.execute(oauth_states.insert(), {"state": state, "expires_at": expires_at})

    @writes
    def consume_state(self, connection: Connection, state: str) -> bool:
        """Use a state up. False if it was never issued, was used before, or has expired."""
        is_good = sa.and_(oauth_states.c.state == state, oauth_states.c.expires_at > self._clock.now())
        return connection.execute(oauth_states.delete().where(is_good)).rowcount > 0


def _is_of(platform: str, workspace: str) -> sa.ColumnElement[bool]:
    return sa.and_(installations.c.platform == platform, installations.c.workspace == workspace)
