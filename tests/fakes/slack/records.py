"""What the local Slack keeps: workspaces, people, channels, messages, views and the calls it was asked.

Plain records, with the form in which Slack shows each of them; who may do what is decided elsewhere."""

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.slack.delivery import Delivery

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
    is_org_admin: bool = False

    @property
    def display_name(self) -> str:
        return self.name

    def shown(self, *, with_locale: bool = False) -> Payload:
        """The user object of `users.info`. `enterprise_user` as in @slack/web-api's `UsersInfoResponse`."""
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
        if (enterprise := self.team.enterprise) is not None:
            user["enterprise_user"] = {
                "id": self.id,
                "enterprise_id": enterprise.id,
                "enterprise_name": enterprise.name,
                "is_admin": self.is_org_admin,
                "is_owner": False,
                "teams": [self.team.id],
            }
        return user | ({"locale": self.locale} if with_locale else {})

    def shown_to_others(self) -> Payload:
        """The user object that another company gets in Slack Connect: no word of who is an admin."""
        hidden = ("is_admin", "is_owner", "is_primary_owner", "is_restricted", "is_ultra_restricted", "updated")
        return {name: value for name, value in self.shown().items() if name not in hidden} | {"is_stranger": False}


@dataclass(eq=False)
class Installation:
    """The app in a workspace, or in all workspaces of an organisation."""

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
class Enterprise:
    """An organisation (Enterprise Grid), and the app's installation for it. `granted`: its workspaces with the app."""

    id: str
    name: str
    domain: str
    installation: Installation = field(default_factory=Installation)
    granted: list["Team"] = field(default_factory=list)

    def shown(self) -> Payload:
        return {"id": self.id, "name": self.name}


@dataclass(eq=False)
class Team:
    """A workspace, perhaps one of an organisation, and the app's installation in it: its own, or the organisation's."""

    id: str
    name: str
    domain: str
    enterprise: Enterprise | None = None
    own: Installation = field(default_factory=Installation)

    @property
    def installation(self) -> Installation:
        """The one that serves it: the organisation's where that is installed and was given to it."""
        shared = self.enterprise is not None and self in self.enterprise.granted
        return self.enterprise.installation if self.enterprise and shared else self.own

    @property
    def is_org_install(self) -> bool:
        """Whether it is the organisation that installed the app."""
        return self.enterprise is not None and self.installation is self.enterprise.installation

    @property
    def side(self) -> str:
        """How Slack Connect calls the company: its organisation, where it has one."""
        return self.enterprise.id if self.enterprise else self.id

    @property
    def bot(self) -> User:
        return self.installation.bot

    @property
    def bot_id(self) -> str:
        return self.installation.bot_id

    @property
    def bot_token(self) -> str:
        return self.installation.bot_token

    @property
    def tokens(self) -> dict[str, str]:
        return self.installation.tokens

    @property
    def scopes(self) -> set[str]:
        return self.installation.scopes

    @scopes.setter
    def scopes(self, scopes: set[str]) -> None:
        self.installation.scopes = scopes

    @property
    def installed(self) -> bool:
        return self.installation.installed


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
    """A channel or a direct conversation. `kind`: "public", "private", "im" or "mpim" (several people).

    team: whose it is, the host's in Slack Connect; `others`: the workspaces that share it.
    """

    id: str
    team: Team
    name: str
    kind: str
    members: list[str]
    others: list[Team] = field(default_factory=list)
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
        return any(team.bot.id in self.members for team in self.teams)

    @property
    def teams(self) -> list[Team]:
        """Every workspace that has the channel, its own first."""
        return [self.team, *self.others]

    @property
    def is_ext_shared(self) -> bool:
        """Whether another company shares it (Slack Connect), and not only another workspace of the organisation."""
        return any(other.side != self.team.side for other in self.others)

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
            "is_shared": bool(self.others),
            "is_ext_shared": self.is_ext_shared,
            "context_team_id": self.team.id,
        }


@dataclass(eq=False)
class Message:
    """A message in a channel.

    args: the call that posted it last, for a message of the bot.
    team: its author's, where that is not the channel's.
    files: what was uploaded with it.
    """

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
    team: Team | None = None
    files: list[Payload] = field(default_factory=list)
    attachments: list[Payload] = field(default_factory=list)

    @property
    def author_team(self) -> Team:
        return self.team or self.channel.team

    def shown(self) -> Payload:
        """The message object of events, payloads and answers."""
        team = self.author_team
        message: Payload = {"type": "message", "user": self.user, "text": self.text, "ts": self.ts, "team": team.id}
        if self.files:
            message |= {"subtype": "file_share", "files": self.files, "upload": False}
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
            "app_installed_team_id": self.team.side if self.team.is_org_install else self.team.id,
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
