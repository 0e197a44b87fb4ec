"""Documented and recorded answers of HeyGen, and what they become. The network is replaced, the providers are real."""

import json
import math
from collections.abc import Awaitable, Callable

import httpx
import pytest
from pydantic import SecretStr

from adapters.avatars.heygen_realtime.provider import HeyGenRealtime
from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from bot.core.errors import (
    AuthenticationFailed,
    ConcurrencyReached,
    Invalid,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    SettingsError,
    StreamGone,
    Sunset,
    Transient,
)
from bot.core.models import Playback
from bot.core.ports import AvatarProvider, InitialText, SpeakResult, StreamRequest
from bot.settings import HeyGenSettings, Settings
from tests.harness.clock import ManualClock

KEY = "sk_V2_hgu_0123456789abcdef"
V1 = StreamRequest("", "", "medium", "", 120, 600)
V3 = StreamRequest("look", "voice", "medium", "", 30, 3600, InitialText("u", "Hello."))


class Upstream(httpx.MockTransport):
    """Answers every request the same, except the minting of tokens, and keeps what it was asked."""

    def __init__(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        self.requests: list[httpx.Request] = []
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        def answer(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            if request.url.path == "/v1/streaming.create_token":
                return httpx.Response(200, json={"code": 100, "data": {"token": f"t{len(self.requests)}"}})
            return httpx.Response(status, content=content, headers=headers)

        super().__init__(answer)

    def asked(self, path: str) -> int:
        return sum(1 for request in self.requests if request.url.path == path)


def v1(upstream: Upstream) -> HeyGenStreaming:
    return HeyGenStreaming(SecretStr(KEY), "https://api.example.com/", ManualClock(), transport=upstream)


def v3(upstream: Upstream) -> HeyGenRealtime:
    return HeyGenRealtime(SecretStr(KEY), "https://api.example.com", ManualClock(), transport=upstream)


async def refused(provider: AvatarProvider, call: Callable[[], Awaitable[object]]) -> ProviderError:
    async with provider:
        with pytest.raises(ProviderError) as refusal:
            await call()
    return refusal.value


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (401, b'{"code":400112,"message":"Unauthorized"}\n', AuthenticationFailed, "400112"),
        (401, {"code": 40102, "message": "Unauthorized"}, AuthenticationFailed, "40102"),
        (401, {"code": "40009", "message": "invalid credentials"}, AuthenticationFailed, "40009"),
        (401, b"", AuthenticationFailed, None),
        (403, {"code": 400562, "message": "forbidden"}, AuthenticationFailed, "400562"),
        (403, {"code": 400599, "message": "Your account doesn't have API access"}, AuthenticationFailed, "400599"),
        (403, b"<html>no</html>", AuthenticationFailed, None),
        (400, {"code": 400175, "message": "invalid parameter: voice.voice_id"}, Invalid, "400175"),
        (400, {"code": 40001, "message": "missing params"}, Invalid, "40001"),
        (429, {"code": 400123, "message": "Exceed rate limit"}, RateLimited, "400123"),
        (429, b"slow down", RateLimited, None),
        (400, {"code": 10001, "message": "session state wrong: new"}, NotReady, "10001"),
        (400, {"code": 10002, "message": "session state wrong: connecting"}, NotReady, "10002"),
        (400, {"code": "10002", "message": "session state wrong: connecting"}, NotReady, "10002"),
        (400, {"code": 400006, "message": "Session is not in correct state"}, NotReady, "400006"),
        (400, {"message": "Session is not in correct state"}, NotReady, None),
        (400, {"code": 10004, "message": "session state wrong: closing"}, StreamGone, "10004"),
        (400, {"code": 10005, "message": "session state wrong: closed"}, StreamGone, "10005"),
        (400, {"code": 99999, "message": "session state wrong: closed"}, StreamGone, "99999"),
        (400, {"code": 10006, "message": "Session not found"}, StreamGone, "10006"),
        (400, {"code": 10007, "message": "Concurrent limit reached, please make sure"}, ConcurrencyReached, "10007"),
        (400, {"code": 0, "message": "Concurrent limit reached"}, ConcurrencyReached, "0"),
        (400, {"code": 10012, "message": "Avatar not found"}, Invalid, "10012"),
        (400, {"code": 10003, "message": "avatar version is deprecated"}, Invalid, "10003"),
        (400, {"code": 10015, "message": "Trial API limit reached"}, QuotaExhausted, "10015"),
        (400, {"code": 1, "message": "quota not enough"}, QuotaExhausted, "1"),
        (402, b"pay", QuotaExhausted, None),
        (400, {"code": 40056, "message": "Failed to generate audio"}, Transient, "40056"),
        (410, b"", Sunset, "endpoint_sunset"),
        (410, {"error": {"code": "endpoint_sunset", "message": "gone"}, "data": None}, Sunset, "endpoint_sunset"),
        (400, {"error": "endpoint_sunset"}, Sunset, "endpoint_sunset"),
        (404, b"404 page not found", Invalid, None),
        (500, {"code": 500, "message": "internal"}, Transient, "500"),
        (502, b"<html>Bad Gateway</html>", Transient, None),
        (302, b"", Invalid, None),
        (200, {"code": 10005, "message": "session state wrong: closed"}, StreamGone, "10005"),
        (200, {"code": 12345, "message": "?"}, Transient, "12345"),
        (200, b"<html>hello</html>", Transient, None),
        (200, b"", Transient, None),
        (200, b"[]", Transient, None),
        (200, b"{}", Transient, None),
        (200, b"[" * 100_000, Transient, None),
    ],
)
async def test_v1_refusals_of_a_text(status: int, body: object, error: type[ProviderError], code: str | None) -> None:
    upstream = Upstream(status, body)
    provider = v1(upstream)

    refusal = await refused(provider, lambda: provider.speak("s", "u", "Hello."))

    assert type(refusal) is error
    assert refusal.code == code
    if not isinstance(refusal, RateLimited):
        assert len(upstream.requests) == 1
    if isinstance(refusal, Transient):
        assert refusal.may_have_taken_effect


