"""Values to rows and back, and how a long list of ids is asked for.

The columns of a table stand in the order of the fields of its value; a test holds the two together.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from bot.core.models import AuditEntry, Channel, Session, Stream, Utterance
from bot.store.tables import audit, streams

IDS_AT_ONCE = 1000
"""Ids in a statement. SQLite takes 32,766 variables (https://www.sqlite.org/limits.html), asyncpg 32,767."""

_SESSION_FIELDS = tuple(name for name in Session.__slots__ if name != "channel")


def session_row(session: Session) -> dict[str, object]:
    """The row of a session, its channel laid flat."""
    row: dict[str, object] = {name: getattr(session, name) for name in _SESSION_FIELDS}
    return row | channel_row(session.channel)


def channel_row(channel: Channel) -> dict[str, str]:
    """The three columns of a channel."""
    return {"platform": channel.platform, "workspace": channel.workspace, "channel": channel.id}


def is_channel(table: sa.Table, channel: Channel) -> list[sa.ColumnElement[bool]]:
    """The conditions that a row of `table` is of the channel."""
    return [table.c[name] == value for name, value in channel_row(channel).items()]


def stream_row(stream: Stream) -> dict[str, object]:
    """The row of a stream."""
    return {name: getattr(stream, name) for name in streams.c.keys()}  # noqa: SIM118 - the collection iterates columns


def audit_row(entry: AuditEntry) -> dict[str, object]:
    """The row of an audit entry, without the number that the database gives it."""
    return {name: getattr(entry, name) for name in audit.c.keys() if name != "id"}  # noqa: SIM118 - as above


def read_session(row: Sequence[Any]) -> Session:
    """A session from all columns of its row, without the process it is at."""
    session_id, platform, workspace, channel, *rest, _owner = row
    return Session(session_id, Channel(platform, workspace, channel), *rest)


def read_stream(row: Sequence[Any]) -> Stream:
    """A stream from all columns of its row."""
    return Stream(*row)


def read_utterance(row: Sequence[Any]) -> Utterance:
    """An utterance from all columns of its row."""
    return Utterance(*row)


def in_batches(ids: Sequence[str]) -> Iterator[list[str]]:
    """The ids in portions that a statement can take.

    Each portion is filled up to a power of two by repeating its last id, which changes nothing in an `IN`: a dozen
    statements are prepared instead of a thousand.
    """
    for start in range(0, len(ids), IDS_AT_ONCE):
        portion = list(ids[start : start + IDS_AT_ONCE])
        full = 1 << (len(portion) - 1).bit_length()
        yield portion + [portion[-1]] * (full - len(portion))
