"""Slack as a chat platform, over slack-bolt and slack_sdk."""

from adapters.chat.slack.adapter import SlackAdapter
from adapters.chat.slack.manifest import manifest

__all__ = ["SlackAdapter", "manifest"]
