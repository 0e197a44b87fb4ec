"""What goes wrong at random between a bot and the provider, where a test lets anything go wrong."""

from typing import Any

from adapters.simulator import Effect

FAULTS: dict[str, dict[str, Any]] = {
    "refused": {"effect": Effect.REFUSED_BEFORE},
    "reply lost": {"effect": Effect.LOST_REPLY},
    "too many requests": {"effect": Effect.STATUS, "status": 429, "retry_after": 1},
    "server error": {"effect": Effect.STATUS, "status": 500},
    "garbage": {"effect": Effect.GARBAGE},
    "slow": {"effect": Effect.LATENCY, "seconds": 2.5},
}
"""By a name for people; the keys are those of `Faults.add` of the simulator."""
