"""What streams have used: how long they were open, what of that is paid for, how much of it was speech.

Arithmetic on values: no I/O, no vendor. What a provider really charges is on its invoice; this is its price list, by
the steps that `Capabilities` declares.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from bot.core.models import StreamUsage
from bot.core.ports import Capabilities

TOLERANCE = 0.001
"""Seconds by which a step may be passed without being begun: adding and subtracting floats is not exact."""


@dataclass(frozen=True, slots=True)
class StreamSeconds:
    """Seconds of one stream, or the sums of several: `open` at the provider, `billed` by its steps, `spoken` by the
    avatar."""

    open: float = 0.0
    billed: float = 0.0
    spoken: float = 0.0

    def __add__(self, other: "StreamSeconds") -> "StreamSeconds":
        return StreamSeconds(self.open + other.open, self.billed + other.billed, self.spoken + other.spoken)


def billed_seconds(capabilities: Capabilities, open_seconds: float) -> float:
    """The seconds that are paid for of a stream that has been open for `open_seconds`: a step that has begun is, and
    the first one begins with the create. One stream alone: two short ones are dearer than one."""
    step, first = capabilities.billing_step, max(capabilities.billing_step, capabilities.billing_minimum)
    return first + max(0, math.ceil((open_seconds - first - TOLERANCE) / step)) * step


def most_billed(capabilities: Capabilities, open_seconds: float) -> float:
    """The seconds that are paid for at most of `open_seconds` anywhere in the life of a stream: one more step than they
    fill may begin in them."""
    steps = math.floor(open_seconds / capabilities.billing_step) + 1
    return max(capabilities.billing_minimum, steps * capabilities.billing_step)


def cost_of(capabilities: Capabilities, billed: float) -> Decimal | None:
    """US dollars for so many billed seconds, None if no price is known."""
    price = capabilities.price_per_minute
    return None if price is None else price * Decimal(str(billed)) / 60


def seconds_of(
    use: StreamUsage, capabilities: Capabilities | None, now: datetime, *, since: datetime | None = None
) -> StreamSeconds:
    """What one stream has used until `now`, from `since` on. `capabilities` are its provider's; without them all open
    seconds count as billed.

    A step is billed to the time in which it begins. How speech lay in a stream that was open before `since` is not
    known: it is taken as even. One whose spoken seconds nobody has written down counts as silent.
    """
    until = use.closed_at or now
    whole = max(0.0, (until - use.created_at).total_seconds())
    before = 0.0 if since is None else min(whole, max(0.0, (since - use.created_at).total_seconds()))
    billed = _billed(capabilities, whole) - (_billed(capabilities, before) if before else 0.0)
    return StreamSeconds(whole - before, billed, (use.spoken_seconds or 0.0) * (1 - before / whole if whole else 1))


def sum_of(
    uses: Iterable[StreamUsage], capabilities: Capabilities | None, now: datetime, *, since: datetime | None = None
) -> StreamSeconds:
    """What several streams have used together; as `seconds_of`."""
    return sum((seconds_of(use, capabilities, now, since=since) for use in uses), StreamSeconds())


def _billed(capabilities: Capabilities | None, open_seconds: float) -> float:
    return open_seconds if capabilities is None else billed_seconds(capabilities, open_seconds)
