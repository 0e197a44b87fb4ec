"""Bolt's app with an answer to every failure, of a listener as of bolt itself: whether Slack is to bring it again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.chat.slack.events import NotPersisted
from bot.core.errors import StoreError
from bot.core.unexpected import report_unexpected

log = structlog.get_logger(__name__)


class App(AsyncApp):
    """Bolt's app, with an answer also to what bolt itself stumbles over, before any listener has seen it."""

    async def answer(
        self, body: str | dict[str, Any], headers: Mapping[str, str | Sequence[str]], *, mode: str = "http"
    ) -> BoltResponse:
        """Answer what came from Slack. Raises nothing."""
        try:
            return await self.async_dispatch(AsyncBoltRequest(body=body, headers=dict(headers), mode=mode))
        except Exception as error:  # noqa: BLE001 - the boundary to a library that trusts what it is sent
            # The body of a request over HTTP has been read once, and is JSON or a form.
            parsed = json.loads(body) if isinstance(body, str) and body.startswith("{") else body
            return await failed(error, parsed if isinstance(parsed, dict) else {})


async def failed(error: Exception, body: dict[str, Any]) -> BoltResponse:
    """The answer to what failed: no acknowledgement where another delivery may fare better."""
    if isinstance(error, NotPersisted | StoreError | TimeoutError):
        log.warning("something from Slack could not be stored and is not acknowledged", error=type(error).__name__)
        return BoltResponse(status=503)
    # A bug of ours, or something Slack has never sent before. An event would fail again and again; of a command
    # that is not acknowledged the person is told.
    report_unexpected("something from Slack was not understood", error)
    return BoltResponse(status=200 if "event" in body else 500)
