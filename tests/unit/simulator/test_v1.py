"""HeyGen Streaming API v1: the state machine, every code of the table, tasks, tokens, timers."""

import asyncio
import uuid

import pytest

from adapters.simulator import SimulatorOptions
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client, eventually
from tests.unit.simulator.conftest import Serve

STRANGE_KEY = "ключ".encode().decode("latin1")
SESSION_CALLS = ("start", "task", "interrupt", "stop", "keep_alive", "start_listening", "stop_listening")


async def in_state(client: Client, state: str) -> str:
    """A session in one of the five states."""
    if state in ("connected", "closing", "closed"):
        session = await client.connected()
        if state != "connected":
            assert (await client.post("/v1/streaming.stop", {"session_id": session})).status == 200
            if state == "closed":
                await client.clock.advance(10)
        return session
    session = str((await client.post("/v1/streaming.new", {})).data["session_id"])
    if state == "connecting":
        assert (await client.post("/v1/streaming.start", {"session_id": session})).status == 200
    return session


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        ("new", {"task": 10001, "interrupt": 10001, "start_listening": 10001, "stop_listening": 10001}),
        ("connecting", {"start": 10002, "task": 400006, "interrupt": 400006, "start_listening": 400006,
                        "stop_listening": 400006}),
        ("connected", {"start": 10003}),
        ("closing", dict.fromkeys(SESSION_CALLS, 10004)),
        ("closed", dict.fromkeys(SESSION_CALLS, 10005)),
    ],
)  # fmt: skip
async def test_each_call_answers_as_the_state_says(serve: Serve, state: str, refused: dict[str, int]) -> None:
    client = await serve(SimulatorOptions(v1_concurrency=10, v1_closing=5.0))
    for call in SESSION_CALLS:
        session = await in_state(client, state)
        body = {"session_id": session, **({"text": "hi", "task_mode": "async"} if call == "task" else {})}
        answer = await client.post(f"/v1/streaming.{call}", body)
        expected = refused.get(call)
        if expected is None:
            assert (answer.status, answer.body["code"], answer.body["message"]) == (200, 100, "success"), call
        else:
            wrong = f"session state wrong: {state}"
            said = "Session is not in correct state" if expected == 400006 else wrong
            assert (answer.status, answer.body) == (400, {"code": expected, "message": said}), call
        await client.post("/v1/streaming.stop", {"session_id": session})
        await client.clock.advance(6)


@pytest.mark.parametrize("call", SESSION_CALLS)
async def test_unknown_session_is_10006(client: Client, call: str) -> None:
    body = {"session_id": str(uuid.uuid4()), **({"text": "hi"} if call == "task" else {})}
    answer = await client.post(f"/v1/streaming.{call}", body)
    assert (answer.status, answer.body) == (400, {"code": 10006, "message": "Session not found"})


async def test_new_has_the_recorded_shape(client: Client) -> None:
    data = (await client.post("/v1/streaming.new", {"quality": "low", "version": "v2", "avatar_id": "sim-juno"})).data
    assert uuid.UUID(data["session_id"]).version == 1
    assert data.pop("hls_url") == f"{client.simulator.address}/simulator/hls/{data['session_id']}/stream.m3u8"
    assert data.keys() == {
        "session_id", "sdp", "ice_servers", "ice_servers2", "access_token", "livekit_agent_token", "url",
        "realtime_endpoint", "is_paid", "session_duration_limit",
    }  # fmt: skip
    assert data["session_duration_limit"] == 600
    assert data["url"].startswith("wss://")
    assert data["access_token"].count(".") == 2


async def test_wrong_key_is_401_everywhere(client: Client) -> None:
    for headers in (
        {},
        {"X-Api-Key": "wrong"},
        {"Authorization": "Bearer wrong"},
        {"X-Api-Key": STRANGE_KEY},
    ):
        for method, path in (
            ("POST", "/v1/streaming.new"), ("POST", "/v1/streaming.create_token"), ("GET", "/v1/streaming.list"),
            ("GET", "/v1/streaming/avatar.list"), ("GET", "/v2/voices"),
        ):  # fmt: skip
            answer = await client.call(method, path, headers=headers)
            assert (answer.status, answer.body) == (401, {"code": 400112, "message": "Unauthorized"})


