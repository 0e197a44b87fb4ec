"""An owner of tasks that can also wait until they have ended by themselves, for what must still be shown at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from bot.tasks import TaskOwner


class DrainableTasks(TaskOwner):
    """A `TaskOwner` that says when nothing is left."""

    def __init__(self) -> None:
        super().__init__()
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` as a task named `name` that this owner keeps."""
        self._idle.clear()
        return super().start(work, name=name)

    async def drained(self) -> None:
        """Wait until every task has ended."""
        await self._idle.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        super()._ended(task)
        if not len(self):
            self._idle.set()
