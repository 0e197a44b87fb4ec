"""LiveAvatar over HTTP: the session endpoints, from the token to the transcript.

Checks requests and drives `LiveAvatarSession`s; the states and timers are theirs. Facts:
docs.liveavatar.com/openapi.json.
"""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from adapters.simulator.accounts import bearer_of
from adapters.simulator.liveavatar.bodies import (
    EndReason,
    FullSession,
    KeepAlive,
    SessionsQuery,
    StopSession,
    TranscriptQuery,
)
from adapters.simulator.liveavatar.catalogue import (
    DEMO_LLM_CONFIGURATION,
    SANDBOX_AVATAR,
    Contexts,
    avatar_named,
    voice_named,
)
from adapters.simulator.liveavatar.session import MINUTE, LiveAvatarSession, Plan
from adapters.simulator.liveavatar.wire import (
    CONCURRENCY_LIMIT,
    Validation,
    not_found,
    page,
    refusal,
    success,
    unauthorized,
)
from adapters.simulator.options import LIVEAVATAR
from adapters.simulator.rooms.contract import CLIENT, RoomFailed
from adapters.simulator.service import Service
from adapters.simulator.wire import Handler, JsonObject, Refused, read_json

_UNSTARTED = 10_000
"""Tokens nobody started with are forgotten beyond this, the oldest first."""


@dataclass(slots=True, eq=False)
class _Token:
    """A session token: what it was configured with, and whether it has started its session."""

    session_id: str
    config: FullSession
    body: JsonObject
    is_used: bool = False