async def test_a_token_opens_one_session_and_drives_only_that(client: Client) -> None:
    token = (await client.post("/v1/streaming.create_token")).data["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    other = await client.connected()
    assert (await client.post("/v1/streaming.create_token", headers=bearer)).status == 401
    new = await client.post("/v1/streaming.new", {}, headers=bearer)
    session = new.data["session_id"]
    assert (await client.post("/v1/streaming.new", {}, headers=bearer)).body["code"] == 400112
    assert (await client.post("/v1/streaming.start", {"session_id": session}, headers=bearer)).status == 200
    assert (await client.post("/v1/streaming.stop", {"session_id": other}, headers=bearer)).status == 401
    rows = (await client.get("/v1/streaming.list", headers=bearer)).data["sessions"]
    assert [row["session_id"] for row in rows] == [session]


async def test_one_token_opens_one_session_even_when_it_is_used_twice_at_once(client: Client) -> None:
    token = (await client.post("/v1/streaming.create_token")).data["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    answers = await asyncio.gather(*(client.post("/v1/streaming.new", {}, headers=bearer) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401]
    assert client.simulator.meter().total.opened == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"quality": "ultra"}, 400175),
        ({"activity_idle_timeout": 29}, 400175),
        ({"activity_idle_timeout": 3601}, 400175),
        ({"activity_idle_timeout": True}, 400175),
        ({"activity_idle_timeout": 60, "disable_idle_timeout": True}, 400175),
        ({"avatar_id": "nobody"}, 10012),
        ({"avatar_id": 7}, 400175),
        ({"voice": {"voice_id": "nobody"}}, 400175),
        ({"voice": {"voice_id": "sim-voice-salma"}}, 400175),
        ({"voice": {"speed": 1}}, 400175),
        ({"voice": {"rate": 9}}, 400175),
        ({"voice": {"rate": 0.49}}, 400175),
        ({"voice": {"rate": "1"}}, 400175),
        ({"voice": {"emotion": "furious"}}, 400175),
        ({"voice": {"elevenlabs_settings": {"stability": 1.01}}}, 400175),
        ({"voice": {"elevenlabs_settings": {"similarity_boost": -0.1}}}, 400175),
        ({"voice": {"elevenlabs_settings": {"style": "much"}}}, 400175),
        ({"voice": {"elevenlabs_settings": {"use_speaker_boost": 1}}}, 400175),
        ({"voice": {"elevenlabs_settings": {"model_id": 3}}}, 400175),
        ({"voice": {"elevenlabs_settings": {"similarity": 0.5}}}, 400175),
        ({"voice": {"elevenlabs_settings": 1}}, 400175),
        ({"language": 7}, 400175),
        ({"knowledge_base_id": 7}, 400175),
        ({"stt_settings": {"provider": "whisper"}}, 400175),
        ({"stt_settings": {"confidence": 1.5}}, 400175),
        ({"stt_settings": {"model": "nova"}}, 400175),
        ({"video_encoding": "AV1"}, 400175),
        ({"no_such_field": 1}, 400175),
        ({"version": "v1"}, 400175),
        ([], 400175),
        ("text", 400175),
    ],
)
async def test_new_refuses_what_it_does_not_know(client: Client, body: object, code: int) -> None:
    answer = await client.post("/v1/streaming.new", body)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert client.simulator.meter().total.opened == 0


@pytest.mark.parametrize(
    "raw", [b"{", b"\xff\xfe", b'{"quality": NaN}', b"[" * 100_000, b'{"knowledge_base": "\\ud800"}', b"1" * 5000]
)
async def test_a_body_that_is_not_json_is_refused(client: Client, raw: bytes) -> None:
    answer = await client.post("/v1/streaming.new", raw=raw)
    assert (answer.status, answer.body["code"]) == (400, 400175)


async def test_task_checks_its_fields(client: Client) -> None:
    session = await client.connected()
    for fields, code in (
        ({}, 40001),
        ({"text": ""}, 40001),
        ({"text": "  "}, 400175),
        ({"text": 5}, 400175),
        ({"text": "x" * 1001}, 400175),
        ({"text": "hi", "task_type": "sing"}, 400175),
        ({"text": "hi", "task_mode": "later"}, 400175),
        ({"text": "hi", "colour": "red"}, 400175),
    ):
        answer = await client.post("/v1/streaming.task", {"session_id": session, **fields})
        assert (answer.status, answer.body["code"]) == (400, code), fields
    assert (await client.task(session, "x" * 1000)).status == 200
    assert len(client.spoken(session)) == 1


