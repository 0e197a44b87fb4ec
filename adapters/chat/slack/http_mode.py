"""HTTP mode: Slack's requests at the project's web server, let in only with a true and fresh signature.

Whatever is forged, old or malformed gets 401 before anything looks into it (docs.slack.dev, verifying requests), and
one line a minute in the log."""

import hmac
import json
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qs

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.response import BoltResponse
from slack_sdk.signature import Clock as WallClock
from slack_sdk.signature import SignatureVerifier

from adapters.chat.slack.rate_limited_log import RateLimitedLog
from bot.core.ports import Clock

OLDEST = 300
"""Seconds that a request's timestamp may differ from this machine's clock; as Slack demands it."""

_FORM = "application/x-www-form-urlencoded"


class Answers(Protocol):
    """Who answers what is let in."""

    async def answer(self, body: str, headers: Mapping[str, str]) -> BoltResponse:
        """As `adapters.chat.slack.app.App.answer`."""


class EventsEndpoint:
    """Takes what Slack sends: events, commands, interactivity, and the check of the address."""

    def __init__(self, signing_secret: str, clock: Clock, wall_clock: WallClock | None = None) -> None:
        """`wall_clock` tells the age of requests; `clock` the pauses between lines of the log."""
        self._verifier = SignatureVerifier(signing_secret)
        self._wall_clock = wall_clock or WallClock()
        self._log = RateLimitedLog(clock)
        self.app: Answers | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            body = (await request.read()).decode()
        except UnicodeDecodeError:
            return self._refuse("a request to Slack's address is not text")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if (age := self._age_of_true(body, headers)) is None:
            return self._refuse(
                "a request to Slack's address is not signed with SLACK_SIGNING_SECRET: that is wrong, or somebody else "
                "asks"
            )
        if abs(age) > OLDEST:
            return self._refuse(
                "a request from Slack is refused because of its time: this machine's clock and Slack's differ, or it "
                "was sent again; set the clock (NTP)",
                clock_is_ahead_by_seconds=age,
            )
        if not _is_readable(body, request.content_type):
            return self._refuse("a request from Slack cannot be read")
        if self.app is None:
            return web.Response(status=503, headers={"Retry-After": "5"})
        return await to_aiohttp_response(await self.app.answer(body, headers))

    def _refuse(self, why: str, **details: object) -> web.Response:
        self._log.warning(why, **details)
        return web.Response(status=401)

    def _age_of_true(self, body: str, headers: dict[str, str]) -> int | None:
        """Seconds since a request was signed, below 0 where Slack's clock is ahead of ours; None if its signature is
        not true for its timestamp, whatever that says."""
        timestamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= _MAX_TIMESTAMP_LENGTH):
            return None
        # The verifier's own check also looks at the age, and does not say which of the two was wrong.
        true = self._verifier.generate_signature(timestamp=timestamp, body=body) or ""
        if not hmac.compare_digest(true.encode(), signature.encode()):
            return None
        return round(self._wall_clock.now()) - int(timestamp)


_MAX_TIMESTAMP_LENGTH = 12
"""Digits of seconds since 1970, and some to spare."""


def _is_readable(body: str, content_type: str) -> bool:
    """Whether it is what Slack sends: a JSON object, or a form whose payload, where it has one, is a JSON object."""
    try:
        if content_type == _FORM:
            form = parse_qs(body, strict_parsing=True)
            return all(is_slacks(json.loads(payload)) for payload in form.get("payload", ()))
        return is_slacks(json.loads(body))
    except (ValueError, RecursionError):
        return False


def is_slacks(payload: object) -> bool:
    """Whether it has the shape that bolt relies on before it hands a request to any listener."""
    if not isinstance(payload, dict):
        return False
    names = (payload.get("team_id"), payload.get("enterprise_id"))
    if not isinstance(payload.get("event", {}), dict) or not all(
        name is None or isinstance(name, str) for name in names
    ):
        return False
    match payload.get("type"):
        case "block_actions":
            actions = payload.get("actions")
            return isinstance(actions, list) and bool(actions) and all(isinstance(action, dict) for action in actions)
        case "view_submission" | "view_closed":
            return isinstance(payload.get("view"), dict)
        case _:
            return True
