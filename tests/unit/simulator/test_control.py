"""The meter, the list of streams, and faults of every kind."""

import asyncio
from decimal import Decimal

import aiohttp
import pytest

from adapters.simulator import Price, SimulatorOptions
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import STREAM, Client, eventually
from tests.unit.simulator.conftest import Serve


async def test_the_meter_counts_seconds_and_dollars_per_api(client: Client, clock: ManualClock) -> None:
    stream, session = await client.stream(), await client.connected()
    await clock.advance(9.5)
    meter = client.simulator.meter()
    realtime, streaming = meter.apis["heygen-realtime"], meter.apis["heygen-streaming"]
    assert (realtime.open, realtime.seconds, realtime.dollars) == (1, 9.5, Decimal("0.50"))
    assert round(streaming.dollars, 6) == Decimal("0.1")
    await client.post(f"/v3/avatar-realtime/{stream}/cancel")
    await clock.advance(50.5)
    await client.post("/v1/streaming.stop", {"session_id": session})
    await clock.advance(1000)
    meter = client.simulator.meter()
    assert meter.apis["heygen-realtime"].dollars == Decimal("0.50")
    assert round(meter.apis["heygen-streaming"].dollars, 6) == Decimal("0.2")
    assert (meter.total.open, meter.total.opened, meter.total.peak, meter.total.seconds) == (0, 2, 1, 69.5)


async def test_prices_are_options(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(v3_price=Price(Decimal(2), minimum_seconds=10)))
    await client.stream()
    assert client.simulator.meter().total.dollars == 20
    await clock.advance(11.2)
    assert client.simulator.meter().total.dollars == 24


async def test_the_meter_over_http(client: Client, clock: ManualClock) -> None:
    await client.stream()
    await clock.advance(2)
    reading = (await client.get("/simulator/meter")).body
    assert reading["apis"]["heygen-realtime"] == {
        "open": 1,
        "opened": 1,
        "peak": 1,
        "seconds": 2.0,
        "billed_seconds": 2,
        "dollars": "0.1000",
    }
    assert reading["total"]["dollars"] == "0.1000"


async def test_streams_are_listed_with_what_they_said(client: Client, clock: ManualClock) -> None:
    session, stream = await client.connected(), await client.streaming(text="Hi.")
    await client.task(session, "first")
    await client.task(session, "and then?", task_type="chat")
    await clock.advance(0.1)
    await client.post("/v1/streaming.interrupt", {"session_id": session})
    rows = {row["id"]: row for row in (await client.get("/simulator/streams")).body["streams"]}
    first, second = rows[session]["spoken"]
    assert (first["text"], first["state"], first["ends_at"] - first["starts_at"]) == (
        "first",
        "interrupted",
        pytest.approx(0.1),
    )
    assert (second["asked"], second["kind"], second["state"]) == ("and then?", "chat", "dropped")
    assert (rows[stream]["api"], rows[stream]["state"]) == ("heygen-realtime", "streaming")


async def test_only_so_many_ended_streams_are_remembered_and_the_meter_keeps_their_sum(
    serve: Serve, clock: ManualClock
) -> None:
    client = await serve(SimulatorOptions(kept_closed=2, v3_concurrency=10))
    opened = [await client.stream() for _ in range(5)]
    await clock.advance(10)
    for stream in opened[:4]:
        await client.post(f"/v3/avatar-realtime/{stream}/cancel")
    assert [view.id for view in client.simulator.streams()] == [opened[2], opened[3], opened[4]]
    assert client.simulator.meter().total.dollars == Decimal("2.50")


async def test_the_control_asks_for_the_key(client: Client) -> None:
    for method, path in (
        ("GET", "meter"),
        ("GET", "streams"),
        ("GET", "faults"),
        ("POST", "faults"),
        ("DELETE", "faults"),
    ):
        assert (await client.call(method, f"/simulator/{path}", headers={})).status == 401


async def test_status_fault_hits_the_matching_request_so_often(client: Client) -> None:
    stream = await client.streaming()
    await client.post("/simulator/faults", {
        "effect": "status", "method": "post", "path": "/v3/avatar-realtime/*/text", "times": 2, "status": 503,
        "body": {"error": {"code": "internal_error"}}, "retry_after": 3,
    })  # fmt: skip
    assert (await client.status(stream))["status"] == "streaming"
    for _ in range(2):
        answer = await client.append(stream, "hi")
        assert (answer.status, answer.body, answer.headers["Retry-After"]) == (
            503,
            {"error": {"code": "internal_error"}},
            "3",
        )
    assert (await client.append(stream, "hi")).status == 202
    assert client.spoken(stream)[1:] == [("hi", "queued")]
    assert (await client.get("/simulator/faults")).body["faults"] == []


