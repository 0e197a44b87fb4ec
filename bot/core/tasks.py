"""An owner for tasks whose number is not known beforehand, one that outlives the failure of any of them.

`asyncio.TaskGroup` ends all its tasks when one fails; a session that breaks must not take the others with it. Every
task started here is awaited by `close`, and a failure is logged where it happens. None is started again: what must go
on is under `bot.supervision`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bot.core.ports import Clock, Timer
from bot.core.unexpected import report_unexpected

ROUNDING = 0.001
"""Seconds a timer may ring early: adding and subtracting floats is not exact, and a look must not follow itself at
once."""


class NamedTimers:
    """The timers of one owner, who stops them when it ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: dict[str, Timer] = {}

    def start(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` in `seconds`, instead of what `name` was to call until now."""
        self.cancel(name)
        self._timers[name] = self._clock.call_later(max(0.0, seconds), then)

    def cancel(self, name: str) -> None:
        """Call nothing for `name`; harmless where nothing was to be called."""
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def stop(self) -> None:
        """Call nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


class TaskSet:
    """Starts tasks, keeps them, and sees them end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def create_task(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` as a task named `name` that this owner keeps."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drained(self) -> None:
        """Wait until every task has ended by itself, those included that are started meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        running = [task for task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            report_unexpected("task failed", error, task=task.get_name())


async def cancel_and_wait(task: asyncio.Task[object] | None, *, again_after: float | None = None) -> None:
    """Cancel a task and wait until it has ended; its own failure has been logged by its owner.

    again_after: seconds after which the cancellation is repeated. For the task of a library that may swallow one, as
    `asyncio.wait_for` of Python 3.11 does where its call ends in the same moment (measured with discord.py's shards).
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=again_after)
