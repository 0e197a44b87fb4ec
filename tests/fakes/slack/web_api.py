"""The Web API of the local Slack: reads a call, checks it, does it, answers it.

A method takes its arguments from the query, a form or JSON, and the token from `Authorization: Bearer` or an argument;
trouble is `{"ok": false, "error": …}` with status 200, but for `ratelimited` (docs.slack.dev, "Using the Web API")."""

import base64
import json
from typing import Any

from aiohttp import web

from tests.fakes.slack import calls_chat, calls_entity, calls_views, calls_workspace
from tests.fakes.slack.calling import Call, Caller, Refusal
from tests.fakes.slack.catalogue import KINDS, METHODS, OF_ONE_WORKSPACE, Method
from tests.fakes.slack.oauth import OAuth
from tests.fakes.slack.people import People
from tests.fakes.slack.records import Payload, Request, Team
from tests.fakes.slack.socket_mode import SocketMode
from tests.fakes.slack.validation import ALL_METHODS, Arguments
from tests.fakes.slack.web_faults import meet

CALLS: dict[str, Call] = calls_chat.CALLS | calls_entity.CALLS | calls_views.CALLS | calls_workspace.CALLS
WITHOUT_TOKEN = ("oauth.v2.access",)
ARGUMENTS: dict[str, Arguments] = {method: Arguments(method) for method in METHODS}


class WebApi:
    """Answers `/api/<method>`."""

    def __init__(self, twin: People, socket: SocketMode, oauth: OAuth) -> None:
        self._twin, self._socket, self._oauth = twin, socket, oauth

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """One call, from first byte to last."""
        method = http.match_info["method"]
        raw = await _arguments(http)
        token = _token(http, raw)
        raw.pop("token", None)
        args = ARGUMENTS[method].read(raw) if method in METHODS else raw
        request = Request(method, args, self._twin.now(), self._team_of(token))
        self._twin.requests.append(request)
        self._twin.clock.ring()

        async def take_effect() -> web.Response:
            try:
                answer = {"ok": True} | await self._do(method, token, args, request)
            except Refusal as refusal:
                answer = refusal.answer
                request.error = str(refusal)
            self._twin.clock.ring()
            # Every answer tells which scopes the token holds (docs.slack.dev, "auth.test").
            return web.json_response(answer, headers={"X-OAuth-Scopes": ",".join(sorted(self._twin.scopes))})

        return await meet(http, self._twin.faults.take(method), request, take_effect, self._twin.clock)

    def _team_of(self, token: str) -> Team | None:
        """The workspace of a token; of an organisation that gave the app to none, one that stands for it."""
        for enterprise in self._twin.enterprises.values():
            if token in enterprise.installation.tokens and not enterprise.granted:
                return Team(enterprise.id, enterprise.name, enterprise.domain, enterprise, enterprise.installation)
        return next((team for team in self._twin.teams.values() if token in team.tokens), None)

    async def _do(self, method: str, token: str, args: Payload, request: Request) -> Payload:
        known = METHODS.get(method)
        if known is None:
            reason = "is not one this twin can do" if method in ALL_METHODS else "does not exist"
            self._twin.violation(f"{method} {reason}")
            raise Refusal("unknown_method")
        if method in WITHOUT_TOKEN:
            self._check(method, args)
            return self._oauth.exchange(args)
        if known.app_token:
            return self._open_socket(token)
        caller = self._caller(token, request)
        self._check(method, args)
        self._need_scope(caller, method, known, args)
        return await CALLS[method](caller, args)

    def _caller(self, token: str, request: Request) -> Caller:
        if not token:
            raise Refusal("not_authed")
        if token == self._twin.app_token:
            raise Refusal("not_allowed_token_type")
        if request.team is None:
            raise Refusal("invalid_auth")
        if (state := request.team.tokens[token]) != "live":
            raise Refusal(state)
        team = request.team
        if team.is_org_install:
            team = request.team = self._workspace_meant(team, request)
        return Caller(self._twin, team, token)

    def _workspace_meant(self, team: Team, request: Request) -> Team:
        """The workspace that a call with an organisation's token is about: what it names, whose channel or person it is
        about; else any, where that makes no difference."""
        args, enterprise = request.args, team.enterprise
        assert enterprise is not None
        if request.method in OF_ONE_WORKSPACE and "team_id" not in args:
            self._twin.violation(f"{request.method}: an organisation's token needs team_id")
            raise Refusal(
                "missing_argument", response_metadata={"messages": ["[ERROR] missing required field: team_id"]}
            )
        channel = self._twin.channels.get(str(args.get("channel")))
        person = self._twin.users.get(str(args.get("user_id") or args.get("user")))
        trigger = self._twin.trigger_ids.get(str(args.get("trigger_id")))
        opener = self._twin.users.get(trigger[1]) if trigger else None
        named = [self._twin.teams.get(str(args.get("team_id")))]
        named += channel.teams if channel else []
        named += [who.team for who in (person, opener) if who is not None and channel is None]
        return next((one for one in named if one in enterprise.granted), team)

    def _open_socket(self, token: str) -> Payload:
        if not token:
            raise Refusal("not_authed")
        if token != self._twin.app_token:
            raise Refusal("not_allowed_token_type" if self._team_of(token) else "invalid_auth")
        if not self._twin.team.installed and not any(team.installed for team in self._twin.teams.values()):
            raise Refusal("account_inactive")
        return {"url": self._socket.new_url()}

    def _check(self, method: str, args: Payload) -> None:
        """Refuse, and note, what Slack's schemas do not allow."""
        if not self._twin.validate:
            return
        mistakes = ARGUMENTS[method].mistakes(args)
        block_mistakes = ARGUMENTS[method].mistakes_in_blocks(args)
        for mistake in mistakes + block_mistakes:
            self._twin.violation(f"{method}: {mistake}")
        if block_mistakes and "view" not in args:
            raise Refusal("invalid_blocks", response_metadata={"messages": [f"[ERROR] {m}" for m in block_mistakes]})
        if missing := [mistake for mistake in mistakes if not mistake.startswith("no argument")] + block_mistakes:
            raise Refusal("invalid_arguments", response_metadata={"messages": [f"[ERROR] {m}" for m in missing]})

    def _need_scope(self, caller: Caller, method: str, known: Method, args: Payload) -> None:
        scope = known.scope
        if "{kind}" in scope:
            channel = self._twin.channels.get(str(args.get("channel")))
            scope = scope.replace("{kind}", KINDS[channel.kind if channel else "public"])
        try:
            caller.need(scope)
        except Refusal:
            self._twin.violation(f"{method}: the token does not hold {scope}")
            raise


async def _arguments(http: web.Request) -> dict[str, Any]:
    """Arguments from wherever they are."""
    found: dict[str, Any] = dict(http.query)
    if http.content_type == "application/json":
        body = await http.text()
        return found | (json.loads(body) if body else {})
    return found | dict(await http.post())


def _token(http: web.Request, args: Payload) -> str:
    """The token; Basic authentication (client id and secret) becomes arguments."""
    kind, _, value = http.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        name, _, secret = base64.b64decode(value).decode().partition(":")
        args.setdefault("client_id", name)
        args.setdefault("client_secret", secret)
        return ""
    return value or str(args.get("token", ""))
