"""What every simulated stream has in common, and the one place that knows them all.

A stream owns one timer at most. A deadline that moves further away does not touch the timer: it rings at the old
moment, finds nothing to do and sets itself again, so that a busy stream costs no timer work per task.
"""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from adapters.simulator.options import Price
from adapters.simulator.speech.timeline import Fate, Timeline
from adapters.simulator.wire import JsonObject
from bot.core.ports import Clock, Timer

_TOLERANCE = 1e-6
"""Seconds; a timer may ring this much early, because adding and subtracting floats is not exact."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """One text of a stream. `state` is queued, speaking, spoken, interrupted or dropped; times are UTC epoch seconds,
    None before the audio runs."""

    id: str
    kind: str
    asked: str
    text: str
    state: str
    starts_at: float | None
    ends_at: float | None


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream as the control shows it. `seconds` is how long it was or is open, `billed_seconds` what is charged for
    that; `ended` says why it is over; `request` is the body it was opened with."""

    id: str
    api: str
    state: str
    opened_at: datetime
    seconds: float
    billed_seconds: int
    dollars: Decimal
    avatar: str
    voice: str
    spoken: tuple[SpokenText, ...]
    ended: str | None
    request: JsonObject


class LiveStream(ABC):
    """One stream of any API, from create to end."""

    def __init__(self, id: str, api: str, price: Price, clock: Clock, avatar: str, voice: str) -> None:  # noqa: A002 - the field's word
        self.id = id
        self.api = api
        self.avatar = avatar
        self.voice = voice
        self.price = price
        self.clock = clock
        self.opened_at = clock.monotonic()
        self.opened_utc = clock.now()
        self.audio_from: float | None = None
        """When its audio began, on the clock; None before that."""
        self.audio_from_utc: datetime | None = None
        self.ended_at: float | None = None
        self.ended_utc: datetime | None = None
        self.ended: str | None = None
        self.request: JsonObject = {}
        """The body it was opened with, as it came."""
        self.timeline = Timeline()
        self.on_end: Callable[[LiveStream], None] | None = None
        self._timer: Timer | None = None
        self._timer_at = math.inf
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    @abstractmethod
    def state(self) -> str:
        """Its state, in the words of its API."""

    @abstractmethod
    def deadline(self) -> float:
        """When something happens by itself, on the clock."""

    @abstractmethod
    def reach_deadline(self) -> None:
        """Do what is due now. Must move the deadline or end the stream."""

    @abstractmethod
    def fail(self, message: str) -> None:
        """The service ends the stream with an error."""

    @abstractmethod
    def watched(self) -> None:
        """Somebody fetched the playlist."""

    @property
    def is_open(self) -> bool:
        """Whether it still costs money and holds a slot."""
        return self.ended_at is None

    @property
    def position(self) -> float:
        """Seconds of audio so far; below 0 never, 0 before the audio runs."""
        if self.audio_from is None:
            return 0.0
        until = self.clock.monotonic() if self.ended_at is None else self.ended_at
        return until - self.audio_from

    @property
    def seconds(self) -> float:
        """How long it has been open."""
        return (self.clock.monotonic() if self.ended_at is None else self.ended_at) - self.opened_at

    @property
    def billed_seconds(self) -> int:
        """What is charged for it so far, seconds: started steps, after the minimum."""
        return self.price.charged(self.seconds)

    @property
    def dollars(self) -> Decimal:
        """What it costs so far."""
        return self.price.per_second * self.billed_seconds

    def start_audio(self) -> None:
        """Its audio and video run from now on."""
        self.audio_from = self.clock.monotonic()
        self.audio_from_utc = self.clock.now()

    def arm(self) -> None:
        """See to it that the next deadline is met."""
        if not self.is_open:
            self._disarm()
            return
        due = self.deadline()
        if due >= self._timer_at:
            return
        self._disarm()
        self._timer_at = due
        self._timer = self.clock.call_later(max(0.0, due - self.clock.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_at = None, math.inf
        while self.is_open and self.deadline() - self.clock.monotonic() <= _TOLERANCE:
            self.reach_deadline()
        self.arm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, math.inf

    def end(self, why: str) -> None:
        """It is over: what it was saying is cut, and everyone who waits on it is told."""
        if not self.is_open:
            return
        self.timeline.cut(self.position)
        self.ended_at = self.clock.monotonic()
        self.ended_utc = self.clock.now()
        self.ended = why
        self._disarm()
        if self.on_end is not None:
            self.on_end(self)
        self.tell()

    def tell(self) -> None:
        """Wake everyone who waits for a change."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def change(self, seconds: float = math.inf) -> None:
        """Wait for a change, at most `seconds`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = None
        if seconds != math.inf:
            timer = self.clock.call_later(seconds, lambda: None if waiter.done() else waiter.set_result(None))
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()

    def view(self) -> StreamView:
        """The stream as the control shows it."""
        return StreamView(
            self.id, self.api, self.state, self.opened_utc, self.seconds, self.billed_seconds, self.dollars,
            self.avatar, self.voice, tuple(self._spoken()), self.ended, self.request,
        )  # fmt: skip

    def _spoken(self) -> Iterator[SpokenText]:
        zero = self.audio_from_utc.timestamp() if self.audio_from_utc is not None else None
        for speech in self.timeline.speeches:
            if speech.fate is not Fate.SAID:
                state = speech.fate.value
            elif zero is None or self.position < speech.start:
                state = "queued"
            else:
                state = "spoken" if self.position >= speech.end - _TOLERANCE else "speaking"
            times = (None, None) if zero is None else (zero + speech.start, zero + speech.end)
            yield SpokenText(speech.id, speech.kind, speech.asked, speech.text, state, *times)


@dataclass(slots=True)
class Tally:
    """What the streams of one API came to: how many were opened, how many at once, the sums of those that are over."""

    opened: int = 0
    peak: int = 0
    seconds: float = 0.0
    billed_seconds: int = 0
    dollars: Decimal = Decimal(0)


class Streams:
    """Every stream of the server. Open ones are never forgotten, ended ones only when there are very many."""

    def __init__(self, kept_closed: int) -> None:
        self._kept_closed = kept_closed
        self._all: dict[str, LiveStream] = {}
        self._open: dict[str, dict[str, LiveStream]] = {}
        self._closed: dict[str, None] = {}
        self.tallies: dict[str, Tally] = {}

    def __iter__(self) -> Iterator[LiveStream]:
        return iter(list(self._all.values()))

    def get(self, id: str) -> LiveStream | None:  # noqa: A002 - the field's word
        """The stream of this id, open or over."""
        return self._all.get(id)

    def add(self, stream: LiveStream) -> None:
        """A new stream, open."""
        self._all[stream.id] = stream
        of_api = self._open.setdefault(stream.api, {})
        of_api[stream.id] = stream
        stream.on_end = self._over
        tally = self.tallies.setdefault(stream.api, Tally())
        tally.opened += 1
        tally.peak = max(tally.peak, len(of_api))

    def count_open(self, api: str) -> int:
        """How many streams of one API are open."""
        return len(self._open.get(api, ()))

    def open_of(self, api: str) -> Sequence[LiveStream]:
        """The open streams of one API, the oldest first."""
        return tuple(self._open.get(api, {}).values())

    def _over(self, stream: LiveStream) -> None:
        del self._open[stream.api][stream.id]
        tally = self.tallies[stream.api]
        tally.seconds += stream.seconds
        tally.billed_seconds += stream.billed_seconds
        tally.dollars += stream.dollars
        self._closed[stream.id] = None
        while len(self._closed) > self._kept_closed:
            oldest = next(iter(self._closed))
            del self._closed[oldest], self._all[oldest]
