"""A clock that stands still until a test moves it, and what can happen to the clock of a machine: somebody sets it, the
machine is suspended, one process on it is stopped.
"""

import asyncio
import heapq
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class _Timer:
    """callback: None once it has rung, or was cancelled."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def ring(self) -> bool:
        """Whether there was still something to call."""
        callback = self.callback
        self.cancel()
        if callback is not None:
            callback()
        return callback is not None


class _HostedTimer(_Timer):
    """A timer that one of the host's rings, which is `here`."""

    here: _Timer | None = None

    def cancel(self) -> None:
        super().cancel()
        if self.here is not None:
            self.here.cancel()


class _Sleeping(ABC):
    """What a clock makes of its timers."""

    @abstractmethod
    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Timer: ...

    async def sleep(self, seconds: float) -> None:
        is_over = asyncio.Event()
        timer = self.call_later(seconds, is_over.set)
        try:
            await is_over.wait()
        finally:
            timer.cancel()


class ManualClock(_Sleeping):
    """`bot.core.ports.Clock` for tests: time moves only by `advance`."""

    def __init__(self, start: datetime = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._set_by = timedelta()
        self._suspended = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _Timer]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed) + self._set_by

    def monotonic(self) -> float:
        return self._elapsed

    def uptime(self) -> float:
        return self._elapsed + self._suspended

    def suspend(self, seconds: float) -> None:
        """Suspend the machine: no timer runs, and nothing but the uptime and the time of day goes on."""
        self._suspended += seconds
        self.jump(seconds)

    @property
    def due(self) -> list[float]:
        """When the timers that wait are due, by `monotonic`, the next one first."""
        return sorted(when for when, _, timer in self._timers if timer.callback is not None)

    def jump(self, seconds: float) -> None:
        """Set the time of day, by a person or by NTP: no time passes, and no timer runs."""
        self._set_by += timedelta(seconds=seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self._elapsed + max(0.0, seconds), next(self._order), timer))
        return timer

    def jump_to_next(self, until: float) -> bool:
        """Move time to the next moment at which a timer is due, and run what is due then; for who lets the loop settle
        by other means. Where nothing is due by `until`, on the clock, time moves there, and the answer is False."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers or self._timers[0][0] > until:
            self._elapsed = max(self._elapsed, until)
            return False
        when = self._timers[0][0]
        self._elapsed = max(self._elapsed, when)
        due: list[_Timer] = []
        while self._timers and self._timers[0][0] <= when:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:
            timer.ring()
        return True

    async def advance(self, seconds: float) -> None:
        """Move time, running every timer on its moment, and let the loop settle after each."""
        target = self._elapsed + seconds
        await settle()
        while self._timers and self._timers[0][0] <= target:
            when, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, when)
            if timer.ring():
                await settle()
        self._elapsed = target
        await settle()


class _Elsewhere(_HostedTimer):
    """A timer on another machine; `due` is on that machine's clock."""

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        super().__init__(callback)
        self.due = due


class ClockElsewhere(_Sleeping):
    """The right clock of another machine. It passes with `host`, whatever the time of day is set to there, and goes on
    while the machine of `host` is suspended.
    """

    def __init__(self, host: ManualClock) -> None:
        self._host = host
        self._start = host.now() - timedelta(seconds=host.monotonic())
        self._slept = 0.0
        self._timers: list[_Elsewhere] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return self._host.monotonic() + self._slept

    def uptime(self) -> float:
        return self.monotonic()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Elsewhere:
        timer = _Elsewhere(self.monotonic() + max(0.0, seconds), callback)
        self._timers = [other for other in self._timers if other.callback is not None]
        self._timers.append(timer)
        self._set(timer)
        return timer

    async def suspend_host(self, seconds: float) -> None:
        """Suspend the machine of `host`: its timers and its monotonic time stand still, as on Linux; when it wakes up
        its time of day is right."""
        until = self.monotonic() + seconds
        while due := [timer for timer in self._timers if timer.callback is not None and timer.due <= until]:
            first = min(due, key=lambda timer: timer.due)
            self._slept = max(self._slept, first.due - self._host.monotonic())
            first.ring()
            await settle()
        self._slept = until - self._host.monotonic()
        self._host.suspend(seconds)
        for timer in self._timers:
            self._set(timer)

    def _set(self, timer: _Elsewhere) -> None:
        if timer.here is not None:
            timer.here.cancel()
        if timer.callback is not None:
            timer.here = self._host.call_later(timer.due - self.monotonic(), timer.ring)


class _Stoppable(_HostedTimer):
    """A timer of a process that may be stopped when it is due."""

    def __init__(self, clock: "ProcessClock", callback: Callable[[], object]) -> None:
        super().__init__(callback)
        self._clock = clock

    def ring(self) -> bool:
        if self._clock.is_stopped:
            self._clock.missed.append(self)
            return False
        return super().ring()


class ProcessClock(_Sleeping):
    """The machine's clock as a process has it: while that is stopped time passes, and nothing of it runs."""

    def __init__(self, host: ManualClock, *, grid: float = 0.0) -> None:
        """grid: seconds; timers ring only at multiples of it, so that many ring together and a test has fewer moments
        to look at."""
        self._host = host
        self._grid = grid
        self.is_stopped = False
        self.missed: list[_Stoppable] = []

    def now(self) -> datetime:
        return self._host.now()

    def monotonic(self) -> float:
        return self._host.monotonic()

    def uptime(self) -> float:
        return self._host.uptime()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Stoppable:
        late = -(self.monotonic() + seconds) % self._grid if self._grid else 0.0
        timer = _Stoppable(self, callback)
        timer.here = self._host.call_later(seconds + late, timer.ring)
        return timer

    def go_on(self) -> None:
        self.is_stopped = False
        missed, self.missed = self.missed, []
        for timer in missed:
            timer.ring()


async def settle(rounds: int = 20) -> None:
    """Give everything that is ready to run in the loop its turns. I/O needs `eventually` instead."""
    for _ in range(rounds):
        await asyncio.sleep(0)
