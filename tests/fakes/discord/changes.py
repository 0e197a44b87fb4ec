"""Waiting for a condition without polling: looked at again after every change. It may not know what changes."""

import asyncio
from collections.abc import Callable


class Changes:
    """Tells waiting tests that something may have changed."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def tell(self) -> None:
        """Wakes everybody who waits for a condition."""
        for event in self._waiting:
            event.set()

    async def until(self, condition: Callable[[], object], *, timeout: float) -> None:
        """Returns when the condition holds. Raises AssertionError after `timeout` seconds."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    event.clear()
                    await event.wait()
        except TimeoutError:
            raise AssertionError(f"did not become true within {timeout} s: {_where(condition)}") from None
        finally:
            self._waiting.discard(event)


def _where(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(condition)
