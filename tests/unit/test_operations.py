"""docs/operations.md says what the code does: every metric, and the bound of what a dead bot costs."""

import re
from decimal import ROUND_UP, Decimal

import pytest
from prometheus_client import CollectorRegistry

from adapters.avatars.heygen_realtime.provider import CAPABILITIES as REALTIME
from adapters.avatars.heygen_streaming.provider import CAPABILITIES as STREAMING
from adapters.avatars.liveavatar.provider import CAPABILITIES as LIVEAVATAR
from bot.core.billing import cost_of, most_billed
from bot.core.policy import SessionPolicy
from bot.core.ports import Capabilities
from bot.telemetry import metrics
from tests.harness.clock import ManualClock
from tests.pages import ROOT
from tests.unit.web.fixtures import Watching

PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
TABLE = dict(re.findall(r"^\| `(avatar_relay_\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
BOUNDS = {
    name: cells
    for name, *cells in re.findall(
        r"^\| `([a-z-]+)` \| (\d+) \| (\d+) \| (\d+) \| ([\d.]+|unknown) \| ([^|]+) \|$", PAGE, re.MULTILINE
    )
}
FROM_LAST_MESSAGE = " ".join(PAGE.partition("Counted from the last message")[2].partition("\n\n")[0].split())
V1_CREDITS_A_MINUTE = Decimal("0.2")


def names_in(registry: CollectorRegistry) -> dict[str, str]:
    """Our metrics as they are exported, with their types; those of the process are prometheus-client's."""
    ours = [family for family in registry.collect() if family.name.startswith("avatar_relay_")]
    return {family.name + ("_total" if family.type == "counter" else ""): family.type for family in ours}


async def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    watching = Watching(ManualClock())
    await watching.start()
    try:
        # Those of the web server are registered once it listens.
        assert names_in(metrics.registry) | names_in(watching.registry) == TABLE
    finally:
        await watching.stop()


def test_alerts_name_metrics_that_exist() -> None:
    named = set(re.findall(r"avatar_relay_\w+", PAGE))
    assert {name.removesuffix("_bucket") for name in named} == set(TABLE)


@pytest.mark.parametrize(
    ("provider", "capabilities"),
    [("heygen-realtime", REALTIME), ("heygen-streaming", STREAMING), ("liveavatar", LIVEAVATAR)],
)
def test_cost_of_a_dead_bot_is_what_follows_from_the_code(provider: str, capabilities: Capabilities) -> None:
    idle, longest, billed, price, bound = BOUNDS[provider]
    policy = SessionPolicy()
    request = policy.stream_request(
        capabilities, avatar="", voice="", quality="", remaining=policy.max_duration, initial_text=None
    )
    assert float(idle) == request.idle_timeout
    assert float(longest) == request.max_duration
    seconds = most_billed(capabilities, request.idle_timeout)
    assert float(billed) == seconds
    assert f"{policy.unattended_limit(capabilities):g} s on `{provider}`" in FROM_LAST_MESSAGE
    if capabilities.price_per_minute is None:
        assert price == "unknown"
        credits_ = Decimal(str(seconds)) / 60 * V1_CREDITS_A_MINUTE
        assert bound == f"{credits_.quantize(Decimal('0.01'), rounding=ROUND_UP)} credits"
    else:
        assert Decimal(price) == capabilities.price_per_minute
        assert Decimal(bound) == cost_of(capabilities, seconds)
