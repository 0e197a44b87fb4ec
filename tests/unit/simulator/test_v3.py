"""HeyGen v3 Avatar Realtime: states, codes, text, words, timers."""

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from adapters.simulator import SimulatorOptions
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import STREAM, Client, eventually
from tests.unit.simulator.conftest import Serve


async def test_a_stream_is_pending_then_streaming_with_its_address(client: Client, clock: ManualClock) -> None:
    stream = await client.stream()
    assert await client.status(stream) == {
        "stream_id": stream, "status": "pending", "hls_url": None, "error_message": None, "end_reason": None,
    }  # fmt: skip
    await clock.advance(0.5)
    status = await client.status(stream)
    assert status["status"] == "streaming"
    assert status["hls_url"] == f"{client.simulator.address}/simulator/hls/{stream}/stream.m3u8"


async def test_idle_ends_a_text_stream_thirty_seconds_after_the_last_text(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    await clock.advance(20)
    assert (await client.append(stream, " ")).status == 202
    await clock.advance(29.9)
    assert (await client.status(stream))["status"] == "streaming"
    await clock.advance(0.1)
    status = await client.status(stream)
    assert (status["status"], status["end_reason"], status["hls_url"]) == ("completed", "idle_timeout", None)
    gone = await client.append(stream, "too late")
    assert (gone.status, gone.body["error"]["code"]) == (410, "gone")


async def test_idle_cuts_a_long_speech_unless_told_to_wait(serve: Serve, clock: ManualClock) -> None:
    long_text = "word " * 200
    for waits, state in ((False, "completed"), (True, "streaming")):
        client = await serve(SimulatorOptions(v3_idle_waits_for_speech=waits))
        stream = await client.stream(text=long_text)
        await clock.advance(45)
        assert (await client.status(stream))["status"] == state


async def test_final_completes_after_the_last_word(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming(text="12345.")
    assert (await client.append(stream, " 1234.", final=True)).data == {"ok": True, "buffered_bytes": 12}
    assert (await client.append(stream, "more")).status == 410
    await clock.advance(0.3 + 12 * 0.06 - 0.01)
    assert (await client.status(stream))["status"] == "streaming"
    await clock.advance(0.01)
    status = await client.status(stream)
    assert (status["status"], status["end_reason"]) == ("completed", "final_marker")
    assert client.spoken(stream) == [("12345.", "spoken"), (" 1234.", "spoken")]


async def test_final_while_pending_or_silent_completes_in_time(client: Client, clock: ManualClock) -> None:
    pending, silent = await client.stream(text="Hi."), await client.stream(text="Hi.")
    assert (await client.append(pending, "", final=True)).data["buffered_bytes"] == 3
    assert (await client.status(pending))["status"] == "pending"
    await clock.advance(10)
    assert (await client.status(pending))["end_reason"] == "final_marker"
    await client.append(silent, "", final=True)
    await clock.advance(0)
    assert (await client.status(silent))["end_reason"] == "final_marker"


async def test_buffered_bytes_count_everything_in_bytes(client: Client) -> None:
    stream = await client.streaming(text="Grüße.")
    assert (await client.append(stream, " 你好")).data["buffered_bytes"] == len("Grüße. 你好".encode())


async def test_append_checks_its_fields(client: Client) -> None:
    stream = await client.streaming()
    empty = await client.append(stream, "")
    assert (empty.status, empty.body["error"]) == (400, {
        "code": "invalid_parameter", "message": "'delta' must be non-empty unless final=true.", "param": "delta",
        "doc_url": None,
    })  # fmt: skip
    for body, param in (
        ({}, "delta"),
        ({"text": "hi"}, "text"),
        ({"delta": "hi", "extra": 1}, "extra"),
        ({"delta": 5}, "delta"),
        ({"delta": "hi", "final": "yes"}, "final"),
        ([], None),
    ):
        answer = await client.post(f"/v3/avatar-realtime/{stream}/text", body)
        assert (answer.status, answer.body["error"]["code"], answer.body["error"]["param"]) == (
            400, "invalid_parameter", param,
        )  # fmt: skip
    tts = await client.streaming(type="tts")
    assert (await client.append(tts, "hi")).status == 400


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"type": "video"}, 400, "invalid_parameter", "type"),
        ({"type": None}, 400, "invalid_parameter", "type"),
        ({"type": ["tts"]}, 400, "invalid_parameter", "type"),
        ({"max_duration_seconds": 60}, 400, "invalid_parameter", "max_duration_seconds"),
        ({"text": ""}, 400, "invalid_parameter", "text"),
        ({"text": 1}, 400, "invalid_parameter", "text"),
        ({"voice_id": "nobody"}, 400, "invalid_parameter", "voice_id"),
        ({"avatar_id": "nobody"}, 404, "avatar_not_found", "avatar_id"),
        ({"avatar_id": "default"}, 404, "avatar_not_found", "avatar_id"),
    ],
)
async def test_create_refuses_what_it_does_not_know(
    client: Client, change: dict[str, object], status: int, code: str, param: str
) -> None:
    answer = await client.post("/v3/avatar-realtime", {**STREAM, **change})
    assert (answer.status, answer.body["error"]["code"], answer.body["error"]["param"]) == (status, code, param)
    assert client.simulator.meter().total.opened == 0


