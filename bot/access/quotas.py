"""What may be used a day and at once, and how much of it has been used: the operator's brakes on cost.

A day is a UTC day. What counts is the time streams were open at the provider, from the rows of the streams, so it holds
over restarts: minutes are minutes open, dollars are for what is billed of them. Decides; ending sessions and telling
people is done by whoever asks.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC
from decimal import Decimal

from bot import sentences
from bot.core.billing import StreamSeconds, cost_of, seconds_of
from bot.core.errors import Refused
from bot.core.models import Channel
from bot.core.ports import Capabilities, Clock
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
    """What streams have used today. has_unheard: some are open, and what they have said is not known here."""

    by_channel: Mapping[Channel, StreamSeconds]
    by_workspace: Mapping[tuple[str, str], StreamSeconds]
    has_unheard: bool = False


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

    def __init__(self, store: Store, clock: Clock, limits: Limits, capabilities: Capabilities | None) -> None:
        """`capabilities` are the provider's, by which all streams of the day are billed, also those of one that was
        chosen earlier; None if it cannot be asked."""
        self._store = store
        self._clock = clock
        self._capabilities = capabilities
        self.limits = limits

    @property
    def price_unknown(self) -> bool:
        """Whether limits in dollars are set that have no effect, since nobody knows the provider's price."""
        return self.cost(0.0) is None and bool(self.limits.channel_dollars or self.limits.workspace_dollars)

    async def spent(self, spoken: Mapping[str, float] | None = None) -> Usage:
        """What has been used today, up to now. `spoken`: seconds of speech in the streams that are open now, by their
        ids, where the caller knows. Raises `StoreError`."""
        now = self._clock.now()
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        by_channel: dict[Channel, StreamSeconds] = defaultdict(StreamSeconds)
        by_workspace: dict[tuple[str, str], StreamSeconds] = defaultdict(StreamSeconds)
        spoken, has_unheard = spoken or {}, False
        for use in await self._store.streams.usage_since(day):
            has_unheard |= use.closed_at is None and use.stream_id not in spoken
            told = replace(use, spoken_seconds=spoken.get(use.stream_id, use.spoken_seconds))
            seconds = seconds_of(told, self._capabilities, now, since=day)
            by_channel[use.channel] += seconds
            by_workspace[use.channel.platform, use.channel.workspace] += seconds
        return Usage(by_channel, by_workspace, has_unheard)

    def shares(self, channel: Channel, spent: Usage) -> Iterator[LimitUsage]:
        """How much of each of the day's limits is used that a channel falls under."""
        limits, place = self.limits, (channel.platform, channel.workspace)
        here = spent.by_channel.get(channel, StreamSeconds())
        in_workspace = spent.by_workspace.get(place, StreamSeconds())
        if limits.channel_minutes:
            used = here.open / MINUTE / limits.channel_minutes
            yield LimitUsage(sentences.minutes_here(limits.channel_minutes), used)
        if limits.workspace_minutes:
            used = in_workspace.open / MINUTE / limits.workspace_minutes
            yield LimitUsage(sentences.minutes_in_workspace(limits.workspace_minutes), used)
        if limits.channel_dollars and (cost := self.cost(here.billed)) is not None:
            yield LimitUsage(sentences.dollars_here(limits.channel_dollars), float(cost / limits.channel_dollars))
        if limits.workspace_dollars and (cost := self.cost(in_workspace.billed)) is not None:
            used = float(cost / limits.workspace_dollars)
            yield LimitUsage(sentences.dollars_in_workspace(limits.workspace_dollars), used)

    async def check_day(self, channel: Channel) -> None:
        """Raises `Refused` if one of the day's limits leaves nothing for a channel."""
        if not self.limits.watches_a_day:
            return
        for share in self.shares(channel, await self.spent()):
            if share.used >= 1.0:
                raise Refused(sentences.limit_reached(share.what), stage="limit")

    def cost(self, billed: float) -> Decimal | None:
        """US dollars for so many billed seconds, None if no price is known."""
        return None if self._capabilities is None else cost_of(self._capabilities, billed)