@pytest.mark.parametrize(
    ("status", "code", "parameter", "error", "named"),
    [
        (400, "invalid_parameter", "type", Invalid, "type"),
        (400, "invalid_parameter", "avatar_id", Invalid, "avatar"),
        (400, "invalid_parameter", "voice_id", Invalid, "voice"),
        (401, "unauthorized", None, AuthenticationFailed, None),
        (402, "insufficient_credit", None, QuotaExhausted, None),
        (400, "insufficient_credit", None, QuotaExhausted, None),
        (403, "forbidden", None, AuthenticationFailed, None),
        (403, "resource_access_denied", None, AuthenticationFailed, None),
        (403, "voice_not_usable", None, Invalid, "voice"),
        (404, "avatar_not_found", None, Invalid, "avatar"),
        (404, "not_found", None, AuthenticationFailed, None),
        (404, "resource_not_found", None, AuthenticationFailed, None),
        (409, "resource_not_ready", None, NotReady, None),
        (410, "endpoint_sunset", None, Sunset, None),
        (413, "payload_too_large", None, Invalid, None),
        (422, "validation_error", "text", Invalid, "text"),
        (429, "rate_limit_exceeded", None, RateLimited, None),
        (500, "internal_error", None, Transient, None),
        (408, None, None, Transient, None),
    ],
)
async def test_v3_refusals_of_a_create(
    status: int, code: str | None, parameter: str | None, error: type[ProviderError], named: str | None
) -> None:
    upstream = Upstream(status, {"error": {"code": code, "message": "No.", "param": parameter, "doc_url": None}})
    provider = v3(upstream)

    refusal = await refused(provider, lambda: provider.create(V3))

    assert type(refusal) is error
    assert refusal.code == code
    assert getattr(refusal, "parameter", None) == named


async def test_an_account_without_the_preview_is_told_so() -> None:
    provider = v3(Upstream(404, {"error": {"code": "resource_not_found", "message": "Resource not found."}}))

    refusal = await refused(provider, lambda: provider.create(V3))

    assert "no Avatar Realtime" in str(refusal)


async def test_too_many_streams_are_not_too_many_requests() -> None:
    error = {"code": "rate_limit_exceeded", "message": "Too many concurrent sessions."}
    provider = v3(Upstream(429, {"error": error}, {"Retry-After": "5"}))

    assert isinstance(await refused(provider, lambda: provider.create(V3)), ConcurrencyReached)


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (410, "gone"), (410, None), (404, None)])
async def test_a_v3_stream_that_is_not_found_is_gone(status: int, code: str | None) -> None:
    provider = v3(Upstream(status, {"error": {"code": code, "message": "Streaming session not found."}}))

    assert isinstance(await refused(provider, lambda: provider.speak("s", "u", "Hi.")), StreamGone)
    async with provider:
        await provider.close("s")
        assert not (await provider.status("s")).is_open


