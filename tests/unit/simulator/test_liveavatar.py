"""LiveAvatar over HTTP: tokens, starts, ends and their reasons, credits, lists, validation, the rate limit."""

import uuid
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from adapters.simulator import SimulatorOptions
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client
from tests.unit.simulator.conftest import Serve
from tests.unit.simulator.liveavatar import FULL, WITH_CONTEXT, end_reason, minted, rows, start, started

UNKNOWN = str(uuid.UUID(int=7))


async def test_a_token_costs_nothing_and_takes_no_slot(serve: Serve) -> None:
    client = await serve(SimulatorOptions(liveavatar_concurrency=1))
    for _ in range(3):
        await minted(client)
    assert client.simulator.meter().apis["liveavatar"].opened == 0
    await started(client)
    assert client.simulator.meter().apis["liveavatar"].dollars == Decimal("0.2") / 60 * 60


async def test_a_start_answers_201_with_the_room(client: Client) -> None:
    session = await started(client, max_session_duration=90)
    assert set(session) == {"session_id", "livekit_url", "livekit_client_token", "max_session_duration", "hls_url"}
    assert session["max_session_duration"] == 90
    assert session["livekit_client_token"].count(".") == 2
    assert (await client.get(session["hls_url"])).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 403), ({"X-API-KEY": "simulator"}, 403), ({"Authorization": "Bearer wrong"}, 401)],
)
async def test_only_a_session_token_starts_a_session(client: Client, headers: dict[str, str], status: int) -> None:
    assert (await client.post("/v1/sessions/start", {}, headers=headers)).status == status


async def test_a_session_token_cannot_mint_another(client: Client) -> None:
    token = (await minted(client))["session_token"]
    answer = await client.post("/v1/sessions/token", FULL, headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401


async def test_a_token_starts_its_session_once(client: Client) -> None:
    token = (await minted(client))["session_token"]
    assert (await start(client, token)).status == 201
    assert (await start(client, token)).status == 400


async def test_one_session_too_many_is_refused_until_a_slot_is_free(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(liveavatar_concurrency=1, liveavatar_slot_release=2.0))
    first = await started(client)
    token = (await minted(client))["session_token"]
    refused = await start(client, token)
    assert (refused.status, refused.body) == (
        403, {"code": 4032, "data": None, "message": "Session concurrency limit reached"}
    )  # fmt: skip
    await client.post("/v1/sessions/stop", {"session_id": first["session_id"]})
    assert (await start(client, token)).status == 403
    await clock.advance(2)
    assert (await start(client, token)).status == 201


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"avatar_id": UNKNOWN}, "Avatar not found"),
        ({"avatar_persona": {"voice_id": UNKNOWN}}, "Voice not found"),
        ({"llm_configuration_id": UNKNOWN}, f"LLM configuration with id '{UNKNOWN}' not found in your space"),
        ({"max_session_duration": 100_000}, "max_session_duration must be at most 1200 seconds on your plan"),
    ],
)
async def test_what_is_wrong_with_a_configuration_is_said_at_the_start(
    client: Client, fields: dict[str, object], said: str
) -> None:
    token = (await minted(client, **fields))["session_token"]
    answer = await start(client, token)
    assert (answer.status, answer.body["message"]) == (400, said)
    assert client.simulator.meter().apis["liveavatar"].opened == 0


async def test_an_avatar_made_from_a_picture_needs_a_voice(client: Client) -> None:
    (avatar, *_) = [row for row in (await client.get("/v1/avatars/public")).data["results"] if row["type"] == "IMAGE"]
    (voice, *_) = (await client.get("/v1/voices")).data["results"]
    token = (await minted(client, avatar_id=avatar["id"]))["session_token"]
    assert (await start(client, token)).body["message"] == "Voice not found"
    await started(client, avatar_id=avatar["id"], avatar_persona={"voice_id": voice["id"]})


async def test_an_unknown_context_is_ignored(client: Client) -> None:
    await started(client, avatar_persona={"context_id": UNKNOWN})


@pytest.mark.parametrize(
    ("body", "loc", "said"),
    [
        ({**FULL, "avatar_id": "wayne"}, ["body", "avatar_id"], "Input should be a valid UUID"),
        ({"avatar_id": UNKNOWN}, ["body"], "Provide exactly one of avatar_persona or voice_agent"),
        ({**FULL, "voice_agent": {"id": UNKNOWN}}, ["body"], "Provide exactly one of avatar_persona or voice_agent"),
        ({**FULL, "video_settings": {"quality": "best"}}, ["body", "video_settings", "quality"], "Input should be"),
        ({**FULL, "dynamic_variables": {"k" * 65: "v"}}, ["body", "dynamic_variables"], "at most 64"),
    ],
)
async def test_a_malformed_configuration_is_a_422_in_either_shape(
    serve: Serve, body: dict[str, object], loc: list[str], said: str
) -> None:
    client = await serve(SimulatorOptions())
    answer = await client.post("/v1/sessions/token", body)
    (problem,) = answer.body["detail"]
    assert (answer.status, problem["loc"][: len(loc)]) == (422, loc)
    assert said in problem["msg"]
    other = await serve(SimulatorOptions(liveavatar_validation="data"))
    answer = await other.post("/v1/sessions/token", body)
    assert (answer.status, said in answer.body["data"][0]["message"]) == (422, True)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"7"])
