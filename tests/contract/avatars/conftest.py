"""One provider of each kind against one simulator, over real HTTP."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import stamina
from pydantic import SecretStr

from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from tests.contract.avatars.harness import KEY, KINDS, Kind, MakeHarness, ProviderHarness

PATIENT = SimulatorOptions(v3_idle=500)
"""A machine that is busy for a second is not taken for a silent channel: a second here is 50 there."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
async def make_world(kind: Kind) -> AsyncIterator[MakeHarness]:
    """Makes a world; `key` is what the provider uses, which the simulator may not know."""
    async with AsyncExitStack() as stack:

        async def make(options: SimulatorOptions | None = None, key: str = KEY) -> ProviderHarness:
            clock = SystemClock(50.0)
            simulator = Simulator(replace(options or PATIENT, api_key=SecretStr(KEY)), clock)
            await stack.enter_async_context(simulator)
            provider = kind.make(SecretStr(key), simulator.address, clock)
            await stack.enter_async_context(provider)
            return ProviderHarness(kind, provider, simulator, clock)

        yield make


@pytest.fixture
async def world(make_world: MakeHarness) -> ProviderHarness:
    return await make_world()


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """Attempts stay as many as in the product; the pauses between them are left out."""
    with stamina.set_testing(True, attempts=4, cap=True):
        yield
