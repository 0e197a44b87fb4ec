"""HeyGen Streaming API v1 over HTTP: the `streaming.*` calls.

Checks requests and drives `V1Session`s; the states and timers are theirs. Facts: docs.heygen.com/reference.
"""

import random
import secrets
import uuid
from collections.abc import Mapping

from aiohttp import web

from adapters.simulator.accounts import Caller
from adapters.simulator.catalogue import DEFAULT_AVATAR, VOICE_BY_ID, look_for
from adapters.simulator.heygen_v1.session import SessionState, V1Session
from adapters.simulator.heygen_v1.wire import (
    AVATAR_NOT_FOUND,
    CONCURRENT_LIMIT,
    INTERNAL_ERROR,
    INVALID_PARAMETER,
    NOT_IN_CORRECT_STATE,
    QUOTA_NOT_ENOUGH,
    SESSION_NOT_FOUND,
    is_a,
    read_fields,
    refusal,
    state_wrong,
    success,
    sunset,
    unauthorized,
)
from adapters.simulator.options import V1
from adapters.simulator.rooms.contract import AGENT, CLIENT, RoomFailed
from adapters.simulator.service import Service
from adapters.simulator.speech.timeline import Fate, Speech
from adapters.simulator.wire import Handler, Json, JsonObject

MAX_TEXT = 1000
"""Characters per task (F StreamingAvatar#18). Which code a longer one gets is not recorded; here it is 400175."""

DEFAULT_IDLE = 120
IDLE_LIMITS = (30, 3600)
TASK_TYPES = ("repeat", "chat", "talk")
TASK_MODES = ("sync", "async")

_CONCURRENT_LIMIT_MESSAGE = (
    "Concurrent limit reached, please make sure you have closed other testing sessions under the same account"
)
_NEW_FIELDS: Mapping[str, type] = {
    "quality": str, "avatar_id": str, "avatar_name": str, "voice": dict, "language": str, "knowledge_base": str,
    "knowledge_base_id": str, "version": str, "video_encoding": str, "stt_settings": dict, "disable_idle_timeout": bool,
    "activity_idle_timeout": int, "silence_response": bool, "ia_is_livekit_transport": bool, "source": str,
    "livekit_settings": dict,
}  # fmt: skip
_NEW_CHOICES: Mapping[str, tuple[str, ...]] = {
    "quality": ("high", "medium", "low"), "version": ("v2",), "video_encoding": ("H264", "VP8"),
}  # fmt: skip
_VOICE_FIELDS: Mapping[str, type] = {"voice_id": str, "rate": float, "emotion": str, "elevenlabs_settings": dict}
_EMOTIONS = ("excited", "serious", "friendly", "soothing", "broadcaster")
_RATES = (0.5, 1.5)
_ELEVENLABS_FIELDS: Mapping[str, type] = {
    "stability": float, "similarity_boost": float, "style": float, "use_speaker_boost": bool, "model_id": str,
}  # fmt: skip
_STT_FIELDS: Mapping[str, type] = {"provider": str, "confidence": float}
_STT_PROVIDERS = ("deepgram", "gladia")
_SESSION_FIELD: Mapping[str, type] = {"session_id": str}
_TASK_FIELDS: Mapping[str, type] = {
    "session_id": str, "text": str, "task_type": str, "task_mode": str, "interrupt": bool,
}  # fmt: skip


