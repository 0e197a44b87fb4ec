"""Time and news inside the local Slack: a clock that a test can push forward, and waiting without polling."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


class Clock:
    """Seconds since the twin was made, real ones plus those a test has passed by; rings whenever something changes."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._passed = 0.0
        self._waiting: set[asyncio.Future[None]] = set()

    def now(self) -> float:
        return time.monotonic() - self._start + self._passed

    def pass_by(self, seconds: float) -> None:
        self._passed += seconds
        self.ring()

    def ring(self) -> None:
        """Something changed: whoever waits looks again."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(
        self, condition: Callable[[], Seen], deadline: float | None, *, glance: float | None = None
    ) -> Seen:
        """Wait for `condition` to give something true, and return it; what it gave last once `deadline` (in this
        clock's seconds) has passed. `glance`: look after so many seconds although nothing changed here."""
        while True:
            seen = condition()
            left = None if deadline is None else deadline - self.now()
            if seen or (left is not None and left <= 0):
                return seen
            await self._change(min((s for s in (left, glance) if s is not None), default=None))

    async def sleep(self, seconds: float) -> None:
        await self.until(lambda: False, self.now() + seconds)

    async def _change(self, timeout: float | None) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait([future], timeout=timeout)
        finally:
            self._waiting.discard(future)
