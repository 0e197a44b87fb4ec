"""What came in for a session whose owner could not be reached: kept as rows, and handled by its next owner in order.

What has waited too long is not carried out: its opener is told so, and tells whose it was. Knows no platform: what a
parcel is, and what opens it, is said by who puts it.
"""

from collections.abc import Awaitable, Callable

import structlog

from bot.core.bus import Open
from bot.core.errors import StoreError
from bot.core.models import Channel
from bot.core.policy import LATE_AFTER
from bot.core.unexpected import report_unexpected
from bot.store.store import Store
from bot.telemetry import metrics

log = structlog.get_logger(__name__)


class SessionParcels:
    """The parcels of one process's sessions. on_kept: awaited with the channel of each that is on the disk."""

    def __init__(self, store: Store, late_after: float = LATE_AFTER) -> None:
        """late_after: seconds after which something that was kept comes too late."""
        self.on_kept: Callable[[Channel], Awaitable[None]] = _tell_nobody
        self._store = store
        self._late_after = late_after
        self._openers: dict[str, Open] = {}

    async def put(self, channel: Channel, kind: str, body: str) -> None:
        """Returns once it is on the disk. Raises `StoreError`."""
        await self._store.parcels.put(channel, kind, body)
        log.info("the owner of a session cannot be reached: what came in is kept for the next one", kind=kind)
        metrics.parked.inc()
        await self.on_kept(channel)

    def handle(self, kind: str, opener: Open) -> None:
        """Have parcels of this kind handled here."""
        self._openers[kind] = opener

    def unhandle(self, kind: str) -> None:
        """Let parcels of this kind wait."""
        self._openers.pop(kind, None)

    async def open_waiting(self, *, homeless: bool) -> None:
        """Handle what waits for sessions of this process. homeless: what waits in channels without a session as well:
        it ended before anybody took it up. Raises `StoreError`; what was handled is not handled again then."""
        if not self._openers:
            return
        for parcel in await self._store.parcels.waiting(homeless=homeless):
            opener = self._openers.get(parcel.kind)
            if opener is None:
                continue
            try:
                await opener(parcel.body, parcel.age if parcel.age >= self._late_after else None)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - it would fail again and again, and hold up all behind it
                report_unexpected("what was kept for a session could not be handled", error, kind=parcel.kind)
            await self._store.parcels.forget(parcel.id)


async def _tell_nobody(_: Channel) -> None:
    """There is nobody else."""
