"""What is urgent goes first: a message on its way to the provider before the files of a picture, which may be some
milliseconds late without anybody noticing.

Both need the one event loop. A hundred viewers ask for 200 files a second; without precedence the slowest messages wait
for several of them (docs/watching.md has the figures). What gives way waits for `PATIENCE` at most, so that nothing
stops where something is always urgent.
"""

import asyncio
from contextlib import AbstractContextManager

from bot.core.block_count import BlockCount
from bot.core.ports import Clock

PATIENCE = 0.025
"""Seconds for which something gives way."""

CROWD = 8
"""Messages that are being taken in at once from which on a process has more to do than it can: one takes some 3 ms. At
100 messages a second one look in a hundred finds so many (measured), at 32 channels that never rest four in five do."""


class Precedence:
    """Who goes first in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._urgent = BlockCount(on_none=self._let_go_on)
        self._waiting: set[asyncio.Future[None]] = set()

    def urgent(self) -> AbstractContextManager[None]:
        """Have others give way while the block runs."""
        return self._urgent

    @property
    def is_crowded(self) -> bool:
        """Whether so much is urgent (`CROWD`) that what can be left out, or put off, is."""
        return self._urgent.value >= CROWD

    async def give_way(self) -> None:
        """Wait until nothing is urgent, or for `PATIENCE`."""
        if not self._urgent.value:
            return
        waiting = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(PATIENCE, lambda: _end(waiting))
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            self._waiting.discard(waiting)
            timer.cancel()

    def _let_go_on(self) -> None:
        for waiting in self._waiting:
            _end(waiting)


def _end(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
