"""Calls of Slack's Web API for one workspace: what may be repeated is, what may not is not, and every failure is typed.

slack_sdk repeats a call whose connection broke, which posts a message twice where only the reply was lost: so posts are
made with a client that repeats nothing but a 429, which surely had no effect (docs.slack.dev, rate limits)."""

import logging
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.redraw import Drawn
from adapters.network import told

REQUEST_TIMEOUT = 10
"""Seconds one attempt of a call may take."""

MAX_RATE_LIMIT_RETRIES = 10
"""429 answers in a row that a call sits out. slack_sdk waits the seconds of Retry-After itself, in real time."""

NOT_IDEMPOTENT = frozenset({"chat.postMessage", "chat.postEphemeral", "oauth.v2.access", "views.open"})
"""Methods that must not run twice."""

USELESS_TOKEN = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})
"""Errors after which no call with the same token works again."""

PASSING = frozenset({
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
    "team_added_to_org",
})  # fmt: skip
"""Errors that say nothing about the request, which may work a little later (docs.slack.dev, Web API, errors)."""

quiet_logger = logging.getLogger("slack_sdk.avatar_relay")
"""slack_sdk and bolt write payloads, people's words among them, and warnings about variables they find in the
environment; what matters is logged by us."""
quiet_logger.setLevel(logging.CRITICAL)


class SlackError(Exception):
    """Slack answered that it does not do it. `error` is its own word, such as `not_in_channel`; `needed` is the scope
    that is missing, where it says so."""

    def __init__(self, method: str, error: str, needed: str = "") -> None:
        super().__init__(f"{method}: {error}")
        self.error = error
        self.needed = needed


class SlackUnavailable(Exception):
    """No usable answer came; the call may have taken effect."""


def drawn_after(error: SlackError | SlackUnavailable) -> Drawn:
    """What a failed attempt to draw a panel means (`adapters.chat.redraw`). A token that no longer works is replaced,
    by the operator or by another installation; where the app is gone permanently, so is its workspace."""
    if isinstance(error, SlackUnavailable) or error.error in PASSING | USELESS_TOKEN:
        return Drawn.AGAIN
    return Drawn.NEVER


class WorkspaceClient:
    """The app in one workspace: who it is there, and its calls.

    organisation: whose installation serves it, where that is not its own; `team_id` may be the organisation itself,
    where nobody can tell the workspace.
    colleagues: ids of the workspaces and the organisation whose people belong to the same company.
    """

    def __init__(
        self,
        team_id: str,
        token: str,
        *,
        bot_user: str,
        bot_id: str,
        api_url: str,
        session: aiohttp.ClientSession,
        organisation: str | None = None,
        colleagues: Collection[str] = (),
        on_useless: Callable[["WorkspaceClient", str], None] = lambda _workspace, _error: None,
    ) -> None:
        """`on_useless` is told once the token no longer works, with Slack's error."""
        self.team_id = team_id
        self.token = token
        self.bot_user = bot_user
        self.bot_id = bot_id
        self.organisation = organisation
        self._colleagues = colleagues
        self._on_useless = on_useless
        self._posting = web_client(token, api_url, session)
        self._asking = web_client(token, api_url, session, repeat=True)

    def employs(self, teams: Iterable[str]) -> bool:
        """Whether somebody of these workspaces and organisations belongs to the company that installed the app."""
        return any(team in (self.team_id, self.organisation) or team in self._colleagues for team in teams)

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call `method`. Raises `SlackError` and `SlackUnavailable`."""
        if self.organisation is not None and method in _OF_ONE_WORKSPACE:
            arguments["team_id"] = self.team_id
        client = self._posting if method in NOT_IDEMPOTENT else self._asking
        try:
            return await call(client, method, **arguments)
        except SlackError as refusal:
            if refusal.error in USELESS_TOKEN:
                self._on_useless(self, refusal.error)
            raise


def web_client(
    token: str | None, api_url: str, session: aiohttp.ClientSession, *, repeat: bool = False
) -> AsyncWebClient:
    """A client of the Web API under `api_url` (with or without the last slash) that sits out 429.

    repeat: also call again where the connection broke; only for what may run twice.
    """
    retry: list[AsyncRetryHandler] = [AsyncRateLimitErrorRetryHandler(max_retry_count=MAX_RATE_LIMIT_RETRIES)]
    if repeat:
        retry.append(AsyncConnectionErrorRetryHandler(max_retry_count=2))
    client = AsyncWebClient(
        token=token,
        base_url=f"{api_url.rstrip('/')}/",
        timeout=REQUEST_TIMEOUT,
        session=session,
        retry_handlers=retry,
        logger=quiet_logger,
    )
    # It reads the environment by itself, without NO_PROXY; the session knows the way out.
    client.proxy = None
    return client


async def call(client: AsyncWebClient, method: str, **arguments: Any) -> dict[str, Any]:
    """Call `method` once, as JSON where Slack takes it. Raises `SlackError` and `SlackUnavailable`."""
    try:
        if method in _FORMS:
            response = await client.api_call(method, params=arguments)
        else:
            response = await client.api_call(method, json=arguments)
    except SlackApiError as error:
        raise _failure(method, error) from None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise SlackUnavailable(f"{method}: {told(error)}") from error
    return dict(response.data) if isinstance(response.data, dict) else {}


_OF_ONE_WORKSPACE = frozenset({"usergroups.list"})
"""Methods that must be told the workspace where the token is an organisation's (docs.slack.dev, organization-ready
apps)."""

_FORMS = frozenset({"auth.teams.list", "users.info", "usergroups.list", "conversations.info", "oauth.v2.access"})
"""Methods that read no JSON (docs.slack.dev, Web API, "methods supporting JSON")."""


_WORD = re.compile(r"[a-z_]{1,64}")
"""Every error in Slack's reference is one. Anything else is a gateway's text, which may repeat the token."""


def refusal_in(error: SlackApiError) -> str | None:
    """Slack's own word for why it refused, such as `not_in_channel`; None if the answer is not Slack's."""
    data = getattr(error.response, "data", None)
    said = data.get("error") if isinstance(data, dict) else None
    return said if isinstance(said, str) and _WORD.fullmatch(said) else None


def _failure(method: str, error: SlackApiError) -> Exception:
    """What slack_sdk raises both for an answer of Slack and for one that nobody can read."""
    said = refusal_in(error)
    if said is None:
        return SlackUnavailable(f"{method}: no readable answer")
    data = error.response.data
    return SlackError(method, said, str(data.get("needed", "")) if isinstance(data, dict) else "")
