"""How a Slack message is named towards the core: its `ts`, and the thread it stands in, so that an answer finds the way
back even after a restart. Pure."""

from collections.abc import Mapping
from typing import Any


def message_id_of(message: Mapping[str, Any]) -> str:
    """The id of a message of an event; the same for its edits and its deletion."""
    ts, thread = str(message["ts"]), thread_of(message)
    return f"{ts}/{thread}" if thread else ts


def thread_of(message: Mapping[str, Any]) -> str | None:
    """The thread a message stands in; None for one in the channel, also once it has answers below it."""
    thread = message.get("thread_ts")
    return str(thread) if thread and thread != message.get("ts") else None


def ts_of(message_id: str) -> str:
    """The `ts` of the message."""
    return message_id.partition("/")[0]


def answered_in(message_id: str | None) -> str | None:
    """The thread in which the message stands."""
    return (message_id or "").partition("/")[2] or None
