"""Bolt's app with an answer to every failure, of a listener as of bolt itself: whether Slack is to bring it again.

Messages go past bolt: it asks one listener after another and makes a client for each event, more work than the bot's
own for a message (measured), and there is but one listener for them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.chat.slack.events import EventDelivery, NotPersisted, delivery_of
from bot.core.errors import StoreError
from bot.core.unexpected import report_unexpected

log = structlog.get_logger(__name__)


MESSAGES = ("message", "app_mention")
"""Types of events that tell of a message."""

MessageTaker = Callable[[dict[str, Any], EventDelivery], Awaitable[None]]
"""Takes in a message; returns once what it causes is stored."""


class App(AsyncApp):
    """Bolt's app, with an answer also to what bolt itself stumbles over, before any listener has seen it.

    take_message: what takes in the events of messages, which bolt does not see.
    """

    take_message: MessageTaker

    async def answer(
        self,
        body: str | dict[str, Any],
        headers: Mapping[str, str],
        *,
        mode: str = "http",
        late_by: float | None = None,
    ) -> BoltResponse:
        """Answer what came from Slack; `headers` have lower-case names. late_by: see `EventDelivery`. Raises
        nothing."""
        payload: dict[str, Any] = {}
        try:
            # Over HTTP it is text: JSON, or a form.
            parsed = json.loads(body) if isinstance(body, str) and body.startswith("{") else body
            payload = parsed if isinstance(parsed, dict) else {}
            if payload.get("type") == "event_callback" and payload.get("event", {}).get("type") in MESSAGES:
                await self.take_message(payload, delivery_of(payload, headers, late_by))
                return BoltResponse(status=200)
            return await self.async_dispatch(AsyncBoltRequest(body=body, headers=dict(headers), mode=mode))
        except Exception as error:  # noqa: BLE001 - the boundary to a library that trusts what it is sent
            return await failed(error, payload)


async def failed(error: Exception, body: dict[str, Any]) -> BoltResponse:
    """The answer to what failed: no acknowledgement where another delivery may fare better."""
    if isinstance(error, NotPersisted | StoreError | TimeoutError):
        log.warning("something from Slack could not be stored and is not acknowledged", error=type(error).__name__)
        return BoltResponse(status=503)
    # A bug of ours, or something Slack has never sent before. An event would fail again and again; of a command
    # that is not acknowledged the person is told.
    report_unexpected("something from Slack was not understood", error)
    return BoltResponse(status=200 if "event" in body else 500)
