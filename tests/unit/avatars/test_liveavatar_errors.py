"""Answers of LiveAvatar, documented and recorded, and what they become. The network is replaced, the provider real."""

import json
from collections.abc import Awaitable, Callable

import httpx
import pytest
from pydantic import SecretStr

from adapters.avatars.liveavatar.provider import LiveAvatar
from bot.core.errors import (
    AuthenticationFailed,
    ConcurrencyReached,
    Invalid,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    SettingsError,
    StreamGone,
    Transient,
)
from bot.core.models import Playback
from bot.core.ports import StreamRequest
from bot.settings import AvatarSettings, LiveAvatarSettings, LiveKitSettings, RoomTransportChoice, Settings, WatchChoice
from tests.harness.clock import ManualClock

KEY = "la-key-0123456789abcdef"
AVATAR, VOICE, CONTEXT = "avatar-id", "voice-id", "context-id"
REQUEST = StreamRequest(AVATAR, VOICE, "medium", "", 300, 99_999)
TOKEN = {"code": 1000, "data": {"session_id": "s", "session_token": "jwt"}, "message": "Success"}
STARTED = {
    "code": 1000,
    "data": {"session_id": "s", "livekit_url": "wss://room.example.com", "livekit_client_token": "room-jwt"},
}


class Upstream(httpx.MockTransport):
    """Answers by path, the last answer of a path again and again, and keeps what it was asked."""

    def __init__(self, **answers: object) -> None:
        self.requests: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            name = request.url.path.rpartition("/")[2].replace("-", "_")
            found = answers.get(name, (200, {"code": 1000, "data": None}))
            if isinstance(found, list):
                found = found.pop(0) if len(found) > 1 else found[0]
            status, body = found if isinstance(found, tuple) else (200, found)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return httpx.Response(status, content=content)

        super().__init__(answer)

    def asked(self, call: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == f"/v1/sessions/{call}"]


def liveavatar(upstream: Upstream, **account: str) -> LiveAvatar:
    return LiveAvatar(SecretStr(KEY), "https://api.example.com/", ManualClock(), transport=upstream, **account)  # type: ignore[arg-type]


async def refused(provider: LiveAvatar, call: Callable[[], Awaitable[object]]) -> ProviderError:
    async with provider:
        with pytest.raises(ProviderError) as refusal:
            await call()
    return refusal.value


async def start(provider: LiveAvatar) -> Playback:
    return await provider.start(await provider.create(REQUEST))


def detail(field: str, message: str = "Input should be a valid UUID") -> tuple[int, object]:
    return 422, {"detail": [{"loc": ["body", "avatar_persona", field], "msg": message, "type": "uuid_parsing"}]}


async def test_a_session_is_asked_for_as_documented() -> None:
    upstream = Upstream(token=TOKEN, start=(201, STARTED))
    async with liveavatar(upstream, context_id=CONTEXT) as provider:
        playback = await start(provider)

    (asked,) = upstream.asked("token")
    assert json.loads(asked.content) == {
        "mode": "FULL", "avatar_id": AVATAR, "is_sandbox": False, "interactivity_type": "PUSH_TO_TALK",
        "video_settings": {"quality": "medium", "encoding": "H264"}, "max_session_duration": 1200,
        "avatar_persona": {"voice_id": VOICE, "context_id": CONTEXT},
    }  # fmt: skip
    assert asked.headers["X-Api-Key"] == KEY
    (started,) = upstream.asked("start")
    assert started.headers["Authorization"] == "Bearer jwt"
    assert "x-api-key" not in started.headers
    assert playback == Playback(livekit_url="wss://room.example.com", livekit_token="room-jwt")


@pytest.mark.parametrize("code", [100, 1000, "1000", 200, None])
async def test_any_success_is_one(code: object) -> None:
    upstream = Upstream(token={**TOKEN, "code": code}, start=(201, {**STARTED, "code": code}))
    async with liveavatar(upstream) as provider:
        assert (await start(provider)).livekit_token == "room-jwt"