class V1Api:
    """The endpoints. Every answer is an envelope with a code; refusals are `Refused`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/streaming.create_token"): self._create_token,
            ("POST", "/v1/streaming.new"): self._new,
            ("POST", "/v1/streaming.start"): self._start,
            ("POST", "/v1/streaming.task"): self._task,
            ("POST", "/v1/streaming.interrupt"): self._interrupt,
            ("POST", "/v1/streaming.stop"): self._stop,
            ("POST", "/v1/streaming.keep_alive"): self._keep_alive,
            ("POST", "/v1/streaming.start_listening"): self._listening,
            ("POST", "/v1/streaming.stop_listening"): self._listening,
            ("GET", "/v1/streaming.list"): self._list,
        }

    def caller(self, request: web.BaseRequest) -> Caller:
        """Who asks; nobody gets in after the sunset."""
        if self._service.sunset:
            raise sunset()
        caller = self._service.account.v1_caller(request)
        if caller is None:
            raise unauthorized()
        return caller

    async def _create_token(self, request: web.BaseRequest, _: str) -> web.Response:
        if self.caller(request).token is not None:
            raise unauthorized()
        await read_fields(request, {}, ())
        return success({"token": self._service.account.new_token()})

    async def _new(self, request: web.BaseRequest, _: str) -> web.Response:
        caller = self.caller(request)
        service = self._service
        body = await read_fields(request, _NEW_FIELDS, ())
        # From here on nothing waits, so two requests with one token, or for the last slot, cannot both get in.
        if caller.token is not None and not service.account.is_unused(caller.token):
            raise unauthorized()
        idle = _checked_idle(body)
        avatar, voice, rate = _checked_persona(body)
        _check_listening(body)
        if service.account.is_used_up:
            raise refusal(QUOTA_NOT_ENOUGH, "quota not enough")
        if service.streams.count_open(V1) >= service.options.v1_concurrency:
            raise refusal(CONCURRENT_LIMIT, _CONCURRENT_LIMIT_MESSAGE)
        session = V1Session(_session_id(), service.clock, service.options, avatar, voice, idle, rate)
        session.request = body
        service.streams.add(session)
        if caller.token is not None:
            service.account.use_token(caller.token, session.id)
        rooms = service.rooms
        opened: JsonObject = {
            "session_id": session.id,
            "sdp": None,
            "ice_servers": None,
            "ice_servers2": None,
            "access_token": rooms.token(CLIENT, session.id),
            "livekit_agent_token": rooms.token(AGENT, session.id),
            "url": rooms.url(request, session.id) if rooms.is_real else "wss://livekit.simulator.invalid",
            "realtime_endpoint": f"wss://signaling.simulator.invalid/v2-alpha/interactive-avatar/session/{session.id}",
            "is_paid": True,
            "session_duration_limit": service.options.v1_session_limit,
        }
        if not rooms.is_real:
            # Not in the real answer: there is no LiveKit room to join, this is where the session can be watched.
            opened["hls_url"] = service.hls_url(request, session.id)
        return success(opened)

    async def _start(self, request: web.BaseRequest, _: str) -> web.Response:
        session = await self._session(request)
        if session.phase is not SessionState.NEW:
            raise state_wrong(session.phase)
        session.start()
        if self._service.rooms.is_real:
            try:
                await session.enter(self._service.rooms.open(session, session))
            except RoomFailed:
                session.fail("no LiveKit room")
                raise refusal(INTERNAL_ERROR, "Internal error", 500) from None
        return success(None)

    async def _task(self, request: web.BaseRequest, _: str) -> web.Response:
        caller = self.caller(request)
        body = await read_fields(request, _TASK_FIELDS, ("session_id", "text"))
        session = self._find(caller, body)
        task_type, task_mode = body.get("task_type") or "talk", body.get("task_mode") or "sync"
        if task_type not in TASK_TYPES:
            raise refusal(INVALID_PARAMETER, "invalid parameter: task_type")
        if task_mode not in TASK_MODES:
            raise refusal(INVALID_PARAMETER, "invalid parameter: task_mode")
        asked = f"{body['text']}"
        if len(asked) > MAX_TEXT:
            raise refusal(INVALID_PARAMETER, f"invalid parameter: text is longer than {MAX_TEXT} characters")
        if not asked.strip():
            raise refusal(INVALID_PARAMETER, "invalid parameter: text is empty")
        _require_connected(session)
        speech = session.say(f"{task_type}", asked)
        duration = speech.end - speech.start
        if task_mode == "sync":
            await _until_said(session, speech)
        return success({"task_id": speech.id, "duration_ms": round(duration * 1000, 3) if task_type == "repeat" else 0})

    async def _interrupt(self, request: web.BaseRequest, _: str) -> web.Response:
        session = await self._session(request)
        _require_connected(session)
        session.interrupt()
        return success(None)

    async def _stop(self, request: web.BaseRequest, _: str) -> web.Response:
        session = await self._session(request)
        if session.phase >= SessionState.CLOSING:
            raise state_wrong(session.phase)
        session.close("streaming.stop")
        return success({"status": "success"})

    async def _keep_alive(self, request: web.BaseRequest, _: str) -> web.Response:
        session = await self._session(request)
        if session.phase >= SessionState.CLOSING:
            raise state_wrong(session.phase)
        session.touch()
        return success(None)

    async def _listening(self, request: web.BaseRequest, _: str) -> web.Response:
        session = await self._session(request)
        _require_connected(session)
        return success(None)

    async def _list(self, request: web.BaseRequest, _: str) -> web.Response:
        caller = self.caller(request)
        own = None if caller.token is None else self._service.account.session_of(caller.token)
        sessions: list[Json] = [
            {"session_id": stream.id, "status": stream.state, "created_at": int(stream.opened_utc.timestamp())}
            for stream in self._service.streams.open_of(V1)
            if caller.token is None or stream.id == own
        ]
        return success({"sessions": sessions})

    async def _session(self, request: web.BaseRequest) -> V1Session:
        caller = self.caller(request)
        return self._find(caller, await read_fields(request, _SESSION_FIELD, ("session_id",)))

    def _find(self, caller: Caller, body: JsonObject) -> V1Session:
        session_id = f"{body['session_id']}"
        if caller.token is not None and self._service.account.session_of(caller.token) != session_id:
            raise unauthorized()
        session = self._service.streams.get(session_id)
        if not isinstance(session, V1Session):
            raise refusal(SESSION_NOT_FOUND, "Session not found")
        return session


def _require_connected(session: V1Session) -> None:
    if session.phase is SessionState.CONNECTED:
        return
    if session.phase is SessionState.CONNECTING:
        # version v2 answers this until a viewer has subscribed both tracks (F x3).
        raise refusal(NOT_IN_CORRECT_STATE, "Session is not in correct state")
    raise state_wrong(session.phase)


async def _until_said(session: V1Session, speech: Speech) -> None:
    while session.is_open and speech.fate is Fate.SAID and (left := speech.end - session.position) > 0:
        await session.change(left)


def _checked_idle(body: JsonObject) -> float:
    idle = body.get("activity_idle_timeout")
    if idle is None:
        return DEFAULT_IDLE
    if body.get("disable_idle_timeout"):
        raise refusal(INVALID_PARAMETER, "invalid parameter: disable_idle_timeout conflicts with activity_idle_timeout")
    if not isinstance(idle, int) or not IDLE_LIMITS[0] <= idle <= IDLE_LIMITS[1]:
        raise refusal(INVALID_PARAMETER, "invalid parameter: activity_idle_timeout must be between 30 and 3600")
    return idle


def _checked_persona(body: JsonObject) -> tuple[str, str, float]:
    """Avatar, voice, and how fast it speaks."""
    for name, choices in _NEW_CHOICES.items():
        if body.get(name) is not None and body[name] not in choices:
            raise refusal(INVALID_PARAMETER, f"invalid parameter: {name}")
    avatar = body.get("avatar_id") or body.get("avatar_name") or DEFAULT_AVATAR
    if not isinstance(avatar, str) or look_for(avatar) is None:
        raise refusal(AVATAR_NOT_FOUND, "Avatar not found")
    voice = body.get("voice") or {}
    if not isinstance(voice, dict):
        raise refusal(INVALID_PARAMETER, "invalid parameter: voice")
    _check_fields(voice, _VOICE_FIELDS, "voice")
    rate, emotion, voice_id = voice.get("rate"), voice.get("emotion"), voice.get("voice_id") or ""
    if isinstance(rate, int | float) and not _RATES[0] <= rate <= _RATES[1]:
        raise refusal(INVALID_PARAMETER, "invalid parameter: voice.rate")
    if isinstance(emotion, str) and emotion.lower() not in _EMOTIONS:
        raise refusal(INVALID_PARAMETER, "invalid parameter: voice.emotion")
    if voice_id and (voice_id not in VOICE_BY_ID or not VOICE_BY_ID[f"{voice_id}"].realtime):
        raise refusal(INVALID_PARAMETER, "invalid parameter: voice.voice_id")
    elevenlabs = voice.get("elevenlabs_settings") or {}
    if isinstance(elevenlabs, dict):
        _check_fields(elevenlabs, _ELEVENLABS_FIELDS, "voice.elevenlabs_settings")
    return avatar, f"{voice_id}", float(rate) if isinstance(rate, int | float) else 1.0


def _check_listening(body: JsonObject) -> None:
    stt = body.get("stt_settings") or {}
    if isinstance(stt, dict):
        _check_fields(stt, _STT_FIELDS, "stt_settings")
        if stt.get("provider") not in (None, *_STT_PROVIDERS):
            raise refusal(INVALID_PARAMETER, "invalid parameter: stt_settings.provider")


def _check_fields(fields: JsonObject, types: Mapping[str, type], place: str) -> None:
    """These fields, of these types. All their numbers but `rate`, which has limits of its own, are shares of 1; nobody
    recorded what a number outside gets."""
    for name, value in fields.items():
        is_right = value is None or (name in types and is_a(value, types[name]))
        is_share = isinstance(value, int | float) and not isinstance(value, bool) and name != "rate"
        if name not in types or not is_right or (is_share and not 0 <= float(f"{value}") <= 1):
            raise refusal(INVALID_PARAMETER, f"invalid parameter: {place}.{name[:80]}")


def _session_id() -> str:
    """Looks like the UUIDv1s of the service and cannot be guessed: its node and its sequence are random."""
    return str(uuid.uuid1(node=secrets.randbits(48) | 1 << 40, clock_seq=random.SystemRandom().getrandbits(14)))
