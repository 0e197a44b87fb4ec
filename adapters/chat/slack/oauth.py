"""The two pages of an installation over OAuth: the way to Slack, and the way back with a state that only this browser
can bring, once, within ten minutes (docs.slack.dev, installing with OAuth)."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from urllib.parse import urlencode

import aiohttp
import structlog
from aiohttp import web

from adapters.chat.slack.client import SlackError, SlackUnavailable, call, web_client
from adapters.chat.slack.manifest import REDIRECT_PATH, SCOPES
from adapters.chat.slack.text_page import text_page
from adapters.chat.slack.workspaces import Workspaces, described
from bot.core.errors import StoreError
from bot.core.ports import Clock
from bot.settings import Settings
from bot.store.store import Store

log = structlog.get_logger(__name__)

STATE_LASTS = 600
"""Seconds between the way to Slack and the way back."""

COOKIE = "avatar-relay-slack-state"

DONE = "The avatar is installed. Invite it into a channel of {team}, then type /{command} start there."
DONE_FOR_ALL = (
    "The avatar is installed for the organisation {team}. Now add the app to the workspaces that should have it, on "
    "the admin page of the organisation. There, invite it into a channel and type /{command} start."
)
REFUSED = "Slack did not install the app. Start again from the installation page."
NOT_YOURS = (
    "This installation was not started in this browser, or was started too long ago. "
    "Start again from the installation page."
)
TRY_LATER = "Slack or the database did not answer. Try again in a minute."


class InstallPages:
    """`GET /slack/install` and `GET /slack/oauth_redirect`."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self.workspaces: Workspaces | None = None
        self.session: aiohttp.ClientSession | None = None

    async def install(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to Slack, with a state of its own."""
        state = secrets.token_urlsafe(32)
        try:
            await self._store.installations.issue_state(
                _as_kept(state), self._clock.now() + timedelta(seconds=STATE_LASTS)
            )
        except StoreError as error:
            log.error("an installation could not begin", error=str(error))
            return text_page(TRY_LATER, 503)
        wish = {"client_id": self._settings.slack.client_id, "scope": ",".join(SCOPES), "state": state}
        if redirect := self._redirect_uri:
            wish["redirect_uri"] = redirect
        base = self._settings.slack.api_url.rstrip("/").removesuffix("/api")
        answer = web.Response(status=302, headers={"Location": f"{base}/oauth/v2/authorize?{urlencode(wish)}"})
        secure = request.secure or bool(redirect and redirect.startswith("https:"))
        answer.set_cookie(
            COOKIE, state, max_age=STATE_LASTS, path=REDIRECT_PATH, secure=secure, httponly=True, samesite="Lax"
        )
        return answer

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        """Take the code that Slack hands out, and keep what it is good for."""
        state, code = request.query.get("state", ""), request.query.get("code", "")
        try:
            is_ours = bool(state) and hmac.compare_digest(state.encode(), request.cookies.get(COOKIE, "").encode())
            if not is_ours or not await self._store.installations.consume_state(_as_kept(state)):
                return text_page(NOT_YOURS, 400)
            if request.query.get("error") or not code:
                return text_page(REFUSED, 400)
            done = await self._exchange(code)
        except SlackError as refusal:
            log.warning("an installation was refused", error=refusal.error)
            return text_page(REFUSED, 400)
        except (SlackUnavailable, StoreError) as error:
            log.error("an installation failed", error=str(error))
            return text_page(TRY_LATER, 503)
        answer = text_page(done, 200)
        answer.del_cookie(COOKIE, path=REDIRECT_PATH)
        return answer

    async def _exchange(self, code: str) -> str:
        """Exchange the code, and keep the installation. Returns what to tell whoever installed the app."""
        if self.workspaces is None or self.session is None:
            raise SlackUnavailable("the bot is not up yet")
        slack = self._settings.slack
        arguments = {"client_id": slack.client_id, "code": code}
        if slack.client_secret is not None:
            arguments["client_secret"] = slack.client_secret.get_secret_value()
        if redirect := self._redirect_uri:
            arguments["redirect_uri"] = redirect
        granted = await call(web_client(None, slack.api_url, self.session), "oauth.v2.access", **arguments)
        token = str(granted["access_token"])
        client = web_client(token, slack.api_url, self.session, repeat=True)
        who = await call(client, "auth.test")
        team, enterprise = granted.get("team") or {}, granted.get("enterprise") or {}
        # What was granted has the last word: it says for whom the token is.
        origin = {
            "is_enterprise_install": granted.get("is_enterprise_install"),
            "enterprise_id": enterprise.get("id") or who.get("enterprise_id"),
            "team_id": team.get("id") or who["team_id"],
        }
        installation = await described({**who, **origin}, token, client)
        await self.workspaces.add(installation)
        if installation.is_of_organisation:
            return DONE_FOR_ALL.format(team=enterprise.get("name") or "your company", command=slack.command)
        return DONE.format(team=team.get("name") or "your workspace", command=slack.command)

    @property
    def _redirect_uri(self) -> str | None:
        public = self._settings.web.public_url
        return f"{public.rstrip('/')}{REDIRECT_PATH}" if public else None


def _as_kept(state: str) -> str:
    """A state as the database has it: a copy of the database finishes nobody's installation."""
    return hashlib.sha256(state.encode()).hexdigest()
