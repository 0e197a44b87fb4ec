"""What the local Slack keeps: workspaces, people, channels, messages, views and the calls it was asked.

Plain records, with the form in which Slack shows each of them; who may do what is decided elsewhere."""

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.twins.slack.delivery import Delivery

Payload = dict[str, Any]

_numbers = itertools.count(1)


def new_id(prefix: str) -> str:
    """An id as Slack writes them: a letter for the kind, then capitals and digits."""
    return f"{prefix}0TWIN{next(_numbers):05d}"


@dataclass(eq=False)
class User:
    """A person or a bot user of one workspace."""

    id: str
    team: "Team"
    name: str
    is_admin: bool = False
    is_owner: bool = False
    is_bot: bool = False
    locale: str = "en-US"
    deleted: bool = False

    @property
    def display_name(self) -> str:
        return self.name

    def shown(self, *, with_locale: bool = False) -> Payload:
        """The user object of `users.info`."""
        profile = {"real_name": self.name, "display_name": self.display_name, "team": self.team.id}
        user: Payload = {
            "id": self.id,
            "team_id": self.team.id,
            "name": self.name,
            "real_name": self.name,
            "deleted": self.deleted,
            "profile": profile,
            "is_admin": self.is_admin,
            "is_owner": self.is_owner,
            "is_primary_owner": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "tz": "Etc/UTC",
            "tz_offset": 0,
            "updated": 0,
        }
        return user | ({"locale": self.locale} if with_locale else {})


@dataclass(eq=False)
class Team:
    """A workspace, and the app's installation in it."""

    id: str
    name: str
    domain: str
    bot: User = field(init=False)
    bot_id: str = field(default_factory=lambda: new_id("B"))
    tokens: dict[str, str] = field(default_factory=dict)
    """Bot tokens ever given out, each with its state: "live" or the error a call with it gets."""
    bot_token: str = ""
    scopes: set[str] = field(default_factory=set)
    """What the present bot token may do."""

    @property
    def installed(self) -> bool:
        return self.tokens.get(self.bot_token) == "live"


@dataclass(eq=False)
class UserGroup:
    """A user group ("subteam" in events)."""

    id: str
    team: Team
    handle: str
    members: list[str]

    def shown(self, *, with_users: bool = True) -> Payload:
        group: Payload = {
            "id": self.id,
            "team_id": self.team.id,
            "is_usergroup": True,
            "name": self.handle,
            "handle": self.handle,
            "user_count": len(self.members),
            "date_delete": 0,
        }
        return group | ({"users": list(self.members)} if with_users else {})


@dataclass(eq=False)
class Channel:
    """A channel or a direct conversation. `kind`: "public", "private", "im" or "mpim" (several people)."""

    id: str
    team: Team
    name: str
    kind: str
    members: list[str]
    archived: bool = False
    deleted: bool = False
    restricted: bool = False
    messages: dict[str, "Message"] = field(default_factory=dict)
    ephemerals: list["Ephemeral"] = field(default_factory=list)

    @property
    def type(self) -> str:
        """`channel_type` of message events."""
        return {"public": "channel", "private": "group", "im": "im", "mpim": "mpim"}[self.kind]

    @property
    def with_bot(self) -> bool:
        return self.team.bot.id in self.members

    def shown(self) -> Payload:
        """The conversation object of `conversations.info`."""
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": self.kind == "public",
            "is_group": self.kind == "private",
            "is_im": self.kind == "im",
            "is_mpim": self.kind == "mpim",
            "is_private": self.kind != "public",
            "is_archived": self.archived,
            "is_member": self.with_bot,
            "is_general": False,
            "is_shared": False,
            "context_team_id": self.team.id,
        }


@dataclass(eq=False)
class Message:
    """A message in a channel. `args`: the call that posted it last, for a message of the bot."""

    ts: str
    channel: Channel
    user: str
    text: str
    blocks: list[Payload] = field(default_factory=list)
    thread_ts: str | None = None
    bot_id: str | None = None
    metadata: Payload | None = None
    args: Payload = field(default_factory=dict)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edits: int = 0
    edited_ts: str | None = None
    deleted: bool = False
    deliveries: "list[Delivery]" = field(default_factory=list)
    attachments: list[Payload] = field(default_factory=list)

    def shown(self) -> Payload:
        """The message object of events, payloads and answers."""
        team = self.channel.team
        message: Payload = {"type": "message", "user": self.user, "text": self.text, "ts": self.ts, "team": team.id}
        if self.blocks:
            message["blocks"] = self.blocks
        if self.attachments:
            message["attachments"] = self.attachments
        if self.thread_ts:
            message["thread_ts"] = self.thread_ts
        if self.bot_id:
            message |= {"bot_id": self.bot_id, "app_id": self.args.get("app_id", "")}
        if self.edited_ts:
            message["edited"] = {"user": self.user, "ts": self.edited_ts}
        if self.metadata:
            message["metadata"] = self.metadata
        if self.reactions:
            found = self.reactions.items()
            message["reactions"] = [{"name": name, "users": who, "count": len(who)} for name, who in found]
        return message


@dataclass(eq=False)
class Ephemeral:
    """A message that only one person sees; it has no history, no reactions and cannot be updated by `chat.update`."""

    ts: str
    channel: Channel
    user: str
    text: str
    blocks: list[Payload] = field(default_factory=list)
    thread_ts: str | None = None
    edits: int = 0
    deleted: bool = False


@dataclass(eq=False)
class View:
    """A modal or an App Home tab, as last published."""

    id: str
    team: Team
    user: str
    payload: Payload
    hash: str
    root_id: str
    previous_id: str | None = None
    open: bool = True

    @property
    def type(self) -> str:
        return str(self.payload["type"])

    @property
    def blocks(self) -> list[Payload]:
        return list(self.payload["blocks"])

    @property
    def callback_id(self) -> str:
        return str(self.payload.get("callback_id", ""))

    def shown(self, app_id: str, bot_id: str) -> Payload:
        """The view object of answers and payloads."""
        return self.payload | {
            "id": self.id,
            "team_id": self.team.id,
            "app_id": app_id,
            "app_installed_team_id": self.team.id,
            "bot_id": bot_id,
            "hash": self.hash,
            "root_view_id": self.root_id,
            "previous_view_id": self.previous_id,
            "external_id": self.payload.get("external_id", ""),
            "callback_id": self.callback_id,
            "private_metadata": self.payload.get("private_metadata", ""),
            "state": {"values": {}},
        }


@dataclass(eq=False)
class Request:
    """A call of the bot, as it came in. `time`: the twin's clock in seconds; `error`: what it was refused with."""

    method: str
    args: Payload
    time: float
    team: Team | None = None
    error: str | None = None