@pytest.mark.parametrize("missing", ["type", "avatar_id", "voice_id", "text"])
async def test_create_needs_every_field(client: Client, missing: str) -> None:
    answer = await client.post("/v3/avatar-realtime", {key: value for key, value in STREAM.items() if key != missing})
    assert (answer.status, answer.body["error"]["param"]) == (400, missing)


@pytest.mark.parametrize(
    ("audio", "param"),
    [
        ("x", "audio"),
        ({"type": "tape"}, "audio.type"),
        ({"type": "url", "url": "http://example.com/a.mp3"}, "audio.url"),
        ({"type": "url", "url": "https://[broken"}, "audio.url"),
        ({"type": "url"}, "audio.url"),
        ({"type": "asset_id", "asset_id": "a", "url": "b"}, "audio.url"),
        ({"type": "base64", "media_type": "audio/wav", "data": "AAAA"}, "audio.media_type"),
        ({"type": "base64", "media_type": "audio/mpeg", "data": "not base64!"}, "audio.data"),
    ],
)
async def test_audio_is_checked(client: Client, audio: object, param: str) -> None:
    body = {"type": "audio", "avatar_id": "sim-robin", "audio": audio}
    answer = await client.post("/v3/avatar-realtime", body)
    assert (answer.status, answer.body["error"]["param"]) == (400, param)


async def test_audio_and_tts_end_by_themselves_without_a_reason(client: Client, clock: ManualClock) -> None:
    sound = {"type": "base64", "media_type": "audio/mpeg", "data": base64.b64encode(bytes(32_000)).decode()}
    created = await client.post("/v3/avatar-realtime", {"type": "audio", "avatar_id": "sim-robin", "audio": sound})
    audio, tts = created.data["stream_id"], await client.stream(type="tts", text="x" * 20)
    await clock.advance(0.5 + 1.4)
    assert (await client.status(tts))["status"] == "streaming"
    await clock.advance(0.2)
    assert (await client.status(tts))["status"] == "completed"
    assert (await client.status(audio))["status"] == "streaming"
    await clock.advance(0.4)
    for stream in (audio, tts):
        status = await client.status(stream)
        assert (status["status"], status["end_reason"]) == ("completed", None)


async def test_cancel_is_idempotent(client: Client, clock: ManualClock) -> None:
    streams = [await client.stream(), await client.streaming()]
    for stream in streams:
        first = await client.post(f"/v3/avatar-realtime/{stream}/cancel")
        again = await client.post(f"/v3/avatar-realtime/{stream}/cancel")
        assert (first.status, first.data) == (202, {"stream_id": stream, "cancelled": True})
        assert (again.status, again.data) == (202, {"stream_id": stream, "cancelled": False})
        status = await client.status(stream)
        assert (status["status"], status["end_reason"]) == ("completed", None)


async def test_a_cancelled_stream_may_show_an_error_instead(serve: Serve) -> None:
    client = await serve(SimulatorOptions(v3_cancelled_status="error"))
    stream = await client.stream()
    await client.post(f"/v3/avatar-realtime/{stream}/cancel")
    status = await client.status(stream)
    assert (status["status"], bool(status["error_message"])) == ("error", True)