async def test_fourth_session_is_10007_until_one_is_closed(serve: Serve) -> None:
    client = await serve(SimulatorOptions(v1_closing=3.0))
    sessions = [await client.connected() for _ in range(3)]
    refused = await client.post("/v1/streaming.new", {})
    assert (refused.status, refused.body["code"]) == (400, 10007)
    assert "Concurrent limit reached" in refused.body["message"]
    await client.post("/v1/streaming.stop", {"session_id": sessions[0]})
    assert (await client.v1_states())[sessions[0]] == "closing"
    assert (await client.post("/v1/streaming.new", {})).body["code"] == 10007
    await client.clock.advance(3)
    assert sessions[0] not in await client.v1_states()
    assert (await client.post("/v1/streaming.new", {})).status == 200


async def test_viewer_makes_the_session_connected(client: Client, clock: ManualClock) -> None:
    new = (await client.post("/v1/streaming.new", {})).data
    session = new["session_id"]
    assert (await client.get(new["hls_url"])).status == 404
    assert await client.v1_states() == {session: "new"}
    await client.post("/v1/streaming.start", {"session_id": session})
    await clock.advance(5)
    assert await client.v1_states() == {session: "connecting"}
    await client.get(new["hls_url"])
    assert await client.v1_states() == {session: "connected"}


async def test_auto_viewer_comes_by_itself(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(auto_viewer=True, viewer_delay=0.5))
    session = str((await client.post("/v1/streaming.new", {})).data["session_id"])
    await client.post("/v1/streaming.start", {"session_id": session})
    await clock.advance(0.4)
    assert await client.v1_states() == {session: "connecting"}
    await clock.advance(0.1)
    assert await client.v1_states() == {session: "connected"}


async def test_idle_session_closes_and_only_tasks_and_keep_alives_help(client: Client, clock: ManualClock) -> None:
    default, short = await client.connected(), await client.connected(activity_idle_timeout=30)
    await client.task(short, "x" * 1000)
    await clock.advance(29)
    assert await client.v1_states() == {default: "connected", short: "connected"}
    await client.post("/v1/streaming.keep_alive", {"session_id": short})
    await clock.advance(29)
    await client.task(short, "hi")
    await client.post("/v1/streaming.start_listening", {"session_id": short})
    await clock.advance(29.5)
    assert short in await client.v1_states()
    await clock.advance(0.5)
    assert await client.v1_states() == {default: "connected"}
    assert (await client.task(short, "hi")).body["code"] == 10005
    await clock.advance(120 - 88)
    assert await client.v1_states() == {}
    assert {view.ended for view in client.simulator.streams()} == {"activity_idle_timeout"}


async def test_session_closes_at_its_limit_however_busy(client: Client, clock: ManualClock) -> None:
    session = await client.connected()
    for _ in range(5):
        await clock.advance(100)
        assert (await client.task(session, "still here")).status == 200
    await clock.advance(99.9)
    assert (await client.task(session, "cut off")).status == 200
    await clock.advance(0.1)
    assert (await client.task(session, "too late")).body["code"] == 10005
    assert [view.ended for view in client.simulator.streams()] == ["session_duration_limit"]
    assert client.spoken(session)[-1] == ("cut off", "interrupted")


async def test_async_repeat_tells_its_duration_at_once(client: Client, clock: ManualClock) -> None:
    session = await client.connected()
    first, second = await client.task(session, "1234567890"), await client.task(session, "12345")
    assert (first.data["duration_ms"], second.data["duration_ms"]) == (900.0, 600.0)
    assert first.data["task_id"] != second.data["task_id"]
    assert client.spoken(session) == [("1234567890", "speaking"), ("12345", "queued")]
    await clock.advance(0.9)
    assert client.spoken(session) == [("1234567890", "spoken"), ("12345", "speaking")]
    await clock.advance(0.6)
    assert client.spoken(session) == [("1234567890", "spoken"), ("12345", "spoken")]


async def test_sync_task_answers_when_it_has_been_said(client: Client, clock: ManualClock) -> None:
    session = await client.connected()
    await client.task(session, "1234567890")
    waiting = asyncio.ensure_future(client.task(session, "12345", task_mode="sync"))
    await eventually(lambda: len(client.spoken(session)) == 2)
    await clock.advance(1.4)
    assert not waiting.done()
    await clock.advance(0.1)
    assert (await waiting).data["duration_ms"] == 600.0


