"""The event loop that the program runs on, and its benchmarks: uvloop, where it exists.

Nothing else may make a loop; nothing here knows what runs on it.
"""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` in a loop of its own, as `asyncio.run` does.

    On uvloop a message takes about a fifth less processor time than on asyncio's own loop (`make bench`, in
    docs/architecture.md). It does not exist on Windows.
    """
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop  # there is none on Windows

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