@pytest.mark.parametrize(("path", "envelope"), [("/v1/streaming.new", "code"), ("/v3/avatar-realtime", "error")])
async def test_status_fault_without_a_body_has_the_envelope_of_the_api(
    client: Client, path: str, envelope: str
) -> None:
    client.simulator.faults.add("status", path=path, status=500)
    answer = await client.post(path, {})
    assert (answer.status, envelope in answer.body) == (500, True)


async def test_lost_reply_does_the_work_and_cuts_the_connection(client: Client) -> None:
    client.simulator.faults.add("lost_reply", path="/v3/avatar-realtime")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.post("/v3/avatar-realtime", STREAM)
    assert client.simulator.meter().total.open == 1


async def test_refused_before_cuts_the_connection_without_work(client: Client) -> None:
    client.simulator.faults.add("refused_before", path="/v3/avatar-realtime")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.post("/v3/avatar-realtime", STREAM)
    assert client.simulator.meter().total.opened == 0


@pytest.mark.parametrize(
    ("effect", "content_type", "text"),
    [
        ("garbage", "text/html", "<html>"),
        ("empty", "", ""),
        ("wrong_type", "application/json", '{"code":"100"'),
    ],
)
async def test_nonsense_answers_come_after_the_work(client: Client, effect: str, content_type: str, text: str) -> None:
    client.simulator.faults.add(effect, path="/v3/avatar-realtime")
    answer = await client.post("/v3/avatar-realtime", STREAM)
    assert answer.status == 200
    assert answer.headers.get("Content-Type", "").startswith(content_type)
    assert answer.text.startswith(text)
    assert bool(answer.text) is bool(text)
    assert client.simulator.meter().total.open == 1


async def test_after_work_can_be_chosen(client: Client) -> None:
    client.simulator.faults.add("status", path="/v3/avatar-realtime", after_work=True)
    assert (await client.post("/v3/avatar-realtime", STREAM)).status == 500
    assert client.simulator.meter().total.open == 1


async def test_latency_is_on_the_clock_and_adds_up(client: Client, clock: ManualClock) -> None:
    client.simulator.faults.add("latency", seconds=2)
    client.simulator.faults.add("latency", seconds=3)
    asking = asyncio.ensure_future(client.get("/v3/users/me"))
    await eventually(lambda: not client.simulator.faults.waiting)
    await clock.advance(4.9)
    assert not asking.done()
    await clock.advance(0.1)
    assert (await asking).status == 200


async def test_a_hanging_request_is_never_answered_and_stop_does_not_wait_for_it(
    serve: Serve, clock: ManualClock
) -> None:
    client = await serve(SimulatorOptions())
    client.simulator.faults.add("hang", path="/v3/users/me", times=None)
    asking = asyncio.ensure_future(client.get("/v3/users/me"))
    await clock.advance(3600)
    assert not asking.done()
    assert len(client.simulator.faults.waiting) == 1
    await client.simulator.stop()
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_an_event_stream_can_be_cut_in_the_middle(client: Client, clock: ManualClock) -> None:
    stream = await client.streaming()
    client.simulator.faults.add("cut_after", path="/v3/avatar-realtime/*/words", seconds=2)
    reading = asyncio.ensure_future(client.get(f"/v3/avatar-realtime/{stream}/words"))
    await eventually(lambda: not client.simulator.faults.waiting)
    await clock.advance(3)
    with pytest.raises(aiohttp.ClientPayloadError):
        await reading


async def test_drop_stream_and_sunset_and_clear(client: Client) -> None:
    stream, session = await client.streaming(), await client.connected()
    assert (await client.post("/simulator/faults", {"drop_stream": stream, "message": "gone"})).status == 200
    assert (await client.status(stream))["error_message"] == "gone"
    await client.post("/simulator/faults", {"drop_stream": session})
    assert (await client.task(session, "hi")).body["code"] == 10005
    assert (await client.post("/simulator/faults", {"drop_stream": "unknown"})).status == 404
    assert (await client.post("/simulator/faults", {"sunset": True})).body["sunset"] is True
    assert (await client.get("/v1/streaming.list")).status == 410
    client.simulator.faults.add("hang", times=None)
    assert (await client.call("DELETE", "/simulator/faults")).body == {"faults": [], "sunset": False}
    assert (await client.get("/v1/streaming.list")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"effect": "explode"},
        {"effect": "status", "times": 0},
        {"effect": "status", "status": 9},
        {"effect": "latency", "seconds": "1"},
        {"effect": "latency", "seconds": -1},
        {"effect": "status", "times": True},
        {"effect": "status", "colour": "red"},
        {"sunset": "yes"},
        {"sunset": True, "effect": "hang"},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(client: Client, body: object) -> None:
    assert (await client.post("/simulator/faults", body)).status == 400
    assert client.simulator.faults.waiting == ()