async def test_fourth_stream_is_429_until_one_is_over(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions())
    streams = [await client.stream() for _ in range(3)]
    refused = await client.post("/v3/avatar-realtime", STREAM)
    assert (refused.status, refused.body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["Retry-After"]) > 0
    await client.post(f"/v3/avatar-realtime/{streams[1]}/cancel")
    assert (await client.post("/v3/avatar-realtime", STREAM)).status == 201


async def test_an_hour_is_the_end_however_busy(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    for _ in range(143):
        await clock.advance(25)
        assert (await client.append(stream, "Still here. ")).status == 202
    await clock.advance(24.4)
    assert (await client.status(stream))["status"] == "streaming"
    await clock.advance(0.1)
    status = await client.status(stream)
    assert (status["status"], status["end_reason"]) == ("completed", None)


async def test_wrong_key_and_unknown_stream(client: Client) -> None:
    for method, path in (
        ("POST", "/v3/avatar-realtime"), ("GET", "/v3/avatar-realtime/x"), ("GET", "/v3/avatar-realtime/x/words"),
        ("POST", "/v3/avatar-realtime/x/text"), ("POST", "/v3/avatar-realtime/x/cancel"), ("GET", "/v3/avatars"),
        ("GET", "/v3/avatars/looks"), ("GET", "/v3/voices"), ("GET", "/v3/users/me"),
    ):  # fmt: skip
        refused = await client.call(method, path, headers={"X-Api-Key": "wrong"})
        assert (refused.status, refused.body["error"]["code"]) == (401, "unauthorized")
        if "/x" in path:
            missing = await client.call(method, path, {"delta": "hi"} if path.endswith("text") else None)
            assert (missing.status, missing.body["error"]["code"]) == (404, "not_found")
    session = await client.connected()
    assert (await client.get(f"/v3/avatar-realtime/{session}")).status == 404
    assert (await client.get("/v3/users/me", headers={"Authorization": "Bearer simulator"})).status == 200


async def test_strange_text_and_paths_are_answered_properly(client: Client) -> None:
    stream = await client.streaming()
    half = b'{"delta": "half a pair \\ud83d"}'
    assert (await client.post(f"/v3/avatar-realtime/{stream}/text", raw=half)).status == 400
    assert (await client.append(stream, "\U0001f468\u200d\U0001f469\u200d\U0001f467 \x00\x1b[31m")).status == 202
    for path in (
        "/v3/avatar-realtime/%ff",
        "/v3/avatars/looks/%00",
        "/simulator/hls/%ff/stream.m3u8",
        "//",
        "/v3/voices/",
    ):
        assert (await client.get(path)).status == 404
    assert (await client.get("/v3/avatars?%ff=1")).status == 400


async def test_used_up_balance_is_402(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(balance=Decimal("0.50")))
    assert (await client.get("/v3/users/me")).data["wallet"]["remaining_balance"] == 0.5
    await client.stream()
    await clock.advance(10)
    refused = await client.post("/v3/avatar-realtime", STREAM)
    assert (refused.status, refused.body["error"]["code"]) == (402, "insufficient_credit")
    assert "quota not enough" in (await client.post("/v1/streaming.new", {})).text
    assert (await client.get("/v3/users/me")).data["wallet"]["remaining_balance"] == 0.0
    assert (await client.get("/v2/user/remaining_quota")).data["remaining_quota"] == 0


class Words:
    """Reads a word stream in the background."""

    def __init__(self, client: Client, stream: str) -> None:
        self.frames: list[list[dict[str, Any]]] = []
        self.end: dict[str, Any] | None = None
        self.task = asyncio.ensure_future(self._read(client, stream))

    async def _read(self, client: Client, stream: str) -> None:
        url = f"{client.simulator.address}/v3/avatar-realtime/{stream}/words"
        async with client.http.get(url, headers={"X-Api-Key": "simulator"}) as response:
            assert response.content_type == "text/event-stream"
            event = "message"
            async for raw in response.content:
                name, _, value = raw.decode().strip().partition(": ")
                if name == "event":
                    event = value
                elif name == "data" and event == "end":
                    self.end = json.loads(value)
                elif name == "data":
                    self.frames.append(json.loads(value)["words"])

    @property
    def texts(self) -> list[str]:
        return [word["word"] for frame in self.frames for word in frame]


async def test_words_come_as_they_are_said_with_silence_in_their_times(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming(text="Hi, you.")
    words = Words(client, stream)
    await clock.advance(0.4)
    assert words.texts == []
    await clock.advance(0.4)
    await eventually(lambda: words.texts == ["Hi", ",", "you", "."])
    assert [(word["start"], word["end"]) for word in words.frames[0]] == [
        (0.3, 0.42), (0.42, 0.48), (0.54, 0.72), (0.72, 0.78),
    ]  # fmt: skip
    await clock.advance(9.2)
    await client.append(stream, "Again.", final=True)
    await clock.advance(5)
    await asyncio.wait_for(words.task, 5)
    assert words.texts == ["Hi", ",", "you", ".", "Again", "."]
    assert words.frames[-1][0] == {"word": "Again", "start": 10.3, "end": 10.6}
    assert words.end == {"reason": "completed"}


async def test_late_subscribers_get_the_history(client: Client, clock: ManualClock) -> None:
    text = "One two three four five six seven eight nine ten eleven twelve."
    stream = await client.streaming(text=text)
    early = Words(client, stream)
    await clock.advance(2)
    late = Words(client, stream)
    await eventually(lambda: len(late.texts) >= 5)
    await client.append(stream, "", final=True)
    await clock.advance(60)
    snapshot = Words(client, stream)
    for words in (early, late, snapshot):
        await asyncio.wait_for(words.task, 5)
        assert words.texts == [*text.rstrip(".").split(), "."]
        assert words.end is not None
        assert all(len(frame) <= 10 and frame[-1]["end"] - frame[0]["start"] <= 1.0 for frame in words.frames)


async def test_words_that_were_never_said_are_never_told(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming(text="One two three four five six seven.")
    words = Words(client, stream)
    await clock.advance(1.1)
    await client.post(f"/v3/avatar-realtime/{stream}/cancel")
    await asyncio.wait_for(words.task, 5)
    assert words.texts == ["One", "two", "three"]
    assert client.spoken(stream) == [("One two three four five six seven.", "interrupted")]


async def test_token_sized_fragments_are_spoken_as_one_text(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming(text="Hel")
    for delta in ("lo", ", wor", "ld", "!"):
        await client.append(stream, delta)
    words = Words(client, stream)
    await clock.advance(5)
    await eventually(lambda: words.texts == ["Hello", ",", "world", "!"])
    assert words.frames[-1][-1]["end"] == pytest.approx(0.3 + 13 * 0.06)
    await client.post(f"/v3/avatar-realtime/{stream}/cancel")
    await words.task


async def test_a_reader_that_leaves_is_forgotten(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    words = Words(client, stream)
    await clock.advance(2)
    await eventually(lambda: len(words.texts) == 3)
    (live,) = [live for live in client.simulator._service.streams if live.id == stream]
    assert len(live._waiters) == 1
    words.task.cancel()
    await asyncio.wait([words.task])
    await eventually(lambda: not live._waiters)


async def test_dropped_stream_shows_its_error(client: Client) -> None:
    stream = await client.streaming()
    words = Words(client, stream)
    client.simulator.drop_stream(stream, "GPU on fire")
    status = await client.status(stream)
    assert (status["status"], status["error_message"], status["hls_url"]) == ("error", "GPU on fire", None)
    await asyncio.wait_for(words.task, 5)
    assert words.end == {"reason": "error"}
    with pytest.raises(KeyError):
        client.simulator.drop_stream("unknown")


async def test_stop_ends_the_word_streams(serve: Serve) -> None:
    client = await serve(SimulatorOptions())
    stream = await client.streaming()
    words = Words(client, stream)
    await eventually(lambda: bool(client.simulator._service.streams.get(stream)._waiters))  # type: ignore[union-attr]  # it exists
    await client.simulator.stop()
    await asyncio.wait([words.task], timeout=5)
    assert words.task.done()
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get("/v3/users/me")