@pytest.mark.parametrize("header", ["soon", "-5", "nan", "", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_delay_that_is_none_is_a_second(header: str) -> None:
    provider = v3(Upstream(429, {"error": {"code": "rate_limit_exceeded", "message": "."}}, {"Retry-After": header}))

    refusal = await refused(provider, lambda: provider.speak("s", "u", "Hi."))

    assert isinstance(refusal, RateLimited)
    assert 0 <= refusal.retry_after <= 1


@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b"null", b"[]", b'{"data": null}', b'{"data": {}}', b'{"data": {"stream_id": 7}}',
     b'{"data": {"stream_id": "  "}}', json.dumps({"data": {"stream_id": "x" * 10_000}}).encode()],
)  # fmt: skip
async def test_a_create_without_an_id_may_have_taken_effect(body: bytes) -> None:
    upstream = Upstream(201, body)
    provider = v3(upstream)

    refusal = await refused(provider, lambda: provider.create(V3))

    assert isinstance(refusal, Transient)
    assert refusal.may_have_taken_effect
    assert upstream.asked("/v3/avatar-realtime") == 1


@pytest.mark.parametrize("body", [b"", b"null", b'{"code":100,"data":{"session_id":7}}', b'{"code":100,"data":[]}'])
async def test_a_new_without_an_id_may_have_taken_effect(body: bytes) -> None:
    upstream = Upstream(200, body)
    provider = v1(upstream)

    refusal = await refused(provider, lambda: provider.create(V1))

    assert isinstance(refusal, Transient)
    assert refusal.may_have_taken_effect
    assert upstream.asked("/v1/streaming.new") == 1


async def test_every_attempt_to_open_a_v1_stream_has_a_token_of_its_own() -> None:
    upstream = Upstream(429, {"code": 400123, "message": "Exceed rate limit"})
    provider = v1(upstream)

    await refused(provider, lambda: provider.create(V1))

    news = [request for request in upstream.requests if request.url.path == "/v1/streaming.new"]
    assert len({request.headers["Authorization"] for request in news}) == len(news) == 4
    assert all("x-api-key" not in request.headers for request in news)


async def test_a_v1_stream_never_asks_to_live_for_ever() -> None:
    upstream = Upstream(200, {"code": 100, "data": {"session_id": "s", "url": "wss://x", "access_token": "t"}})
    provider = v1(upstream)
    async with provider:
        await provider.create(StreamRequest("a", "v", "high", "You know all.", 99_999, 600))

    body = json.loads(upstream.requests[-1].content)
    assert body == {
        "version": "v2", "quality": "high", "video_encoding": "H264", "activity_idle_timeout": 3600,
        "avatar_id": "a", "voice": {"voice_id": "v"}, "knowledge_base": "You know all.",
    }  # fmt: skip


async def test_the_recorded_answer_of_v1_becomes_a_room() -> None:
    data = {"session_id": "eba59f0d", "sdp": None, "access_token": "jwt", "url": "wss://room.example.com"}
    provider = v1(Upstream(200, {"code": 100, "data": data, "message": "success"}))
    async with provider:
        playback = await provider.start(await provider.create(V1))

    assert playback == Playback(None, "wss://room.example.com", "jwt")
    assert "jwt" not in repr(playback)


@pytest.mark.parametrize("code", [10002, 10003])
async def test_a_v1_stream_that_runs_already_is_started(code: int) -> None:
    provider = v1(Upstream(400, {"code": code, "message": "session state wrong: connected"}))
    async with provider:
        assert await provider.start("s") == Playback()