async def test_interrupt_drops_the_queue_and_releases_who_waits(client: Client, clock: ManualClock) -> None:
    session = await client.connected()
    await client.task(session, "1234567890")
    waiting = asyncio.ensure_future(client.task(session, "12345", task_mode="sync"))
    await eventually(lambda: len(client.spoken(session)) == 2)
    await clock.advance(0.5)
    assert (await client.post("/v1/streaming.interrupt", {"session_id": session})).data is None
    assert (await waiting).status == 200
    assert client.spoken(session) == [("1234567890", "interrupted"), ("12345", "dropped")]
    assert (await client.post("/v1/streaming.interrupt", {"session_id": session})).status == 200
    await client.task(session, "next")
    assert client.spoken(session)[-1] == ("next", "speaking")


async def test_interrupt_inside_a_task_is_ignored(client: Client) -> None:
    session = await client.connected()
    await client.task(session, "first")
    body = {"session_id": session, "text": "second", "task_type": "repeat", "task_mode": "async", "interrupt": True}
    assert (await client.post("/v1/streaming.task", body)).status == 200
    assert client.spoken(session) == [("first", "speaking"), ("second", "queued")]


@pytest.mark.parametrize("task_type", ["chat", "talk"])
async def test_chat_says_an_answer_of_unknown_length(client: Client, task_type: str) -> None:
    session = await client.connected()
    answer = await client.task(session, "Who are you?", task_type=task_type)
    assert answer.data["duration_ms"] == 0
    assert "stand-in for a language model" in client.spoken(session)[0][0]


async def test_sunset_answers_410_on_every_path(serve: Serve) -> None:
    client = await serve(SimulatorOptions(v1_sunset=True))
    for method, path in (
        ("POST", "/v1/streaming.create_token"), ("POST", "/v1/streaming.new"), ("POST", "/v1/streaming.task"),
        ("GET", "/v1/streaming.list"), ("GET", "/v1/streaming/avatar.list"), ("GET", "/v2/streaming.list"),
        ("GET", "/v2/voices"), ("GET", "/v2/user/remaining_quota"), ("GET", "/v1/streaming.no_such_call"),
    ):  # fmt: skip
        answer = await client.call(method, path, headers={})
        assert (answer.status, answer.body["error"]["code"], answer.body["data"]) == (410, "endpoint_sunset", None), (
            path
        )
    assert (await client.get("/v3/users/me")).status == 200
    client.simulator.sunset = False
    assert (await client.post("/v1/streaming.create_token")).status == 200


async def test_lists_of_avatars_voices_quota_and_history(client: Client, clock: ManualClock) -> None:
    avatars = (await client.get("/v1/streaming/avatar.list")).data
    assert avatars[0].keys() == {
        "avatar_id", "created_at", "default_voice", "is_public", "normal_preview", "pose_name", "status",
    }  # fmt: skip
    picture = await client.get(avatars[0]["normal_preview"], headers={})
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/svg+xml")
    voices = await client.get("/v2/voices")
    assert voices.body["error"] is None
    assert [row["voice_id"] for row in voices.data["voices"]] == [
        row["voice_id"] for row in (await client.get("/v1/voice.list")).data["list"]
    ]
    assert isinstance((await client.get("/v2/user/remaining_quota")).data["remaining_quota"], int)
    sessions = [await client.connected() for _ in range(3)]
    await client.post("/v1/streaming.stop", {"session_id": sessions[0]})
    page = (await client.get("/v2/streaming.list?page_size=2")).data
    assert (page["total"], [row["status"] for row in page["data"]]) == (3, ["closed", "connected"])
    rest = (await client.get(f"/v2/streaming.list?page_size=2&token={page['next_pagination_token']}")).data
    assert ([row["session_id"] for row in rest["data"]], rest["next_pagination_token"]) == (sessions[2:], None)
    assert (await client.get("/v2/streaming.list?page_size=0")).body["error"]["code"] == "40012"
    assert (await client.get("/v2/streaming.list?token=made-up")).status == 400


async def test_unknown_paths_and_methods_have_the_envelope(client: Client) -> None:
    missing, wrong = await client.get("/v1/streaming.dance"), await client.get("/v1/streaming.new")
    assert (missing.status, missing.body["code"]) == (404, 404)
    assert (wrong.status, wrong.body["code"]) == (405, 405)
    huge = await client.post("/v1/streaming.new", raw=b'"' + b"x" * 1_100_000 + b'"')
    assert (huge.status, huge.body["code"]) == (413, 413)
