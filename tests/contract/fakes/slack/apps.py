"""Words that the tests of the local Slack share."""

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp

Section = dict[str, Any]
Connect = Callable[[AsyncApp], Awaitable[AsyncSocketModeHandler]]
Serve = Callable[[AsyncApp], Awaitable[str]]


def section(text: str) -> Section:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(text: str, action_id: str) -> Section:
    return {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": action_id, "value": "1"}
