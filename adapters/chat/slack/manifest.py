"""The app manifest: the one place that names the scopes, events, commands and shortcuts the code uses.

`avatar-relay slack-manifest` prints it; Slack takes JSON and YAML alike. Pure: made from settings alone."""

import json
from typing import Any
from urllib.parse import urlsplit

from bot.settings import EmbedChoice, Settings

EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

NAME = "Avatar"
"""What people mention; whoever installs the app may change it in the manifest."""

SAY_THIS = "say_this"
"""Callback of the message shortcut."""

START_HERE = "start_avatar"
"""Callback of the global shortcut."""

SCOPES = {
    "app_mentions:read": "hear that somebody writes to the avatar",
    "channels:history": "hear messages, edits and deletions in public channels it was invited to",
    "channels:read": "know whether it is in a public channel, and when that is archived or deleted",
    "chat:write": "answer, and show the panel",
    "commands": "the slash commands and shortcuts",
    "groups:history": "the same as channels:history in private channels it was invited to",
    "groups:read": "the same as channels:read in private channels",
    "reactions:write": "mark a message as waiting, said or not said",
    "usergroups:read": "names of user groups in messages, and permissions by user group",
    "users:read": "names of people, and who is an admin",
}
"""Each scope of the bot token, and why."""

EVENTS = (
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "channel_archive",
    "channel_deleted",
    "channel_left",
    "group_archive",
    "group_deleted",
    "group_left",
    "member_left_channel",
    "message.channels",
    "message.groups",
    "subteam_created",
    "subteam_updated",
    "tokens_revoked",
)
"""The event subscriptions of the bot."""

EVENTS_OF_SIDE_PANE = ("entity_details_requested",)
"""Those of an app whose panels open the avatar in Slack's side pane (`SLACK_EMBED`)."""

EVENTS_OF_ORGANISATIONS = ("team_access_granted", "team_access_revoked")
"""Those of an app that can be installed for a whole organisation (Enterprise Grid)."""


def manifest(settings: Settings) -> str:
    """The manifest as JSON text: Socket Mode, or HTTP under `WEB_PUBLIC_URL` where `SLACK_SIGNING_SECRET` is set and
    `SLACK_APP_TOKEN` is not."""
    return json.dumps(manifest_of(settings), indent=2, ensure_ascii=False)


PANE_STEPS = """\
For watching in Slack's side pane the manifest is not all: in the app's settings (api.slack.com/apps)
1. Work Object Previews: switch it on, and choose the entity type Item.
2. There, under the domains that may be embedded: add {host}. Without it Slack shows an empty pane and says nothing.
3. Install App: install it again, so that it hears of clicks (entity_details_requested, which is in the manifest).
The frame needs no origin of its own: leave that switch off. Whether all is right, only a click in Slack shows."""

HOW_TO_SWITCH_ON = (
    "To let people watch in Slack's side pane as well, set SLACK_EMBED=auto and print `avatar-relay slack-manifest`."
)
NO_PANE_ADDRESS = "SLACK_EMBED is auto, but the side pane needs a WEB_PUBLIC_URL that begins with https://."


def pane_steps(settings: Settings) -> str:
    """What has to be done in the app's settings for the side pane, beside the manifest, whose schema does not know it
    (slackapi/manifest-schema c50cfa8); empty where nothing is to be said."""
    host = urlsplit(settings.web.public_url or "")
    is_possible = host.scheme == "https" and host.hostname is not None
    if settings.slack.embed is EmbedChoice.OFF:
        return HOW_TO_SWITCH_ON if is_possible else ""
    return PANE_STEPS.format(host=host.hostname) if is_possible else NO_PANE_ADDRESS


def uses_http(settings: Settings) -> bool:
    """Whether Slack sends what happens to our web server instead of down a socket."""
    return settings.slack.app_token is None and settings.slack.signing_secret is not None


def manifest_of(settings: Settings) -> dict[str, Any]:
    """The manifest as a value."""
    http = uses_http(settings)
    address = settings.web.public_url or "https://avatar.example.com"
    # Only an app that others install can be installed for an organisation, and only that hears of its workspaces.
    of_organisations = EVENTS_OF_ORGANISATIONS if settings.slack.client_id else ()
    of_side_pane = EVENTS_OF_SIDE_PANE if settings.slack.embed is EmbedChoice.AUTO else ()
    events = sorted((*EVENTS, *of_organisations, *of_side_pane))
    at_us: dict[str, Any] = {"request_url": f"{address.rstrip('/')}{EVENTS_PATH}"} if http else {}
    oauth: dict[str, Any] = {"scopes": {"bot": list(SCOPES)}}
    if settings.slack.client_id:
        oauth["redirect_urls"] = [f"{address.rstrip('/')}{REDIRECT_PATH}"]
    return {
        "display_information": {
            "name": NAME,
            "description": "Brings a live, talking avatar into a channel.",
            "background_color": "#1d2b4f",
        },
        "features": {
            "app_home": {"home_tab_enabled": True, "messages_tab_enabled": False},
            "bot_user": {"display_name": NAME, "always_online": True},
            "shortcuts": [
                {
                    "name": "Let the avatar say this",
                    "type": "message",
                    "callback_id": SAY_THIS,
                    "description": "The avatar in this channel says the message.",
                },
                {
                    "name": "Start an avatar",
                    "type": "global",
                    "callback_id": START_HERE,
                    "description": "Choose the avatar, its voice and the channel.",
                },
            ],
            "slash_commands": [
                _command(settings.slack.command, "Bring in an avatar and talk to it", "start | say TEXT | help", at_us),
                _command(
                    f"{settings.slack.command}-admin", "Look after the avatars", "sessions | cleanup | stop ID", at_us
                ),
            ],
        },
        "oauth_config": oauth,
        "settings": {
            "event_subscriptions": {**at_us, "bot_events": events},
            "interactivity": {"is_enabled": True, **at_us},
            "org_deploy_enabled": bool(settings.slack.client_id),
            "socket_mode_enabled": not http,
            "token_rotation_enabled": False,
        },
    }


def _command(word: str, description: str, hint: str, at_us: dict[str, str]) -> dict[str, Any]:
    """Escaped, so that people and channels arrive as ids; a command in HTTP mode has an address of its own."""
    own = {"url": at_us["request_url"]} if at_us else {}
    return {"command": f"/{word}", "description": description, "usage_hint": hint, "should_escape": True, **own}
