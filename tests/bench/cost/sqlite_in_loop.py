"""SQLite without aiosqlite's thread: a statement is executed where it is asked for, as nothing else is to be done
meanwhile. Of a replay, which waits for every statement, handing over to a thread and back is a third.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

from aiosqlite import core

Work = tuple[asyncio.Future[Any] | None, Callable[[], Any]]


class _AtOnce:
    """Stands for the queue to the thread."""

    def put_nowait(self, work: Work) -> None:
        future, call = work
        try:
            result = call()
        except (sqlite3.Error, ValueError) as error:
            if future is not None:
                future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class _NoThread:
    """Stands for the thread."""

    def __init__(self, **_: object) -> None:
        """Whatever it was to do is done by then."""

    def start(self) -> None:
        """Nothing is left to start."""


def execute_in_loop() -> None:
    """Have every connection that is opened from now on do without a thread."""
    driver: Any = core
    driver.SimpleQueue, driver.Thread = _AtOnce, _NoThread
