"""What Slack's errors mean to people: one sentence each, with what to do. Only text."""

SETUP = "docs/slack.md"

_TOKEN = {
    "invalid_auth": "SLACK_BOT_TOKEN is not accepted by Slack: copy the Bot User OAuth Token (xoxb-…) again.",
    "not_authed": "SLACK_BOT_TOKEN is not accepted by Slack: copy the Bot User OAuth Token (xoxb-…) again.",
    "account_inactive": "The Slack app is switched off or was removed from the workspace: install it again, "
    "then set SLACK_BOT_TOKEN to its new token.",
    "token_revoked": "SLACK_BOT_TOKEN was revoked: install the Slack app again, then set it to the new token.",
    "token_expired": "SLACK_BOT_TOKEN has expired: switch token rotation off for the app, install it again, "
    "then set the new token.",
    "missing_scope": "The Slack app lacks a scope it needs: update it with `avatar-relay slack-manifest`, "
    "install it again, then set SLACK_BOT_TOKEN.",
    "not_allowed_token_type": "SLACK_BOT_TOKEN must be the Bot User OAuth Token, which begins with xoxb-.",
}

_APP_TOKEN = {
    "invalid_auth": "SLACK_APP_TOKEN is not accepted by Slack: make an app-level token (xapp-…) with the scope "
    "connections:write.",
    "missing_scope": "SLACK_APP_TOKEN lacks the scope connections:write: make another app-level token that has it.",
    "not_allowed_token_type": "SLACK_APP_TOKEN must be an app-level token, which begins with xapp-.",
    "token_revoked": "SLACK_APP_TOKEN was revoked: make another app-level token with the scope connections:write.",
    "account_inactive": "The Slack app of SLACK_APP_TOKEN is switched off: install it again, or make another one.",
    "socket_mode_not_enabled": "Socket Mode is off for the Slack app: switch it on under Settings, Socket Mode.",
}
for _same in ("not_authed", "token_expired"):
    _APP_TOKEN[_same] = _APP_TOKEN["invalid_auth"]

_PLACE = {
    "not_in_channel": "I am not in this channel. Type `/invite @{bot}`, then try again.",
    "channel_not_found": "I cannot see this channel. Type `/invite @{bot}` in it, then try again.",
    "is_archived": "This channel is archived. Unarchive it, or use another one.",
    "restricted_action": "Only some people may post in this channel, and I am not among them. "
    "Ask a workspace admin to let me, or use another channel.",
    "missing_scope": "The app lacks a permission here. Ask the operator to update it with "
    "`avatar-relay slack-manifest` and to install it again.",
    "account_inactive": "The app was switched off in this workspace. Ask an admin to install it again.",
    "msg_too_long": "Slack did not take my answer because it was too long.",
}
_PLACE["restricted_action_read_only_channel"] = _PLACE["restricted_action"]
_PLACE["invalid_auth"] = _PLACE["token_revoked"] = _PLACE["account_inactive"]

DIRECT_MESSAGE = "The avatar needs a channel, so that others can watch and write too. Use `/avatar start` in one."
NOT_RELAYED = "That was not said: SESSION_RELAY is off. Use `/avatar say TEXT` or `/avatar ask TEXT`."
MODAL_TOO_LATE = "Slack did not open the window in time. Try again, or type `/avatar start`."
IN_DOUBT = (
    "The database was in trouble, so I am not sure that this was done. Check with `/avatar status`, then try again."
)
TOO_LONG = "msg_too_long"
NOT_SHOWN = "its panel could not be posted"
NOT_INSTALLED = "The app is no longer installed in this workspace. Ask an admin of it to install the app again."
UNINSTALLED = (
    "The Slack app was removed from its workspace: install it again, then set SLACK_BOT_TOKEN to its new token."
)
CARD_TYPE = "Live avatar"
OPEN_IN_BROWSER = "Open in the browser"
NO_WAY_IN = "This is not for you"
NOT_HERE = "The avatar is not here"
NO_SUCH_AVATAR = "I do not know this avatar any more. Start one with /avatar start."
OTHER_CHANNEL = "This avatar belongs to another channel. Open it from its panel there."
PANE_IS_OFF = "The side pane is switched off. Choose Watch in the panel: it opens the avatar in the browser."
PANE_FAILED = "The side pane did not open the avatar for you. Watch it in the browser instead:"
CARD_PAGE = "The avatar is watched from its panel in Slack: open it there, or choose Watch."
SOMEBODY = "somebody"
SOME_GROUP = "a group"


def bot_token_trouble(error: str) -> str | None:
    """What the operator must do about an error of `auth.test`; None if it may pass."""
    return _TOKEN.get(error)


def app_token_trouble(error: str) -> str | None:
    """What the operator must do about an error of `apps.connections.open`; None if it may pass."""
    return _APP_TOKEN.get(error)


def place_trouble(error: str, bot_name: str) -> str | None:
    """What a person can do about an error of posting in a channel; None if nobody can."""
    sentence = _PLACE.get(error)
    return None if sentence is None else sentence.format(bot=bot_name)
