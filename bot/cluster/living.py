"""Which processes live, for who is none of them, or has just joined: looks at their beats for a moment.

Who may end one that does not is decided in `bot.cluster.membership`.
"""

from bot.cluster.membership import POLL_EVERY
from bot.core.ports import Clock
from bot.store.processes import Process, ProcessRows
from bot.store.url import parse_url

WATCH_FOR = 3.0
"""Seconds within which a process that lives has beaten."""


async def living(url: str, clock: Clock) -> list[Process]:
    """The processes at the database of `url` that beat, on PostgreSQL: looks at them until all have, or for
    `WATCH_FOR`. Raises `StoreError`."""
    rows = ProcessRows(parse_url(url))
    try:
        first = {process.id: process.beat for process in await rows.everybody()}
        until = clock.monotonic() + WATCH_FOR
        while True:
            now = await rows.everybody() if first else []
            beating = [process for process in now if first.get(process.id) != process.beat]
            if len(beating) == len(now) or clock.monotonic() >= until:
                return beating
            await clock.sleep(POLL_EVERY)
    finally:
        await rows.close()