@pytest.mark.parametrize(
    ("answer", "error", "parameter"),
    [
        (detail("voice_id"), Invalid, "voice"),
        (detail("avatar_id"), Invalid, "avatar"),
        (detail("context_id"), Invalid, "context"),
        (detail("language", "Input should be a valid string"), Invalid, "language"),
        (detail("speed", "Input should be less than or equal to 1.2"), Invalid, "speed"),
        (detail("voice_settings", "Input should be a valid dictionary"), Invalid, "voice settings"),
        (detail("dynamic_variables", "Dictionary should have at most 50 items"), Invalid, "dynamic variables"),
        ((422, {"data": [{"message": "avatar_id: Input should be a valid UUID"}], "message": "x"}), Invalid, "avatar"),
        ((422, {"detail": [{"loc": ["body"], "msg": "Provide exactly one of avatar_persona or voice_agent"}]}), Invalid,
         None),
        ((422, {"detail": "no list"}), Invalid, None),
        ((401, {"code": 4001, "message": "Unauthorized"}), AuthenticationFailed, None),
        ((403, {"detail": "Not authenticated"}), AuthenticationFailed, None),
        ((404, {"detail": "Not Found"}), Invalid, "address"),
        ((429, {"code": 4290, "message": "Too many requests"}), RateLimited, None),
        ((500, b"oops"), Transient, None),
        ((302, b"elsewhere"), Invalid, "address"),
    ],
)  # fmt: skip
async def test_refusals_of_a_token(answer: object, error: type[ProviderError], parameter: str | None) -> None:
    provider = liveavatar(Upstream(token=answer))

    refusal = await refused(provider, lambda: provider.create(REQUEST))

    assert type(refusal) is error
    assert getattr(refusal, "parameter", None) == parameter


@pytest.mark.parametrize(
    ("answer", "error", "parameter"),
    [
        ((403, {"code": 4032, "data": None, "message": "Session concurrency limit reached"}), ConcurrencyReached, None),
        ((403, {"code": 4003, "data": None, "message": "Forbidden"}), ConcurrencyReached, None),
        ((400, {"code": 4000, "message": "Concurrency limit reached"}), ConcurrencyReached, None),
        ((402, {"code": 4000, "message": "Payment required"}), QuotaExhausted, None),
        ((403, {"code": 4000, "message": "Not enough credits for one minute"}), QuotaExhausted, None),
        ((400, {"code": 4000, "message": "Voice not found"}), Invalid, "voice"),
        ((404, {"code": 4000, "message": "Voice not found"}), Invalid, "voice"),
        ((400, {"code": 4000, "message": "LLM configuration with id 'x' not found in your space"}), Invalid, "context"),
        ((404, {"code": 4000, "message": "Session not found"}), StreamGone, None),
        ((200, {"code": 4000, "data": None, "message": "Session start failed"}), Invalid, None),
    ],
)
async def test_refusals_of_a_start_where_validation_is_deferred(
    answer: object, error: type[ProviderError], parameter: str | None
) -> None:
    upstream = Upstream(token=TOKEN, start=answer)
    provider = liveavatar(upstream)

    refusal = await refused(provider, lambda: start(provider))

    assert type(refusal) is error
    assert getattr(refusal, "parameter", None) == parameter
    assert len(upstream.asked("start")) == 1


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (201, b"ok"), (201, {"code": 1000, "data": {}}), (201, {"code": 1000, "data": {"livekit_url": 7}})],
)
async def test_a_start_without_a_room_is_stopped(answer: object) -> None:
    upstream = Upstream(token=TOKEN, start=answer)
    provider = liveavatar(upstream)

    assert isinstance(await refused(provider, lambda: start(provider)), StreamGone)

    assert len(upstream.asked("start")) == 1
    (stop,) = upstream.asked("stop")
    assert json.loads(stop.content)["session_id"] == "s"


