"""HTTP mode: Slack's requests at the project's web server, let in only with a true and fresh signature.

Whatever is forged, old or malformed gets 401 before anything looks into it (docs.slack.dev, verifying requests)."""

import json
from urllib.parse import parse_qs

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_sdk.signature import SignatureVerifier

from adapters.chat.slack.app import App

EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

_FORM = "application/x-www-form-urlencoded"


class WebRequests:
    """Takes what Slack sends: events, commands, interactivity, and the check of the address."""

    def __init__(self, signing_secret: str) -> None:
        self._verifier = SignatureVerifier(signing_secret)
        self.app: App | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            body = (await request.read()).decode()
        except UnicodeDecodeError:
            return web.Response(status=401)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not self._is_true(body, headers) or not _is_readable(body, request.content_type):
            return web.Response(status=401)
        if self.app is None:
            return web.Response(status=503, headers={"Retry-After": "5"})
        return await to_aiohttp_response(await self.app.answer(body, headers))

    def _is_true(self, body: str, headers: dict[str, str]) -> bool:
        try:
            return self._verifier.is_valid_request(body, headers)
        except (ValueError, TypeError):
            # A timestamp that is no number.
            return False


def _is_readable(body: str, content_type: str) -> bool:
    """Whether it is what Slack sends: a JSON object, or a form whose payload, where it has one, is a JSON object."""
    try:
        if content_type == _FORM:
            form = parse_qs(body, strict_parsing=True)
            return all(_is_slacks(json.loads(payload)) for payload in form.get("payload", ()))
        return _is_slacks(json.loads(body))
    except (ValueError, RecursionError):
        return False


def _is_slacks(payload: object) -> bool:
    """Whether it has the shape that bolt relies on before it hands a request to any listener."""
    if not isinstance(payload, dict):
        return False
    event = payload.get("event", {})
    names = (payload.get("team_id"), payload.get("enterprise_id"))
    return isinstance(event, dict) and all(name is None or isinstance(name, str) for name in names)