async def test_a_body_that_is_no_object_is_a_422(client: Client, raw: bytes) -> None:
    assert (await client.post("/v1/sessions/token", raw=raw)).status == 422


async def test_a_stop_ends_the_session_with_the_reason_that_was_given(client: Client) -> None:
    named, silent, bare = [await started(client) for _ in range(3)]
    await client.post("/v1/sessions/stop", {"session_id": named["session_id"], "reason": "AGENT_HANG_UP"})
    await client.post("/v1/sessions/stop", {"session_id": silent["session_id"]})
    assert await end_reason(client, bare["session_id"]) is None
    reasons = [await end_reason(client, each["session_id"]) for each in (named, silent)]
    assert reasons == ["AGENT_HANG_UP", "UNKNOWN"]


async def test_a_session_token_stops_its_own_session_without_naming_it(client: Client) -> None:
    mine, other = await minted(client), await started(client)
    bearer = {"Authorization": f"Bearer {mine['session_token']}"}
    await start(client, mine["session_token"])
    body = {"session_id": other["session_id"]}
    assert (await client.post("/v1/sessions/stop", body, headers=bearer)).status == 404
    assert (await client.post("/v1/sessions/keep-alive", headers=bearer)).status == 200
    assert (await client.post("/v1/sessions/stop", headers=bearer)).status == 200
    assert await end_reason(client, mine["session_id"]) == "USER_CLOSED"
    assert await end_reason(client, other["session_id"]) is None


@pytest.mark.parametrize("call", ["stop", "keep-alive"])
async def test_a_call_about_no_open_session_is_refused(client: Client, call: str) -> None:
    over = (await started(client))["session_id"]
    await client.post("/v1/sessions/stop", {"session_id": over})
    statuses = [
        (await client.post(f"/v1/sessions/{call}", body)).status
        for body in ({"session_id": over}, {"session_id": UNKNOWN}, {}, {"session_id": "x"})
    ]
    assert statuses == [400, 404, 422, 422]
    assert (await client.post(f"/v1/sessions/{call}", {"session_id": over}, headers={})).status == 401


async def test_a_session_is_not_stopped_by_delete(client: Client) -> None:
    session = (await started(client))["session_id"]
    assert (await client.call("DELETE", f"/v1/sessions/{session}")).status == 405
    assert await end_reason(client, session) is None


async def test_a_silent_session_ends_after_five_minutes_unless_kept_alive(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(liveavatar_abandoned=None))
    silent, kept = (await started(client))["session_id"], (await started(client))["session_id"]
    await clock.advance(200)
    assert (await client.post("/v1/sessions/keep-alive", {"session_id": kept})).status == 200
    await clock.advance(100)
    assert [await end_reason(client, each) for each in (silent, kept)] == ["IDLE_TIMEOUT", None]


async def test_a_session_nobody_joins_is_reaped_keep_alives_or_not(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions())
    session = (await started(client))["session_id"]
    for _ in range(3):
        await clock.advance(99)
        assert (await client.post("/v1/sessions/keep-alive", {"session_id": session})).status == 200
    await clock.advance(3)
    assert await end_reason(client, session) == "ZOMBIE_SESSION_REAP"


async def test_a_session_ends_at_its_longest_duration(client: Client, clock: ManualClock) -> None:
    session = (await started(client, max_session_duration=90))["session_id"]
    await clock.advance(89)
    assert await end_reason(client, session) is None
    await clock.advance(1)
    assert await end_reason(client, session) == "MAX_DURATION_REACHED"


async def test_the_sandbox_has_one_avatar_one_minute_and_no_price(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(balance=Decimal(0)))
    own = (await client.get("/v1/avatars")).data["results"][0]["id"]
    refused = await start(client, (await minted(client, is_sandbox=True, avatar_id=own))["session_token"])
    assert refused.status == 400
    session = (await started(client, is_sandbox=True))["session_id"]
    await clock.advance(60)
    assert await end_reason(client, session) == "MAX_DURATION_REACHED"
    row = (await client.get(f"/v1/sessions/{session}")).data
    assert (row["is_sandbox"], row["credits_consumed"]) == (True, 0)
    assert client.simulator.meter().total.dollars == 0


async def test_a_minute_is_paid_at_its_beginning_until_the_credits_are_gone(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(balance=Decimal("0.5"), liveavatar_abandoned=None))
    credits_left = [(await client.get("/v1/users/credits")).data["credits_left"]]
    session = (await started(client))["session_id"]
    for seconds in (0, 59, 1, 59):
        await clock.advance(seconds)
        credits_left.append((await client.get("/v1/users/credits")).data["credits_left"])
    assert credits_left == ["5.0", "3.0", "3.0", "1.0", "1.0"]
    await clock.advance(1)
    assert await end_reason(client, session) == "NO_CREDITS"
    refused = await start(client, (await minted(client))["session_token"])
    assert (refused.status, "credit" in refused.body["message"]) == (402, True)


