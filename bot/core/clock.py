"""The clocks of a running program. Tests bring their own; nobody else calls `time` or `asyncio.sleep`."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bot.core.ports import Timer


class SystemClock:
    """The machine's clock, optionally faster.

    `speed` is how many seconds pass per second of the machine: the simulator and the benchmarks run the same code
    through hours in minutes. 1 is real time.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("the speed of a clock is above 0")
        self.speed = speed
        self._wall_start = datetime.now(UTC)
        self._start = time.monotonic()
        self._up_since = _uptime()

    def now(self) -> datetime:
        """The time of day, UTC; at another speed it runs away from the wall clock from the start of the program."""
        if self.speed == 1.0:
            return datetime.now(UTC)
        return self._wall_start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return (time.monotonic() - self._start) * self.speed

    def uptime(self) -> float:
        """Seconds since this clock was made, those included in which the machine was suspended (on Linux)."""
        return (_uptime() - self._up_since) * self.speed

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` in the running event loop after `seconds` of this clock."""
        return asyncio.get_running_loop().call_later(seconds / self.speed, callback)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock."""
        await asyncio.sleep(seconds / self.speed)


def _uptime() -> float:
    # `time.monotonic` stands still while Linux is suspended. Elsewhere there is no such clock, or it goes on anyway.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
