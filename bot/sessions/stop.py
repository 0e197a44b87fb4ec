"""The end of a session: asked for from anywhere, once; the session's task is cut short by it and goes on to close.

Knows only reasons and the task; closing is the work of whoever owns it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bot.core.models import EndReason


class StopScope:
    """Why a session ends. The first reason counts."""

    def __init__(self) -> None:
        self._why: tuple[EndReason, str | None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._why is not None

    @property
    def why(self) -> tuple[EndReason, str | None]:
        """The reason, and what there is to say about it."""
        return self._why or (EndReason.FAILED, None)

    def request(self, reason: EndReason, detail: str | None = None) -> None:
        """End the session: the work under `scope` is cancelled. Returns at once."""
        if self._why is None:
            self._why = (reason, detail)
            if self._task is not None:
                self._task.cancel()

    def note_failure(self, detail: str) -> None:
        """The session's task has failed, so that nothing is left to cancel."""
        self._why = self._why or (EndReason.FAILED, detail)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Leaves the block when the end is asked for. Any other cancellation goes through, also one that comes while
        the block is being left."""
        task = self._task = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if task is None or self._why is None or task.cancelling() > 1:
                raise
            task.uncancel()