async def test_an_outdated_avatar_is_not_taken_for_a_running_stream() -> None:
    body = {"code": 10003, "message": "avatar version is deprecated, please update to v3+"}
    provider = v1(Upstream(400, body))

    refusal = await refused(provider, lambda: provider.start("s"))

    assert isinstance(refusal, Invalid)
    assert refusal.parameter == "avatar"


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [(2500, 2.5), (1234.5, 1.2345), ("800", 0.8), (0, None), (None, None), (-5, None), ("soon", None), (1e12, None),
     (True, None), ([], None)],
)  # fmt: skip
async def test_the_length_of_a_speech_is_believed_within_reason(milliseconds: object, seconds: float | None) -> None:
    provider = v1(Upstream(200, {"code": 100, "data": {"task_id": "t", "duration_ms": milliseconds}}))
    async with provider:
        assert await provider.speak("s", "u", "Hello.") == SpeakResult(seconds)


@pytest.mark.parametrize("duration", [b"NaN", b"Infinity", b"1e999"])
async def test_a_length_that_is_no_number_is_unknown(duration: bytes) -> None:
    provider = v1(Upstream(200, b'{"code":100,"data":{"duration_ms":' + duration + b"}}"))
    async with provider:
        speech = await provider.speak("s", "u", "Hello.")

    assert speech.duration is None or math.isfinite(speech.duration)


@pytest.mark.parametrize(
    ("data", "is_open", "address", "detail"),
    [
        ({"status": "pending", "hls_url": None}, True, None, "pending"),
        ({"status": "streaming", "hls_url": "https://x/a.m3u8"}, True, "https://x/a.m3u8", "streaming"),
        ({"status": "ready", "url": "https://x/a.m3u8"}, True, "https://x/a.m3u8", "ready"),
        ({"status": "streaming", "hls_url": "javascript:alert(1)"}, True, None, "streaming"),
        ({"status": "streaming", "hls_url": ["https://x"]}, True, None, "streaming"),
        ({"status": "completed", "end_reason": "idle_timeout"}, False, None, "idle_timeout"),
        ({"status": "completed", "end_reason": None}, False, None, "completed"),
        ({"status": "error", "error_message": "broke"}, False, None, "broke"),
        ({"status": "error", "error_message": f"key {KEY}"}, False, None, "key ***"),
    ],
)
async def test_v3_status(data: dict[str, object], is_open: bool, address: str | None, detail: str) -> None:
    provider = v3(Upstream(200, {"data": {"stream_id": "s", **data}}))
    async with provider:
        status = await provider.status("s")

    assert (status.is_open, status.detail) == (is_open, detail)
    assert status.playback == (None if address is None else Playback(hls_url=address))


@pytest.mark.parametrize("sessions", [{"sessions": None}, {"sessions": []}, [], None])
async def test_an_empty_v1_list_is_empty(sessions: object) -> None:
    provider = v1(Upstream(200, {"code": 100, "data": sessions}))
    async with provider:
        assert list(await provider.list_open()) == []


@pytest.mark.parametrize("data", [42, "none", {"sessions": 7}, {"other": []}])
async def test_a_v1_list_of_unknown_form_is_not_taken_for_an_empty_one(data: object) -> None:
    provider = v1(Upstream(200, {"code": 100, "data": data}))

    assert isinstance(await refused(provider, provider.list_open), Transient)


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"wallet": {"currency": "usd", "remaining_balance": 12.5}}, "$ 12.50"),
        ({"wallet": {"currency": "credits", "remaining_balance": 93}}, "93 credits"),
        ({"subscription": {"plan": "pro", "credits": {"premium_credits": {"remaining": 80}, "add_on_credits": None}}},
         "80 credits"),
        ({"usage_based": {"remaining_credits": 7.25}}, "7.2 credits"),
        ({"usage_based": {"spending_cap_usd": 100, "spending_current_usd": 40}}, "$ 60.00"),
        ({"wallet": None, "subscription": None, "usage_based": None}, None),
        ({}, None),
    ],
)  # fmt: skip
async def test_the_v3_balance_in_words(account: dict[str, object], words: str | None) -> None:
    provider = v3(Upstream(200, {"data": account}))
    async with provider:
        assert await provider.balance() == words


@pytest.mark.parametrize("provider", [HeyGenStreaming, HeyGenRealtime])
def test_a_missing_key_is_one_line_that_says_what_to_set(provider: type[HeyGenStreaming | HeyGenRealtime]) -> None:
    settings = Settings.model_construct(heygen=HeyGenSettings.model_construct(api_key=None))

    with pytest.raises(SettingsError, match="HEYGEN_API_KEY") as refusal:
        provider.from_settings(settings, ManualClock())

    assert "\n" not in str(refusal.value)