class LiveAvatarApi:
    """The endpoints. Refusals are `Refused`."""

    def __init__(self, service: Service, contexts: Contexts) -> None:
        self._service = service
        self._contexts = contexts
        self._validation = Validation(service)
        self._tokens: dict[str, _Token] = {}
        self.routes: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/sessions/token"): self._token,
            ("POST", "/v1/sessions/start"): self._start,
            ("POST", "/v1/sessions/stop"): self._stop,
            ("POST", "/v1/sessions/keep-alive"): self._keep_alive,
            ("GET", "/v1/sessions"): self._list,
        }
        self.session_routes: dict[tuple[str, str], Handler] = {
            ("GET", ""): self._get,
            ("GET", "transcript"): self._transcript,
            ("DELETE", "events"): self._forget,
        }

    async def _token(self, request: web.BaseRequest, _: str) -> web.Response:
        if not self._service.account.holds_key(request):
            raise unauthorized()
        body = await read_object(request, self._validation)
        if body.get("mode") in ("LITE", "CUSTOM"):
            raise refusal("The simulator knows LiveAvatar's FULL mode only")
        config = await self._validation.body(request, FullSession)
        token, session_id = _session_token(), str(uuid.uuid4())
        self._tokens[token] = _Token(session_id, config, body)
        if len(self._tokens) > _UNSTARTED:
            del self._tokens[next(iter(self._tokens))]
        return success({"session_id": session_id, "session_token": token})

    async def _start(self, request: web.BaseRequest, _: str) -> web.Response:
        bearer = bearer_of(request)
        if bearer is None:
            raise Refused(403, {"detail": "Not authenticated"})
        token = self._tokens.get(bearer)
        if token is None:
            raise unauthorized()
        await read_object(request, self._validation)
        # From here to the room nothing waits, so two requests with one token, or for the last slot, cannot both win.
        if token.is_used:
            raise refusal("Session has already been started")
        service = self._service
        plan = self._plan(token.config)
        if not plan.is_sandbox and not self._can_pay():
            raise refusal("Not enough credits to start a session", 402)
        if self._slots_in_use() >= service.options.liveavatar_concurrency:
            raise refusal("Session concurrency limit reached", 403, CONCURRENCY_LIMIT)
        token.is_used = True
        session = LiveAvatarSession(token.session_id, service.clock, service.options, plan, self._can_pay)
        session.request = token.body
        service.streams.add(session)
        session.room = service.rooms.open(session, session)
        try:
            await session.room.ready()
        except RoomFailed:
            session.refund()
            raise refusal("Session start failed", 500) from None
        started: JsonObject = {
            "session_id": session.id, "livekit_url": service.rooms.url(request, session.id),
            "livekit_client_token": service.rooms.token(CLIENT, session.id), "max_session_duration": plan.seconds,
        }  # fmt: skip
        if not service.rooms.is_real:
            # Not in the real answer: there is no LiveKit room to join, this is where the session can be watched.
            started["hls_url"] = service.hls_url(request, session.id)
        return success(started, 201)

    def _plan(self, config: FullSession) -> Plan:
        """What the configuration comes to. The real service looks at most of it here and not at the token."""
        avatar = avatar_named(config.avatar_id)
        if avatar is None:
            raise refusal("Avatar not found")
        if config.is_sandbox and avatar.id != SANDBOX_AVATAR:
            raise refusal("This avatar is not available in sandbox mode")
        persona = config.avatar_persona
        voice_id = avatar.default_voice if persona is None or persona.voice_id is None else str(persona.voice_id)
        if voice_id is None or voice_named(voice_id) is None:
            raise refusal("Voice not found")
        if config.llm_configuration_id is not None and str(config.llm_configuration_id) != DEMO_LLM_CONFIGURATION:
            raise refusal(f"LLM configuration with id '{config.llm_configuration_id}' not found in your space")
        allowed = self._service.options.liveavatar_max_duration
        seconds = config.max_session_duration or allowed
        if seconds > allowed:
            raise refusal(f"max_session_duration must be at most {allowed} seconds on your plan")
        if config.is_sandbox:
            seconds = min(seconds, self._service.options.liveavatar_sandbox_duration)
        context_id = None if persona is None or persona.context_id is None else str(persona.context_id)
        context = None if context_id is None else self._contexts.get(context_id)
        return Plan(
            avatar.id, voice_id, config.is_sandbox, seconds, config.interactivity_type == "PUSH_TO_TALK",
            context is not None, context_id, "" if context is None else context.opening_text,
            1.0 if persona is None or persona.voice_settings is None else persona.voice_settings.speed,
        )  # fmt: skip

    def _can_pay(self) -> bool:
        remaining = self._service.account.remaining
        return remaining is None or remaining >= self._service.options.liveavatar_price.per_second * MINUTE

    def _slots_in_use(self) -> int:
        service = self._service
        used = service.streams.count_open(LIVEAVATAR)
        if (held := service.options.liveavatar_slot_release) > 0:
            since = service.clock.monotonic() - held
            used += sum(1 for session in self._sessions() if session.ended_at is not None and session.ended_at > since)
        return used

    async def _stop(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_caller(request)
        has_body = bool((await request.read()).strip())
        body = await self._validation.body(request, StopSession)
        session = self._driven(request, None if body.session_id is None else str(body.session_id))
        session.close(body.reason if has_body else EndReason.USER_CLOSED)
        return success(None)

    async def _keep_alive(self, request: web.BaseRequest, _: str) -> web.Response:
        self._check_caller(request)
        body = await self._validation.body(request, KeepAlive)
        self._driven(request, None if body.session_id is None else str(body.session_id)).touch()
        return success(None)

    def _check_caller(self, request: web.BaseRequest) -> None:
        if not self._service.account.holds_key(request) and bearer_of(request) not in self._tokens:
            raise unauthorized()

    def _driven(self, request: web.BaseRequest, session_id: str | None) -> LiveAvatarSession:
        """The open session a request is about: by its id for the key, its own for a session token."""
        if not self._service.account.holds_key(request):
            own = self._tokens[f"{bearer_of(request)}"].session_id
            if session_id not in (None, own):
                raise not_found("Session")
            session_id = own
        if session_id is None:
            raise self._validation.invalid(("body", "session_id"), "Field required", "missing")
        session = self._service.streams.get(session_id)
        if not isinstance(session, LiveAvatarSession):
            raise not_found("Session")
        if not session.is_open:
            raise refusal("Session is not active")
        return session

    def _sessions(self) -> Sequence[LiveAvatarSession]:
        return [stream for stream in self._service.streams if isinstance(stream, LiveAvatarSession)]

    async def _list(self, request: web.BaseRequest, _: str) -> web.Response:
        if not self._service.account.holds_key(request):
            raise unauthorized()
        query = self._validation.query(request, SessionsQuery)
        rows = [
            _row(session)
            for session in reversed(self._sessions())
            if session.is_open == (query.type == "active")
            and query.embed_id is None
            and query.avatar_id in (None, uuid.UUID(session.plan.avatar))
            and (query.context_id is None or session.plan.context_id == str(query.context_id))
        ]
        return page(self._service, request, rows, query)

    async def _get(self, request: web.BaseRequest, session_id: str) -> web.Response:
        return success(_row(self._find(request, session_id)))

    async def _transcript(self, request: web.BaseRequest, session_id: str) -> web.Response:
        session = self._find(request, session_id)
        query = self._validation.query(request, TranscriptQuery)
        lines = [
            line
            for line in session.transcript
            if (query.start_timestamp is None or line.at >= query.start_timestamp)
            and (query.end_timestamp is None or line.at <= query.end_timestamp)
        ]
        said: list[JsonObject] = [
            {
                "role": line.role, "transcript": line.text, "absolute_timestamp": line.at,
                "relative_timestamp": line.since_start,
            }
            for line in lines
        ]  # fmt: skip
        following = lines[-1].at + 1 if lines else query.start_timestamp
        return success({"session_active": session.is_open, "next_timestamp": following, "transcript_data": [*said]})

    async def _forget(self, request: web.BaseRequest, session_id: str) -> web.Response:
        self._find(request, session_id).transcript.clear()
        return success(None)

    def _find(self, request: web.BaseRequest, session_id: str) -> LiveAvatarSession:
        if not self._service.account.holds_key(request):
            raise unauthorized()
        session = self._service.streams.get(self._validation.id(session_id, "session_id"))
        if not isinstance(session, LiveAvatarSession):
            raise not_found("Session")
        return session


async def read_object(request: web.BaseRequest, validation: Validation) -> JsonObject:
    """The body of a request as it came, where it has to be looked at before its form is known."""
    try:
        body = await read_json(request)
    except ValueError:
        raise validation.invalid(("body",), "JSON decode error", "json_invalid") from None
    if not isinstance(body, dict):
        raise validation.invalid(("body",), "Input should be a valid dictionary", "dict_type")
    return body


def _session_token() -> str:
    """Has three parts like a JWT and says nothing."""
    return ".".join(secrets.token_urlsafe(24) for _ in range(3))


def _row(session: LiveAvatarSession) -> JsonObject:
    created = session.opened_utc.isoformat()
    ended = None if session.ended_utc is None else session.ended_utc.isoformat()
    row: JsonObject = {
        "id": session.id, "created_at": created, "updated_at": ended or created, "duration": int(session.seconds),
        "source": "API", "mode": "FULL", "is_sandbox": session.plan.is_sandbox,
        "credits_consumed": session.credits,
    }  # fmt: skip
    if session.reason is not None:
        row |= {"end_at": ended, "end_reason": session.reason.value}
    return row
