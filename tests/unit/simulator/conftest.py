"""The simulator on a real port with a clock that the test moves."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from adapters.simulator import Simulator, SimulatorOptions
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client

Serve = Callable[[SimulatorOptions], Awaitable[Client]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def serve(clock: ManualClock) -> AsyncIterator[Serve]:
    """Start simulators with options of the test's choice."""
    running: list[Simulator] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:

        async def start(options: SimulatorOptions) -> Client:
            simulator = Simulator(options, clock)
            await simulator.start()
            running.append(simulator)
            return Client(http, simulator, clock)

        yield start
        for simulator in running:
            await simulator.stop()


@pytest.fixture
async def client(serve: Serve) -> Client:
    """A simulator as it comes, but with more slots than a test uses up by accident."""
    return await serve(SimulatorOptions(v1_concurrency=10, v3_concurrency=10))
