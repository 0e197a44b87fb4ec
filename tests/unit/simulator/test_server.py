"""Starting and stopping."""

import asyncio
import socket

import aiohttp
import pytest

from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client, eventually
from tests.unit.simulator.conftest import Serve


async def test_a_taken_port_is_said_plainly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"the simulator cannot listen on 127.0.0.1 port {port}: "):
            await Simulator(SimulatorOptions(), ManualClock()).start(port=port)


async def test_it_can_be_started_again_after_a_stop() -> None:
    simulator = Simulator(SimulatorOptions(), ManualClock())
    first = await simulator.start()
    with pytest.raises(RuntimeError):
        await simulator.start()
    await simulator.stop()
    await simulator.stop()
    assert (await simulator.start()).startswith(first.rsplit(":", 1)[0])
    await simulator.stop()


async def test_stop_ends_every_stream_and_leaves_no_timer(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions())
    await client.connected()
    await client.streaming()
    await client.simulator.stop()
    assert client.simulator.meter().total.open == 0
    assert clock.due == []


async def test_a_busy_stream_has_one_timer(client: Client, clock: ManualClock) -> None:
    session = await client.connected()
    for _ in range(50):
        await client.task(session, "hi")
    assert len(clock.due) == 1


async def test_it_runs_on_a_faster_clock_too() -> None:
    async with Simulator(SimulatorOptions(auto_viewer=True), SystemClock(speed=1000)) as simulator, \
            aiohttp.ClientSession(simulator.address, headers={"X-Api-Key": "simulator"}) as http:  # fmt: skip
        new = await (await http.post("/v1/streaming.new", json={})).json()
        body = {"session_id": new["data"]["session_id"]}
        await (await http.post("/v1/streaming.start", json=body)).read()
        async with asyncio.timeout(5):
            while True:
                sessions = (await (await http.get("/v1/streaming.list")).json())["data"]["sessions"]
                if sessions[0]["status"] == "connected":
                    break
        task = {**body, "text": "x" * 100, "task_type": "repeat", "task_mode": "sync"}
        answer = await (await http.post("/v1/streaming.task", json=task)).json()
        assert answer["data"]["duration_ms"] == 6300.0


async def test_general_latency_is_on_the_clock(serve: Serve, clock: ManualClock) -> None:
    client = await serve(SimulatorOptions(latency=1.5))
    asking = asyncio.ensure_future(client.get("/v3/users/me"))
    await eventually(lambda: bool(clock.due))
    await clock.advance(1.4)
    assert not asking.done()
    await clock.advance(0.1)
    assert (await asking).status == 200
    assert "simulator" not in repr(SimulatorOptions().api_key)
