"""What a channel has chosen for its next sessions, which outlives each of them. A `Repository`."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.models import Channel, ChannelSettings, Mode
from bot.store.repository import Repository, reads, writes
from bot.store.rows import channel_row, is_channel
from bot.store.tables import channel_settings
from bot.store.upsert import insert_into


class ChannelRepository(Repository):
    """Reads and writes the settings of channels. None as a setting follows the operator's."""

    @reads
    def settings(self, connection: Connection, channel: Channel) -> ChannelSettings:
        """What the channel has chosen; nothing where it never chose."""
        choices = channel_settings.c
        query = sa.select(choices.mode, choices.idle_timeout).where(*is_channel(channel_settings, channel))
        row = connection.execute(query).one_or_none()
        return ChannelSettings(*row) if row is not None else ChannelSettings()

    @reads
    def chosen_idle_timeouts(self, connection: Connection) -> dict[Channel, float]:
        """The idle time, seconds, of every channel that has chosen one."""
        choices = channel_settings.c
        query = sa.select(choices.platform, choices.workspace, choices.channel, choices.idle_timeout)
        rows = connection.execute(query.where(choices.idle_timeout.is_not(None)))
        return {Channel(*place): seconds for *place, seconds in rows}

    @writes
    def set_mode(self, connection: Connection, channel: Channel, mode: Mode | None) -> None:
        """Remember the mode of the channel's next sessions."""
        _choose(connection, channel, "mode", mode)

    @writes
    def set_idle_timeout(self, connection: Connection, channel: Channel, seconds: float | None) -> None:
        """Remember the idle time of the channel's next sessions."""
        _choose(connection, channel, "idle_timeout", seconds)


def _choose(connection: Connection, channel: Channel, choice: str, value: Mode | float | None) -> None:
    insert = insert_into(connection.dialect.name, channel_settings)
    upsert = insert.on_conflict_do_update(
        index_elements=channel_settings.primary_key.columns, set_={choice: insert.excluded[choice]}
    )
    connection.execute(upsert, {**channel_row(channel), choice: value})
