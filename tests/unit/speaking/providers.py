"""What a provider can do, as far as a test cares."""

from decimal import Decimal
from typing import Any

from bot.core.ports import Capabilities, InterruptMethod


def capabilities(**fields: Any) -> Capabilities:
    """A provider that takes a text of 1,000 characters whole and reports what is said, with some things changed."""
    plausible: dict[str, Any] = {
        "chat": False,
        "appends": False,
        "requires_initial_text": False,
        "cut": InterruptMethod.NATIVE,
        "reports_speech": True,
        "sends_ahead": True,
        "lists_open": True,
        "keeps_alive": True,
        "many_viewers": True,
        "max_text": 1000,
        "idle_limit": (30.0, 300.0),
        "max_duration": 1200.0,
        "price_per_minute": Decimal("0.10"),
        "billing_step": 1.0,
    }
    return Capabilities(**(plausible | fields))
