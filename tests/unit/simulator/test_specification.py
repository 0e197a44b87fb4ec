"""Every answer of the v3 API, good or bad, against the machine-readable descriptions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.harness.clock import ManualClock
from tests.unit.simulator.client import STREAM, Answer, Client
from tests.unit.simulator.conftest import Serve

SPECS = Path(__file__).parents[2] / "contract" / "specs"
OPENAPI: dict[str, Any] = json.loads((SPECS / "heygen_avatar_realtime_openapi.json").read_text())
CATALOGUE: dict[str, Any] = json.loads((SPECS / "heygen_v3_catalogue.json").read_text())


def inlined(schema: Any) -> Any:
    """The schema without references; the description has no loops."""
    if isinstance(schema, list):
        return [inlined(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(OPENAPI["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    return {name: inlined(part) for name, part in schema.items()}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


OPERATIONS = {operation["operationId"]: (method, path, operation) for method, path, operation in operations()}


class Recorder:
    """Calls operations by their id and checks what comes back against what is described; remembers what it saw."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: set[tuple[str, int]] = set()

    async def call(self, operation_id: str, stream_id: str = "", body: object = None, key: str = "simulator") -> Answer:
        method, path, operation = OPERATIONS[operation_id]
        answer = await self.client.call(
            method, path.replace("{stream_id}", stream_id), body, headers={"X-Api-Key": key}
        )
        described = operation["responses"][f"{answer.status}"]
        self.seen.add((operation_id, answer.status))
        if answer.status == 429:
            Draft202012Validator(inlined(described["headers"]["Retry-After"]["schema"])).validate(
                int(answer.headers["Retry-After"])
            )
        ((content_type, content),) = described["content"].items()
        assert answer.headers["Content-Type"].split(";")[0] == content_type
        validator = Draft202012Validator(inlined(content["schema"]))
        for document in documents(answer, content_type):
            validator.validate(document)
        if body is not None and answer.status < 300:
            request = operation["requestBody"]["content"]["application/json"]["schema"]
            Draft202012Validator(inlined(request)).validate(body)
        return answer


def documents(answer: Answer, content_type: str) -> Iterator[Any]:
    """The JSON documents of an answer: one, or the frames of an event stream."""
    if content_type == "application/json":
        yield answer.body
        return
    frames = [frame for frame in answer.text.split("\n\n") if frame]
    assert frames[-1].startswith("event: end\n")
    for frame in frames[:-1]:
        yield json.loads(frame.removeprefix("data: "))


async def test_every_described_answer_is_given_and_valid(serve: Serve, clock: ManualClock, client: Client) -> None:
    recorder = Recorder(client)
    stream = (await recorder.call("createAvatarRealtimeSession", body=STREAM)).data["stream_id"]
    tts = (await recorder.call("createAvatarRealtimeSession", body={**STREAM, "type": "tts"})).data["stream_id"]
    audio = {"type": "audio", "avatar_id": "sim-otis", "audio": {"type": "asset_id", "asset_id": "a-1"}}
    failing = (await recorder.call("createAvatarRealtimeSession", body=audio)).data["stream_id"]
    await recorder.call("createAvatarRealtimeSession", body={**STREAM, "quality": "high"})
    for seconds in (0, 1, 60):
        await clock.advance(seconds)
        for each in (stream, tts, failing):
            await recorder.call("getAvatarRealtimeSession", each)
        if seconds == 1:
            await recorder.call("appendAvatarRealtimeText", stream, {"delta": " More."})
            await recorder.call("appendAvatarRealtimeText", stream, {"delta": ""})
            await recorder.call("appendAvatarRealtimeText", stream, {"delta": "", "final": True})
            await recorder.call("appendAvatarRealtimeText", stream, {"delta": "late"})
            client.simulator.drop_stream(failing)
    await recorder.call("streamAvatarRealtimeWords", stream)
    await recorder.call("cancelAvatarRealtimeSession", stream)
    for operation_id in OPERATIONS:
        body = {"delta": "x"} if operation_id.startswith("append") else None
        await recorder.call(operation_id, stream, body, key="wrong")
        if not operation_id.startswith("create"):
            await recorder.call(operation_id, "unknown", body)
        client.simulator.faults.add("status", status=429, retry_after=2)
        await recorder.call(operation_id, stream, body)
    described = {
        (operation_id, int(status))
        for operation_id, (_, _, operation) in OPERATIONS.items()
        for status in operation["responses"]
    }
    # Nothing can be wrong with a request that has no body and no query.
    without_400 = {"getAvatarRealtimeSession", "streamAvatarRealtimeWords", "cancelAvatarRealtimeSession"}
    assert described - recorder.seen == {(operation_id, 400) for operation_id in without_400}


@pytest.mark.parametrize(
    "body",
    [
        {**STREAM, "unknown": 1},
        {**STREAM, "text": ""},
        {**STREAM, "text": None},
        {key: value for key, value in STREAM.items() if key != "voice_id"},
        {"type": "audio", "avatar_id": "sim-robin", "audio": {"type": "url", "data": "x"}},
        {"type": "audio", "avatar_id": "sim-robin", "audio": {"type": "base64", "media_type": "audio/mpeg"}},
        {},
        [],
    ],
)
async def test_what_the_description_forbids_is_refused(client: Client, body: object) -> None:
    schema = OPERATIONS["createAvatarRealtimeSession"][2]["requestBody"]["content"]["application/json"]["schema"]
    assert not Draft202012Validator(inlined(schema)).is_valid(body)
    assert (await client.post("/v3/avatar-realtime", body)).status == 400


def strict(schema: Any) -> Any:
    """A catalogue schema as JSON Schema: `nullable` said in its way, and no field that is not described."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: strict(part) for name, part in schema.items() if name != "nullable"}
    if schema.get("type") == "object" and "properties" in schema:
        result["additionalProperties"] = False
    return {"anyOf": [result, {"type": "null"}]} if schema.get("nullable") is True else result


PATHS = {
    "GET /v3/avatars": ("/v3/avatars", "/v3/avatars?limit=1", "/v3/avatars?ownership=private"),
    "GET /v3/avatars/looks": ("/v3/avatars/looks", "/v3/avatars/looks?avatar_type=digital_twin&limit=50"),
    "GET /v3/avatars/looks/{look_id}": ("/v3/avatars/looks/sim-robin", "/v3/avatars/looks/sim-workshop"),
    "GET /v3/voices": ("/v3/voices", "/v3/voices?type=private", "/v3/voices?language=German&limit=100"),
    "GET /v3/voices/{voice_id}": ("/v3/voices/sim-voice-clara", "/v3/voices/sim-voice-workshop"),
    "GET /v3/users/me": ("/v3/users/me",),
}


@pytest.mark.parametrize("operation", CATALOGUE)
async def test_the_catalogue_answers_as_described(client: Client, operation: str) -> None:
    for path in PATHS[operation]:
        answer = await client.get(path)
        assert answer.status == 200
        Draft202012Validator(strict(CATALOGUE[operation]["response"])).validate(answer.body)
