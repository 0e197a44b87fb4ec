"""A bound on a wait, on the injected clock: `asyncio.timeout` knows only the machine's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.core.ports import Clock


@asynccontextmanager
async def time_limit(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Cancel what is waited for in the block after `seconds` of `clock`. Raises `TimeoutError` then, as
    `asyncio.timeout` does."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer = clock.call_later(max(0.0, seconds), lambda: limit.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
