"""Each kind of trouble with the avatar service reads as what it is, whichever provider it is."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from adapters.avatars import http as connection
from adapters.simulator import Effect, SimulatorOptions
from bot import sentences
from bot.core.clock import SystemClock
from bot.core.errors import ProviderError, Transient, Trouble
from tests.contract.avatars.harness import KEY, MakeHarness, ProviderHarness

TROUBLESHOOTING = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")

NO_KEY = "The avatar service does not accept the bot's key."
NOT_ALLOWED = "The avatar account may not do this."
NO_ADDRESS = "The avatar service does not know what the bot asks for."


def of(trouble: Trouble) -> str:
    return sentences.network("The avatar service", trouble) + "."


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"effect": Effect.STATUS, "status": 500}, of(Trouble.SERVER_ERROR)),
    "502": ({"effect": Effect.STATUS, "status": 502}, of(Trouble.SERVER_ERROR)),
    "503": ({"effect": Effect.STATUS, "status": 503}, of(Trouble.SERVER_ERROR)),
    "504": ({"effect": Effect.STATUS, "status": 504}, of(Trouble.SERVER_ERROR)),
    "401": ({"effect": Effect.STATUS, "status": 401}, NO_KEY),
    "402": ({"effect": Effect.STATUS, "status": 402}, "The avatar account has no credit left."),
    "403": ({"effect": Effect.STATUS, "status": 403}, NOT_ALLOWED),
    "404": ({"effect": Effect.STATUS, "status": 404}, NO_ADDRESS),
    "405": ({"effect": Effect.STATUS, "status": 405}, NO_ADDRESS),
    "302": ({"effect": Effect.STATUS, "status": 302}, NO_ADDRESS),
    "407": ({"effect": Effect.STATUS, "status": 407}, of(Trouble.PROXY)),
    "429": ({"effect": Effect.STATUS, "status": 429, "retry_after": 0}, "The avatar service asks us to slow down."),
    "reply lost": ({"effect": Effect.LOST_REPLY}, of(Trouble.RESET)),
    "refused before": ({"effect": Effect.REFUSED_BEFORE}, of(Trouble.RESET)),
    "garbage": ({"effect": Effect.GARBAGE}, of(Trouble.MALFORMED)),
    "empty": ({"effect": Effect.EMPTY}, of(Trouble.MALFORMED)),
    "wrong type": ({"effect": Effect.WRONG_TYPE}, of(Trouble.MALFORMED)),
    "hang": ({"effect": Effect.HANG}, of(Trouble.TIMEOUT)),
}
"""Every fault of the simulator that ends a request, and how what people read begins."""


def test_every_effect_that_ends_a_request_is_in_the_table() -> None:
    assert {fault["effect"] for fault, _ in FAULTS.values()} == {*Effect} - {Effect.LATENCY, Effect.CUT_AFTER}


async def read(world: ProviderHarness) -> str:
    """What people read of a start that fails."""
    with pytest.raises(ProviderError) as failure:
        await world.provider.create(world.request())
    return sentences.failure(failure.value)[0]


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_reads_as_what_it_is(name: str, world: ProviderHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", httpx.Timeout(0.3, connect=5.0, pool=5.0))
    fault, sentence = FAULTS[name]
    if name == "404" and world.provider.name == "heygen-realtime":
        sentence = NOT_ALLOWED  # it is a preview, which an account has or has not
    make: Any = type(world.provider)
    async with make(SecretStr(KEY), world.simulator.address, SystemClock()) as provider:
        world.provider = provider
        world.simulator.faults.add(method=world.kind.create[0], path=world.kind.create[1], times=None, **fault)
        assert (await read(world)).startswith(sentence)


async def test_nobody_there_reads_as_a_refused_connection(make_world: MakeHarness) -> None:
    world = await make_world()
    await world.simulator.stop()
    assert (await read(world)).startswith(of(Trouble.REFUSED))


@pytest.mark.parametrize(
    ("address", "trouble"),
    [
        ("http://no-such-host.invalid", Trouble.NAME),
        ("https://127.0.0.1:{port}", Trouble.TLS),
    ],
)
async def test_an_address_that_leads_nowhere_reads_as_why(
    world: ProviderHarness, address: str, trouble: Trouble
) -> None:
    url = address.format(port=world.simulator.address.rpartition(":")[2])
    make: Any = type(world.provider)
    async with make(SecretStr(KEY), url, SystemClock()) as provider:
        world.provider = provider
        assert (await read(world)).startswith(of(trouble))


async def test_an_account_that_is_full_reads_as_that(make_world: MakeHarness) -> None:
    world = await make_world(SimulatorOptions(v1_concurrency=0, v3_concurrency=0, liveavatar_concurrency=0))
    if world.kind.is_paid_by_start:
        pytest.skip("its create opens nothing; the contract of streams has its start")
    assert (await read(world)).startswith("As many avatars as the account allows are open already.")


@pytest.mark.parametrize("trouble", Trouble)
@pytest.mark.parametrize("taken", [True, False])
def test_every_trouble_has_a_sentence_of_its_own_in_the_troubleshooting(trouble: Trouble, taken: bool) -> None:
    text = sentences.failure(Transient("", may_have_taken_effect=taken, trouble=trouble))[0]
    assert re.search(rf"^\| {re.escape(of(trouble))} … \| .{{5,}} \|$", TROUBLESHOOTING, re.MULTILINE), of(trouble)
    assert text.startswith(of(trouble))
    assert text.removeprefix(of(trouble)).partition(" (ref")[0].strip() in TROUBLESHOOTING
