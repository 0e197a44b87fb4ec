"""Slack as a chat platform, over slack-bolt and slack_sdk.

The program imports this module to ask whether Slack is set up, and the adapter only where it is: with slack-bolt that
takes 6 MB, and what encrypts the tokens of an app with OAuth 7 MB more. That a package is missing shows here all the
same.
"""

from importlib.util import find_spec

from adapters.chat.slack.manifest import manifest, pane_steps
from bot.settings import Settings

__all__ = ["manifest", "missing_settings", "pane_steps"]

for _package in ("slack_bolt", "cryptography"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"No module named {_package!r}", name=_package)


def missing_settings(settings: Settings) -> str | None:
    """What has to be set before Slack can be used."""
    slack = settings.slack
    if slack.bot_token is None and not slack.client_id:
        return "Set SLACK_BOT_TOKEN, and SLACK_APP_TOKEN for Socket Mode or SLACK_SIGNING_SECRET for HTTP."
    if slack.app_token is None and slack.signing_secret is None:
        return "Set SLACK_APP_TOKEN for Socket Mode, or SLACK_SIGNING_SECRET for HTTP."
    if slack.client_id and slack.client_secret is None:
        return "Set SLACK_CLIENT_SECRET as well as SLACK_CLIENT_ID."
    return None


def __getattr__(name: str) -> object:
    if name != "SlackAdapter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from adapters.chat.slack.adapter import SlackAdapter  # see the module

    return SlackAdapter
