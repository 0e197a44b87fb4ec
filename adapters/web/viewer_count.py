"""How many watch, as each page is told: at once when it comes, and then when the number is different. Who they are no
page is told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from adapters.web.protocol import ViewersMessage
from bot.core.audience import Audience
from bot.core.ports import Clock

INTERVAL = 1.0
"""Seconds between two messages to a page: a reload is no news, and a hundred who come at once are one."""


async def send_viewer_count(
    audience: Audience, clock: Clock, write: Callable[[Sequence[ViewersMessage]], Awaitable[None]]
) -> None:
    """Keep a page told, until cancelled."""
    changed = asyncio.Event()
    told: int | None = None
    with audience.follow(changed.set):
        while True:
            changed.clear()
            if told != audience.size:
                told = audience.size
                await write([ViewersMessage(count=told)])
            await changed.wait()
            await clock.sleep(INTERVAL)