async def test_the_list_has_active_and_historic_sessions_in_pages(client: Client, clock: ManualClock) -> None:
    ids = [(await started(client))["session_id"] for _ in range(3)]
    await clock.advance(5)
    await client.post("/v1/sessions/stop", {"session_id": ids[0]})
    assert [row["id"] for row in await rows(client, "active")] == [ids[2], ids[1]]
    (row,) = await rows(client, "historic")
    assert (row["id"], row["end_reason"], row["duration"], row["credits_consumed"]) == (ids[0], "UNKNOWN", 5, 2)
    first = (await client.get("/v1/sessions?type=active&page_size=1")).data
    assert (first["count"], first["previous"]) == (2, None)
    second = (await client.get(first["next"])).data
    assert ([row["id"] for row in second["results"]], second["next"]) == ([ids[1]], None)
    assert (await client.get(f"/v1/sessions?type=active&context_id={UNKNOWN}")).data["count"] == 0


@pytest.mark.parametrize("query", ["", "?type=all", "?type=active&page=0", "?type=active&page_size=101"])
async def test_a_list_wants_a_proper_query(client: Client, query: str) -> None:
    assert (await client.get(f"/v1/sessions{query}")).status == 422


async def test_a_service_that_drops_a_session_shows_a_server_error(client: Client) -> None:
    session = (await started(client))["session_id"]
    client.simulator.drop_stream(session)
    assert await end_reason(client, session) == "SERVER_ERROR"


PRIVATE = ("/v1/sessions?type=active", "/v1/avatars", "/v1/voices", "/v1/users/credits", "/v1/contexts",
           f"/v1/sessions/{UNKNOWN}", f"/v1/sessions/{UNKNOWN}/transcript")  # fmt: skip


@pytest.mark.parametrize("path", PRIVATE)
async def test_what_is_private_wants_the_key(client: Client, path: str) -> None:
    assert (await client.get(path, headers={})).status == 401


@pytest.mark.parametrize("path", ["/v1/avatars/public", "/v1/languages"])
async def test_what_is_public_wants_no_key(client: Client, path: str) -> None:
    answer = await client.get(path, headers={})
    assert (answer.status, answer.body["code"]) == (200, 1000)


async def test_contexts_are_kept_and_changed(client: Client) -> None:
    body = {"name": "Tour", "prompt": "You guide.", "opening_text": "Welcome!", "unknown": "dropped"}
    context = (await client.post("/v1/contexts", body)).data
    assert (await client.get("/v1/contexts")).data["results"][0] == context
    changed = await client.call("PATCH", f"/v1/contexts/{context['id']}", {"prompt": "You guide well."})
    assert changed.data == {**context, "prompt": "You guide well."}
    assert (await client.call("PATCH", f"/v1/contexts/{UNKNOWN}", {})).status == 404
    assert (await client.call("PATCH", "/v1/contexts/x", {})).status == 422


async def test_the_rate_limit_is_a_window_of_one_second_for_caller_and_endpoint(
    serve: Serve, clock: ManualClock
) -> None:
    client = await serve(SimulatorOptions(liveavatar_rate=2))
    answers = [await client.get(path) for path in (f"/v1/sessions/{UNKNOWN}", *[f"/v1/sessions/{uuid.uuid4()}"] * 2)]
    assert [answer.status for answer in answers] == [404, 404, 429]
    shown = [{name: value for name, value in answer.headers.items() if "ate" in name} for answer in answers]
    assert shown[0]["X-RateLimit-Remaining"] == "1"
    assert (answers[2].headers["Retry-After"], answers[2].headers["X-RateLimit-Reset"]) == ("1", "1")
    assert (await client.get("/v1/languages")).status == 200
    await clock.advance(1)
    assert (await client.get(f"/v1/sessions/{UNKNOWN}")).status == 404


async def test_faults_hit_this_api_in_its_own_envelope(client: Client) -> None:
    client.simulator.faults.add("status", path="/v1/sessions/token", status=503)
    answer = await client.post("/v1/sessions/token", FULL)
    assert (answer.status, set(answer.body)) == (503, {"code", "data", "message"})
    client.simulator.faults.add("lost_reply", path="/v1/sessions/start")
    token = (await minted(client, **WITH_CONTEXT))["session_token"]
    with pytest.raises(aiohttp.ClientError):
        await start(client, token)
    assert len(await rows(client, "active")) == 1


async def test_lite_mode_is_refused_in_words(client: Client) -> None:
    body: dict[str, Any] = {"mode": "LITE", "avatar_id": UNKNOWN}
    answer = await client.post("/v1/sessions/token", body)
    assert (answer.status, "FULL" in answer.body["message"]) == (400, True)
