"""Deliveries of events: what Slack brings once more unless we acknowledge it, which may be late and out of order.

Slack tries an event again at once, after a minute and after five (docs.slack.dev, Events API, retries). So nothing is
lost where the first delivery was not stored, but what comes late must not undo what happened meanwhile."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from adapters.chat.slack.client import WorkspaceClient
from adapters.chat.slack.message_words import own_words, shared_words
from adapters.chat.slack.mrkdwn import mentions
from bot.core.models import Channel
from bot.settings import RelayMode


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


LAST_RETRY = 3
"""The number of the retry after which Slack gives an event up."""

MAX_REMEMBERED_EDITS = 1000
"""Changed messages that are remembered; the retries of one message span six minutes."""

RETRY_HEADER = "x-slack-retry-num"


_EDITS = ("message_changed", "message_deleted")
_SPOKEN = (None, "thread_broadcast", "file_share", "me_message", "message_share")
"""Subtypes of message events in which a person says something; the others tell of joins, topics and the like."""

Stored = asyncio.Future[bool]
"""Whether what an event causes is stored."""


class NotPersisted(Exception):
    """What an event causes is not stored, or not in time: Slack is to deliver it again."""


@dataclass(frozen=True, slots=True)
class EventDelivery:
    """One delivery of an event. `is_last`: Slack does not bring the event again. late_by: seconds for which it was
    kept, where that is too long for a message to be said; else None."""

    event_id: str
    is_last: bool
    late_by: float | None = None


def delivery_of(body: Mapping[str, Any], headers: Mapping[str, str], late_by: float | None = None) -> EventDelivery:
    """The delivery that a request is; in Socket Mode its headers are made from the envelope."""
    number = headers.get(RETRY_HEADER, "")
    return EventDelivery(str(body.get("event_id", "")), number.isdecimal() and int(number) >= LAST_RETRY, late_by)


def is_of_a_person(message: Mapping[str, Any], bot_user: str) -> bool:
    """Whether somebody wrote it: no app, not ourselves, and not Slack."""
    user = message.get("user")
    is_app = message.get("bot_id") or message.get("subtype") == "bot_message" or message.get("app_id")
    return bool(user) and user not in (bot_user, "USLACKBOT") and not is_app


def is_left_out(event: Mapping[str, Any], bot_user: str, relay: RelayMode) -> bool:
    """Whether an event tells of what a person wrote, or did, that asks nothing of the avatar. What mentions the bot
    comes as `app_mention` too, and is taken in there."""
    subtype = event.get("subtype")
    if event.get("type") != "message" or subtype in _EDITS or not is_of_a_person(event, bot_user):
        return False
    return subtype not in _SPOKEN or relay is not RelayMode.ALL or mentions(str(event.get("text", "")), bot_user)


class RecentEdits:
    """What became of messages lately."""

    def __init__(self) -> None:
        self._newest: LRUCache[tuple[Channel, str], tuple[str, str | None]] = LRUCache(MAX_REMEMBERED_EDITS)

    def edited(self, channel: Channel, message: Mapping[str, Any]) -> bool:
        """Note an edit. False if the message has been edited again, or deleted, since."""
        key = (channel, str(message["ts"]))
        version = str((message.get("edited") or {}).get("ts", ""))
        known_version, known_text = self._newest.get(key, ("", ""))
        if known_text is None or version < known_version:
            return False
        self._newest[key] = (version, own_words(message))
        return True

    def deleted(self, channel: Channel, message: Mapping[str, Any]) -> None:
        """Note a deletion."""
        self._newest[channel, str(message["ts"])] = ("", None)

    def text_now(self, channel: Channel, ts: str, text: str) -> str | None:
        """What a message says now that said `text`; None if it was deleted."""
        known = self._newest.get((channel, ts))
        return text if known is None else known[1]


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message. `raw` is what its author wrote, `shared` what they forwarded with it, both as Slack writes them.
    `keys` name the event and the message; `is_last`: Slack does not bring it again.

    workspace: whose installation heard it; `channel` may be known under another one (`origins.Origins.channel`).
    is_addressed: it mentions the avatar.
    late_by: see `EventDelivery`.
    team: whom its author belongs to, as the event says; None if it does not.
    """

    workspace: WorkspaceClient
    channel: Channel
    user: str
    raw: str
    ts: str
    message_id: str
    keys: tuple[str, ...]
    thread: str | None
    is_last: bool
    is_addressed: bool
    team: str | None = None
    shared: str = ""
    late_by: float | None = None


def slack_message(
    workspace: WorkspaceClient, channel: Channel, event: Mapping[str, Any], delivery: EventDelivery, team: str | None
) -> SlackMessage:
    """The message that a `message` or `app_mention` event tells of."""
    return SlackMessage(
        workspace=workspace,
        channel=channel,
        user=str(event["user"]),
        raw=own_words(event),
        ts=str(event["ts"]),
        message_id=message_id_of(event),
        keys=(f"slack:event:{delivery.event_id}", f"slack:msg:{channel.workspace}:{channel.id}:{event['ts']}"),
        thread=thread_of(event),
        is_last=delivery.is_last,
        is_addressed=event["type"] == "app_mention",
        team=team,
        shared=shared_words(event),
        late_by=delivery.late_by,
    )
