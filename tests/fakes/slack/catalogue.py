"""Which scopes calls and events need, and the arguments of the methods that Slack's schema file does not cover.

From the method and event pages of docs.slack.dev; a scope of the kind `channels:…` is for public channels, `groups:…`
for private ones, `im:…` for direct messages."""

from dataclasses import dataclass, field

KINDS = {"public": "channels", "private": "groups", "im": "im", "mpim": "mpim"}


@dataclass(frozen=True)
class Method:
    """One Web API method.

    scope: what the token must hold; "{kind}" stands for the sort of conversation. arguments: name to JSON type, for
    methods without a schema of their own; `required` names those that must be there. app_token: only for `xapp-`.
    """

    scope: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    app_token: bool = False


_PAGED = {"cursor": "string", "limit": "integer", "team_id": "string"}
_WHO = {"client_id": "string", "client_secret": "string"}

METHODS: dict[str, Method] = {
    "apps.connections.open": Method("connections:write", app_token=True),
    "apps.uninstall": Method(arguments=_WHO, required=("client_id", "client_secret")),
    "auth.revoke": Method(arguments={"test": "boolean"}),
    "auth.teams.list": Method(arguments={"cursor": "string", "limit": "number", "include_icon": "boolean"}),
    "auth.test": Method(),
    "bots.info": Method("users:read", {"bot": "string", "team_id": "string"}),
    "chat.delete": Method("chat:write"),
    "chat.getPermalink": Method("", {"channel": "string", "message_ts": "string"}, ("channel", "message_ts")),
    "chat.postEphemeral": Method("chat:write"),
    "chat.postMessage": Method("chat:write"),
    "chat.update": Method("chat:write"),
    "conversations.info": Method("{kind}:read"),
    "conversations.join": Method("channels:join", {"channel": "string"}, ("channel",)),
    "conversations.list": Method("channels:read", _PAGED | {"exclude_archived": "boolean", "types": "string"}),
    "conversations.members": Method("{kind}:read", _PAGED | {"channel": "string"}, ("channel",)),
    "conversations.open": Method("im:write"),
    "conversations.replies": Method(
        "{kind}:history",
        _PAGED | {"channel": "string", "ts": "string", "inclusive": "boolean", "latest": "string", "oldest": "string"},
        ("channel", "ts"),
    ),
    "entity.presentDetails": Method(
        "",
        {
            "trigger_id": "string",
            "metadata": "object",
            "error": "object",
            "user_auth_required": "boolean",
            "user_auth_url": "string",
        },
        ("trigger_id",),
    ),
    "oauth.v2.access": Method(
        arguments=_WHO | {"code": "string", "redirect_uri": "string", "grant_type": "string", "refresh_token": "string"}
    ),
    "reactions.add": Method("reactions:write"),
    "reactions.remove": Method(
        "reactions:write", {"name": "string", "channel": "string", "timestamp": "string"}, ("name",)
    ),
    "team.info": Method("team:read", {"team": "string", "domain": "string"}),
    "usergroups.list": Method(
        "usergroups:read",
        {"include_count": "boolean", "include_disabled": "boolean", "include_users": "boolean", "team_id": "string"},
    ),
    "usergroups.users.list": Method(
        "usergroups:read",
        {"usergroup": "string", "include_disabled": "boolean", "team_id": "string"},
        ("usergroup",),
    ),
    "users.info": Method("users:read"),
    "users.list": Method("users:read", _PAGED | {"include_locale": "boolean"}),
    "views.open": Method(),
    "views.publish": Method(),
    "views.push": Method("", {"trigger_id": "string", "view": "object"}, ("trigger_id", "view")),
    "views.update": Method(),
}

OF_ONE_WORKSPACE = {"conversations.list", "usergroups.list", "usergroups.users.list", "users.list"}
"""Methods to which an organisation's token must say the workspace: `missing_argument` else (docs.slack.dev,
organization-ready apps)."""

EVENTS: dict[str, str] = {
    "app_home_opened": "",
    "app_mention": "app_mentions:read",
    "app_uninstalled": "",
    "channel_archive": "channels:read",
    "channel_deleted": "channels:read",
    "channel_left": "channels:read",
    "channel_rename": "channels:read",
    "channel_unarchive": "channels:read",
    "entity_details_requested": "",
    "group_archive": "groups:read",
    "group_deleted": "groups:read",
    "group_left": "groups:read",
    "group_rename": "groups:read",
    "group_unarchive": "groups:read",
    "member_joined_channel": "channels:read",
    "member_left_channel": "channels:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "subteam_created": "usergroups:read",
    "subteam_members_changed": "usergroups:read",
    "subteam_updated": "usergroups:read",
    "team_access_granted": "",
    "team_access_revoked": "",
    "tokens_revoked": "",
}
"""Subscription name to the scope it needs; `member_…_channel` needs `groups:read` in a private channel."""

COMMAND_SCOPE = "commands"
APP_SCOPES = {"connections:write"}

ALL_SCOPES = {COMMAND_SCOPE, "chat:write.public"} | {
    scope.replace("{kind}", kind)
    for scope in [method.scope for method in METHODS.values()] + list(EVENTS.values())
    for kind in KINDS.values()
    if scope and scope not in APP_SCOPES
}