@pytest.mark.parametrize("where", ["token", "start"])
async def test_a_plan_that_allows_less_is_asked_without_a_duration(where: str) -> None:
    refusal = (400, {"code": 4000, "message": "max_session_duration must be at most 120 on your plan"})
    upstream = (
        Upstream(token=[refusal, TOKEN], start=(201, STARTED))
        if where == "token"
        else Upstream(token=TOKEN, start=[refusal, (201, STARTED)])
    )
    async with liveavatar(upstream) as provider:
        if where == "start":
            with pytest.raises(StreamGone):
                await start(provider)
        await start(provider)

    first, second = (json.loads(request.content) for request in upstream.asked("token"))
    assert first["max_session_duration"] == 1200
    assert "max_session_duration" not in second


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"code": 4000, "message": "Session not found"}),
        (400, {"code": 4000, "message": "Session is not active"}),
        (400, {"code": 4000, "message": "session already ended"}),
        (422, {"detail": [{"loc": ["body", "session_id"], "msg": "Input should be a valid UUID"}]}),
        (422, {"data": [{"message": "Input should be a valid UUID"}], "message": "Validation error"}),
        (410, b""),
    ],
)
async def test_what_is_not_there_any_more_is_stopped(answer: object) -> None:
    upstream = Upstream(stop=answer)
    async with liveavatar(upstream) as provider:
        await provider.close("s")

    assert len(upstream.asked("stop")) == 1
    assert not [request for request in upstream.requests if request.method == "DELETE"]


@pytest.mark.parametrize("rows", [None, 7, {"results": None}, {"results": 7}, []])
async def test_a_list_of_unknown_form_is_not_taken_for_an_empty_one(rows: object) -> None:
    provider = liveavatar(Upstream(sessions={"code": 1000, "data": rows}))

    assert isinstance(await refused(provider, provider.list_open), Transient)


async def test_every_page_of_a_list_is_read() -> None:
    pages = [{"code": 1000, "data": {"results": [{"id": f"s{page}", "created_at": "2026-11-20T10:00:00"}],
                                     "next": following}} for page, following in ((1, "more"), (2, None))]  # fmt: skip
    async with liveavatar(Upstream(sessions=pages)) as provider:
        found = await provider.list_open()

    assert [stream.upstream_id for stream in found] == ["s1", "s2"]
    assert all(stream.created_at is not None and stream.created_at.tzinfo for stream in found)


@pytest.mark.parametrize(
    ("left", "words"), [("123.5", "123.5 credits"), (7, "7 credits"), (None, None), ("many", None)]
)
async def test_the_credits_in_words(left: object, words: str | None) -> None:
    async with liveavatar(Upstream(credits={"code": 1000, "data": {"credits_left": left}})) as provider:
        assert await provider.balance() == words


def test_a_missing_key_is_one_line_that_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match="LIVEAVATAR_API_KEY"):
        LiveAvatar.from_settings(Settings(), ManualClock())


def test_a_bot_that_is_to_broadcast_a_room_needs_a_server_for_it() -> None:
    account = LiveAvatarSettings(api_key=SecretStr(KEY))
    settings = Settings(avatar=AvatarSettings(watch=WatchChoice.LIVEKIT), liveavatar=account)
    with pytest.raises(SettingsError, match="LIVEKIT_URL"):
        LiveAvatar.from_settings(settings, ManualClock())

    own = LiveKitSettings(url="wss://live.example.com", api_key=SecretStr("k"), api_secret=SecretStr("s"))
    for carrier in (RoomTransportChoice.BOT, RoomTransportChoice.AUTO, RoomTransportChoice.PAGE):
        given = Settings(avatar=AvatarSettings(carrier=carrier), liveavatar=account, livekit=own)
        provider = LiveAvatar.from_settings(given, ManualClock())
        assert provider.capabilities.chat is False
