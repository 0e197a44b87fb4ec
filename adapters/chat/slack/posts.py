"""A message of a person in Slack, as an event brings it. Only facts; what is done with it is elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.chat.slack.calls import Workspace
from adapters.chat.slack.deliveries import Delivery
from adapters.chat.slack.message_ids import message_id_of, thread_of
from adapters.chat.slack.message_words import own_words, shared_words
from bot.model import Channel


@dataclass(frozen=True, slots=True)
class Post:
    """A message. `raw` is what its author wrote, `shared` what they forwarded with it, both as Slack writes them.
    `keys` name the event and the message; `is_last`: Slack does not bring it again.

    workspace: whose installation heard it; `channel` may be known under another one (`origins.Origins.channel`).
    team: whom its author belongs to, as the event says; None where it does not.
    """

    workspace: Workspace
    channel: Channel
    user: str
    raw: str
    ts: str
    message_id: str
    keys: tuple[str, ...]
    thread: str | None
    is_last: bool
    team: str | None = None
    shared: str = ""


def post_of(
    workspace: Workspace, channel: Channel, event: Mapping[str, Any], delivery: Delivery, team: str | None
) -> Post:
    """The post that a `message` or `app_mention` event tells of."""
    return Post(
        workspace=workspace,
        channel=channel,
        user=str(event["user"]),
        raw=own_words(event),
        ts=str(event["ts"]),
        message_id=message_id_of(event),
        keys=(f"slack:event:{delivery.event_id}", f"slack:msg:{channel.workspace}:{channel.id}:{event['ts']}"),
        thread=thread_of(event),
        is_last=delivery.is_last,
        team=team,
        shared=shared_words(event),
    )
