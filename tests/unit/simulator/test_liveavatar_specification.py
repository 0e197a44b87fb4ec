"""Every session call of LiveAvatar, good or bad, against the machine-readable description."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adapters.simulator import SimulatorOptions
from tests.unit.simulator.client import Answer, Client
from tests.unit.simulator.conftest import Serve
from tests.unit.simulator.liveavatar import DEMO_CONTEXT, FULL, WAYNE, minted

SPECS = Path(__file__).parents[2] / "contract" / "specs"
OPENAPI: dict[str, Any] = json.loads((SPECS / "liveavatar_sessions_openapi.json").read_text())
VOICE = "c2527536-6d1f-4412-a643-53a3497dada9"


def inlined(schema: Any) -> Any:
    """The schema without references; the description has no loops."""
    if isinstance(schema, list):
        return [inlined(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(OPENAPI["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    return {name: inlined(part) for name, part in schema.items()}


def content(part: dict[str, Any]) -> Any:
    return inlined(part["content"]["application/json"]["schema"])


async def call(client: Client, path: str, body: object, headers: dict[str, str] | None = None) -> Answer:
    """Post, and check the answer against the description; an accepted body as well."""
    operation = OPENAPI["paths"][path]["post"]
    answer = await client.post(path, body, headers=headers)
    assert f"{answer.status}" in operation["responses"], answer.text
    Draft202012Validator(content(operation["responses"][f"{answer.status}"])).validate(answer.body)
    if "requestBody" in operation:
        is_valid = Draft202012Validator(
            content(operation["requestBody"]), format_checker=Draft202012Validator.FORMAT_CHECKER
        ).is_valid(body)
        assert is_valid == (answer.status < 300), body
    return answer


async def test_a_session_lives_as_described(client: Client) -> None:
    token = await call(client, "/v1/sessions/token", FULL)
    bearer = {"Authorization": f"Bearer {token.data['session_token']}"}
    started = await call(client, "/v1/sessions/start", {}, bearer)
    assert started.status == 201
    body = {"session_id": token.data["session_id"]}
    assert (await call(client, "/v1/sessions/keep-alive", body)).status == 200
    assert (await call(client, "/v1/sessions/keep-alive", {}, bearer)).status == 200
    assert (await call(client, "/v1/sessions/stop", {**body, "reason": "USER_CLOSED"})).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"video_settings": {"quality": "very_high", "encoding": "VP8"}, "max_session_duration": 600},
        {"interactivity_type": "PUSH_TO_TALK", "dynamic_variables": {"name": "Robin"}},
        {"is_sandbox": True, "memory": {"prev_session_id": WAYNE}},
        {"avatar_persona": {
            "voice_id": VOICE, "context_id": DEMO_CONTEXT, "language": "de", "stt_config": {"provider": "deepgram"},
            "voice_settings": {"provider": "elevenLabs", "speed": 0.8, "stability": 1, "use_speaker_boost": True,
                               "model": "eleven_multilingual_v2"}}},
        {"avatar_persona": {"voice_settings": {"provider": "fish", "speed": 1.2, "model": "s2"}}},
    ],
)  # fmt: skip
async def test_what_the_description_allows_is_accepted(client: Client, fields: dict[str, object]) -> None:
    body = {key: value for key, value in {**FULL, **fields}.items() if value is not None}
    assert (await call(client, "/v1/sessions/token", body)).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"avatar_id": 7},
        {"avatar_id": "wayne"},
        {"avatar_persona": {"voice_id": "clara"}},
        {"avatar_persona": {"voice_settings": {"provider": "elevenLabs", "speed": 1.3}}},
        {"avatar_persona": {"voice_settings": {"provider": "fish", "model": "s3"}}},
        {"avatar_persona": {"stt_config": {"provider": "ears"}}},
        {"video_settings": {"encoding": "AV1"}},
        {"interactivity_type": "SILENT"},
        {"dynamic_variables": {f"{number}": "v" for number in range(51)}},
        {"mode": "HALF"},
    ],
)
async def test_what_the_description_forbids_is_refused(client: Client, fields: dict[str, object]) -> None:
    assert (await call(client, "/v1/sessions/token", {**FULL, **fields})).status == 422


@pytest.mark.parametrize("path", ["/v1/sessions/stop", "/v1/sessions/keep-alive"])
async def test_an_id_that_is_none_is_refused_as_described(serve: Serve, path: str) -> None:
    client = await serve(SimulatorOptions())
    await minted(client)
    assert (await call(client, path, {"session_id": "x"})).status == 422
