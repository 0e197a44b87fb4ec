"""Work for one task, which does it in the order it came: only that task touches what the work is about, so nothing
there needs a lock. Knows nothing of the work; the task decides when it stops.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVarTuple

from bot.core.ports import Clock
from bot.core.tasks import NamedTimers

Args = TypeVarTuple("Args")


class Mailbox:
    """The mailbox of one task.

    idle: the task sets it where nothing is left to do; whatever comes in clears it at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._timers = NamedTimers(clock)
        self._work: deque[Callable[[], Awaitable[None]]] = deque()
        self._woken = asyncio.Event()
        self.idle = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that the task has not looked at."""
        return not self._woken.is_set()

    def post(self, work: Callable[[*Args], Awaitable[None]], *args: *Args) -> None:
        """Have the task do `work`, after everything posted before."""
        self._work.append(partial(work, *args))
        self.wake()

    def wake(self) -> None:
        """Have the task look around, although there is nothing to do for it by name."""
        self.idle.clear()
        self._woken.set()

    def call_later(self, name: str, seconds: float, work: Callable[[*Args], Awaitable[None]], *args: *Args) -> None:
        """Post `work` in `seconds`, instead of what `name` was to post until now."""
        self._timers.start(name, seconds, partial(self.post, work, *args))

    def wake_later(self, name: str, seconds: float) -> None:
        """Wake the task in `seconds`, instead of what `name` was to do until now."""
        self._timers.start(name, seconds, self.wake)

    def cancel(self, name: str) -> None:
        """Post nothing for `name`; harmless where nothing was to be posted."""
        self._timers.cancel(name)

    def stop_timers(self) -> None:
        """Post nothing by time from now on; what was posted stays."""
        self._timers.stop()

    async def serve(self) -> None:
        """Wait until something comes in, and do all there is. For the task; raises what the work raises, and what was
        posted behind that stays."""
        await self._woken.wait()
        self._woken.clear()
        while self._work:
            await self._work.popleft()()
