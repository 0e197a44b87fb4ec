"""The price meter charges in the steps that the clients know, whatever a stream's age."""

import math
from decimal import Decimal

import pytest

from adapters.avatars.heygen_realtime.provider import CAPABILITIES as V3
from adapters.avatars.heygen_streaming.provider import CAPABILITIES as V1
from adapters.avatars.liveavatar.provider import CAPABILITIES as LIVEAVATAR
from adapters.simulator import Price, SimulatorOptions
from bot.core.ports import Capabilities
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client
from tests.unit.simulator.conftest import Serve
from tests.unit.simulator.liveavatar import minted, start, started

CAPABILITIES = {"heygen-realtime": V3, "heygen-streaming": V1, "liveavatar": LIVEAVATAR}
AGES = (0.0, 0.4, 1.0, 1.5, 29.9, 30.0, 30.2, 59.5, 60.5, 89.0, 119.75)


@pytest.fixture(params=CAPABILITIES)
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def charged(able: Capabilities, seconds: float) -> float:
    """What a stream of this age is charged for: started steps, after the minimum."""
    steps = math.ceil(max(0.0, seconds - able.billing_minimum) / able.billing_step)
    return max(able.billing_step, able.billing_minimum + steps * able.billing_step)


async def open_stream(client: Client, api: str) -> tuple[str, dict[str, str]]:
    """A stream, and the request that closes it."""
    if api == "heygen-realtime":
        return f"/v3/avatar-realtime/{await client.stream()}/cancel", {}
    if api == "heygen-streaming":
        return "/v1/streaming.stop", {"session_id": await client.connected()}
    return "/v1/sessions/stop", {"session_id": (await started(client))["session_id"]}


async def test_streams_of_every_age_are_charged_in_the_steps_of_their_api(
    serve: Serve, clock: ManualClock, api: str
) -> None:
    client = await serve(SimulatorOptions(v3_idle=1000.0, v1_concurrency=20, v3_concurrency=20))
    expected = 0.0
    for age in AGES:
        path, body = await open_stream(client, api)
        await clock.advance(age)
        expected += charged(CAPABILITIES[api], age)
        meter = client.simulator.meter()
        assert meter.apis[api].billed_seconds == meter.total.billed_seconds == expected, age
        assert (await client.post(path, body)).status < 300
        await clock.advance(100)
        assert client.simulator.meter().apis[api].billed_seconds == expected, age
    reading = client.simulator.meter().apis[api]
    assert reading.seconds == pytest.approx(sum(AGES))
    options = client.simulator.options
    per_second = {"heygen-realtime": options.v3_price, "heygen-streaming": options.v1_price}.get(
        api, options.liveavatar_price
    )
    assert reading.dollars == pytest.approx(per_second.per_second * Decimal(expected))


async def test_a_minute_that_begins_is_paid_for(client: Client, clock: ManualClock) -> None:
    await started(client)
    await clock.advance(60)
    assert client.simulator.meter().apis["liveavatar"].billed_seconds == 120
    (view,) = client.simulator.streams()
    assert (view.seconds, view.billed_seconds, view.dollars) == (60, 120, pytest.approx(Decimal("0.4")))


async def test_the_sandbox_is_charged_for_nothing(client: Client, clock: ManualClock) -> None:
    token = (await minted(client, is_sandbox=True))["session_token"]
    assert (await start(client, token)).status == 201
    await clock.advance(50)
    reading = client.simulator.meter().apis["liveavatar"]
    assert (reading.opened, reading.seconds, reading.billed_seconds, reading.dollars) == (1, 50, 0, 0)


def test_a_price_has_steps_behind_its_minimum() -> None:
    price = Price(Decimal(1), minimum_seconds=30, step_seconds=20)
    assert [price.charged(seconds) for seconds in (0, 30, 30.0000001, 31, 50, 51)] == [30, 30, 30, 50, 50, 70]
