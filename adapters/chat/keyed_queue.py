"""Work in order, one queue for each key: what has the same key runs one after the other, different keys side by side.

What comes in of a channel and what goes out to it each have a queue, so neither overtakes itself. Knows no platform."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager

import structlog

from bot.core.tasks import TaskSet
from bot.core.unexpected import report_unexpected

log = structlog.get_logger(__name__)

MAX_QUEUED = 1000
"""Tasks that wait in one queue; a channel that is so far behind will not catch up."""

LONG_WORK = 1.0
"""Seconds after which work gives its room to others: it is waiting, for Slack's rate limit for example."""

Work = Callable[[], Awaitable[object]]


class KeyedTaskQueue:
    """Queues that exist while something waits in them. Work must not raise; what it raises is logged."""

    def __init__(
        self, name: str, *, at_once: int | None = None, max_queued: int = MAX_QUEUED, drops_oldest: bool = False
    ) -> None:
        """`name` is for the log. `at_once`: how many queues work at the same time; None sets no limit.

        drops_oldest: where `max_queued` wait, the oldest is left out and not the newest; not for a queue of turns.
        """
        self._name = name
        self._max_queued = max_queued
        self._drops_oldest = drops_oldest
        self._room = None if at_once is None else asyncio.Semaphore(at_once)
        self._waiting: dict[Hashable, deque[Work]] = {}
        self._slots: dict[Hashable, Callable[[], None]] = {}
        self._tasks = TaskSet()
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, key: Hashable, work: Work) -> bool:
        """Run `work` after everything that was put into the same queue before. Never waits. False: it is left out."""
        queue = self._waiting.get(key)
        if queue is None:
            queue = self._waiting[key] = deque()
            self._idle.clear()
            self._tasks.create_task(self._drain(key, queue), name=f"{self._name} {key}")
        if len(queue) >= self._max_queued:
            log.error("too much waits, so something is left out", queue=f"{self._name} {key}", waiting=len(queue))
            if not self._drops_oldest:
                return False
            queue.popleft()
        queue.append(work)
        return True

    def give_room(self, key: Hashable) -> None:
        """For work that only waits from now on, as for a commit: another queue may work meanwhile. What is behind it in
        its own queue waits on. Harmless where the work has no room any more."""
        if (give_back := self._slots.get(key)) is not None:
            give_back()

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """The caller's own turn in a queue: wait until it comes; what is behind it waits meanwhile.

        Raises `asyncio.QueueFull` if too much waits.
        """
        has_come, is_over = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            has_come.set()
            await is_over.wait()

        if not self.submit(key, wait):
            raise asyncio.QueueFull(f"too much waits in {self._name} {key}")
        try:
            await has_come.wait()
            yield
        finally:
            is_over.set()

    async def idle(self) -> None:
        """Wait until nothing waits or runs in any queue."""
        await self._idle.wait()

    async def close(self) -> None:
        """Cancel what still runs, forget what waits."""
        self._waiting.clear()
        await self._tasks.close()
        self._idle.set()

    async def _drain(self, key: Hashable, queue: deque[Work]) -> None:
        try:
            while queue:
                try:
                    async with self._slot(key):
                        await queue.popleft()()
                except Exception as error:  # noqa: BLE001 - the next piece of work must not wait behind this one forever
                    report_unexpected("work failed", error, queue=f"{self._name} {key}")
        finally:
            if self._waiting.get(key) is queue:
                del self._waiting[key]
            if not self._waiting:
                self._idle.set()

    @asynccontextmanager
    async def _slot(self, key: Hashable) -> AsyncIterator[None]:
        """Room to work in; it goes back when the work is done, says so, or takes long."""
        if (room := self._room) is None:
            yield
            return
        await room.acquire()
        is_ours = True

        def give_back() -> None:
            nonlocal is_ours
            if is_ours:
                is_ours = False
                room.release()

        self._slots[key] = give_back
        timer = asyncio.get_running_loop().call_later(LONG_WORK, give_back)
        try:
            yield
        finally:
            timer.cancel()
            del self._slots[key]
            give_back()
