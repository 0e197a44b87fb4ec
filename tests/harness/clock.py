"""A clock that stands still until a test moves it, and what can happen to the clock of a machine: somebody sets it, the
machine is suspended, one process on it is stopped.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
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

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self._elapsed + max(0.0, seconds), next(self._order), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: done.done() or done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

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
            if timer.callback is not None:
                timer.callback()
        return True

    async def advance(self, seconds: float) -> None:
        """Move time, running every timer on its moment, and let the loop settle after each."""
        target = self._elapsed + seconds
        await settle()
        while self._timers and self._timers[0][0] <= target:
            when, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, when)
            if timer.callback is not None:
                timer.callback()
                await settle()
        self._elapsed = target
        await settle()


class _Elsewhere:
    """A timer on another machine; `due` is on that machine's clock."""

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback
        self.here: _Timer | None = None

    def cancel(self) -> None:
        self.callback = None
        if self.here is not None:
            self.here.cancel()


class ClockElsewhere:
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

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Elsewhere:
        timer = _Elsewhere(self.monotonic() + max(0.0, seconds), callback)
        self._timers = [other for other in self._timers if other.callback is not None]
        self._timers.append(timer)
        self._set(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: done.done() or done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    async def suspend_host(self, seconds: float) -> None:
        """Suspend the machine of `host`: its timers and its monotonic time stand still, as on Linux; when it wakes up
        its time of day is right."""
        until = self.monotonic() + seconds
        while due := [timer for timer in self._timers if timer.callback is not None and timer.due <= until]:
            first = min(due, key=lambda timer: timer.due)
            self._slept = max(self._slept, first.due - self._host.monotonic())
            self._run(first)
            await settle()
        self._slept = until - self._host.monotonic()
        self._host.suspend(seconds)
        for timer in self._timers:
            self._set(timer)

    def _set(self, timer: _Elsewhere) -> None:
        if timer.here is not None:
            timer.here.cancel()
        if timer.callback is not None:
            timer.here = self._host.call_later(timer.due - self.monotonic(), lambda: self._run(timer))

    @staticmethod
    def _run(timer: _Elsewhere) -> None:
        callback = timer.callback
        timer.cancel()
        if callback is not None:
            callback()


class _Stoppable:
    """A timer of a process that may be stopped when it is due."""

    def __init__(self, clock: "ProcessClock", callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback: Callable[[], None] | None = callback
        self.here: _Timer | None = None

    def cancel(self) -> None:
        self._callback = None
        if self.here is not None:
            self.here.cancel()

    def ring(self) -> None:
        if self._clock.is_stopped:
            self._clock.missed.append(self)
        elif (callback := self._callback) is not None:
            self._callback = None
            callback()


class ProcessClock:
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

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Stoppable:
        late = -(self.monotonic() + seconds) % self._grid if self._grid else 0.0
        timer = _Stoppable(self, callback)
        timer.here = self._host.call_later(seconds + late, timer.ring)
        return timer

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: done.done() or done.set_result(None))
        try:
            await done
        finally:
            timer.cancel()

    def go_on(self) -> None:
        self.is_stopped = False
        missed, self.missed = self.missed, []
        for timer in missed:
            timer.ring()


async def settle(rounds: int = 20) -> None:
    """Give everything that is ready to run in the loop its turns. I/O needs `eventually` instead."""
    for _ in range(rounds):
        await asyncio.sleep(0)
