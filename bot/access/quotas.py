"""What may be used a day and at once, and how much of it has been used: the operator's brakes on cost.

A day is a UTC day. What counts is the time streams were open at the provider, from the rows of the streams, so it holds
over restarts. Decides; ending sessions and telling people is done by whoever asks.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal

from bot import sentences
from bot.core.errors import Refused
from bot.core.models import Channel, StreamUsage
from bot.core.ports import Clock
from bot.settings import Settings
from bot.store.store import Store

MINUTE = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's limits; None is no limit.

    workspace_sessions: sessions at once in a workspace. *_minutes: minutes of open streams a day.
    *_dollars: US dollars a day by the provider's price; without effect where no price is known.
    warn_at: the share of a day's limit at which the channel is warned, 0 to 1.
    """

    workspace_sessions: int | None = None
    channel_minutes: float | None = None
    workspace_minutes: float | None = None
    channel_dollars: Decimal | None = None
    workspace_dollars: Decimal | None = None
    warn_at: float = 0.8

    @property
    def watches_a_day(self) -> bool:
        """Whether anything has to be added up at all."""
        return any((self.channel_minutes, self.workspace_minutes, self.channel_dollars, self.workspace_dollars))


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds that streams were open today."""

    by_channel: Counter[Channel]
    by_workspace: Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LimitUsage:
    """How much of one limit is used: `used` 1.0 and more is all of it. `what` names the limit in words."""

    what: str
    used: float


def limits_of(settings: Settings) -> Limits:
    """The operator's limits."""
    return Limits(**{field.name: getattr(settings.limit, field.name) for field in fields(Limits)})


class Quotas:
    """The limits against what has been used."""

    def __init__(self, store: Store, clock: Clock, limits: Limits, price: Decimal | None) -> None:
        """`price`: US dollars a minute, None if nobody knows."""
        self._store = store
        self._clock = clock
        self._price = price
        self.limits = limits

    @property
    def price_unknown(self) -> bool:
        """Whether limits in dollars are set that have no effect, since nobody knows the provider's price."""
        return self._price is None and bool(self.limits.channel_dollars or self.limits.workspace_dollars)

    async def spent(self) -> Usage:
        """What has been used today, up to now. Raises `StoreError`."""
        now = self._clock.now()
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return _add_up(await self._store.streams.usage_since(day), day, now)

    def shares(self, channel: Channel, spent: Usage) -> Iterator[LimitUsage]:
        """How much of each of the day's limits is used that a channel falls under."""
        limits, place = self.limits, (channel.platform, channel.workspace)
        in_channel, in_workspace = spent.by_channel[channel] / MINUTE, spent.by_workspace[place] / MINUTE
        if limits.channel_minutes:
            yield LimitUsage(sentences.minutes_here(limits.channel_minutes), in_channel / limits.channel_minutes)
        if limits.workspace_minutes:
            yield LimitUsage(
                sentences.minutes_in_workspace(limits.workspace_minutes), in_workspace / limits.workspace_minutes
            )
        if self._price is None:
            return
        price = float(self._price)
        if limits.channel_dollars:
            yield LimitUsage(
                sentences.dollars_here(limits.channel_dollars), in_channel * price / float(limits.channel_dollars)
            )
        if limits.workspace_dollars:
            share = in_workspace * price / float(limits.workspace_dollars)
            yield LimitUsage(sentences.dollars_in_workspace(limits.workspace_dollars), share)

    async def check_quota(self, channel: Channel, occupied: Iterable[Channel]) -> None:
        """Raises `Refused` if no further session may be opened in a channel. `occupied`: channels with a session."""
        at_once = self.limits.workspace_sessions
        if at_once is not None:
            others = sum(
                (other.platform, other.workspace) == (channel.platform, channel.workspace) and other != channel
                for other in occupied
            )
            if others >= at_once:
                raise Refused(sentences.too_many_sessions(at_once), stage="limit")
        if not self.limits.watches_a_day:
            return
        for share in self.shares(channel, await self.spent()):
            if share.used >= 1.0:
                raise Refused(sentences.limit_reached(share.what), stage="limit")

    def cost(self, seconds: float) -> Decimal | None:
        """US dollars for an open stream, None if no price is known."""
        return None if self._price is None else self._price * Decimal(str(seconds)) / MINUTE


def _add_up(uses: Iterable[StreamUsage], day: datetime, now: datetime) -> Usage:
    spent = Usage(Counter(), Counter())
    for use in uses:
        seconds = max(0.0, ((use.closed_at or now) - max(use.created_at, day)).total_seconds())
        # Counters hold what can be added; whole seconds are fine enough for a limit of minutes.
        spent.by_channel[use.channel] += round(seconds)
        spent.by_workspace[use.channel.platform, use.channel.workspace] += round(seconds)
    return spent
