"""What `/readyz` says: which parts of the program work, and why the others do not, in words that anybody may read.

Starts nothing again; that is done by `bot.supervision`.
"""

from collections.abc import Mapping, Sequence

import structlog

from bot.cluster.membership import Membership
from bot.core.bus import Bus
from bot.core.errors import StoreError
from bot.platforms import Platforms
from bot.sessions.jobs import PeriodicJobs
from bot.store.store import Store
from bot.supervision import Supervised

log = structlog.get_logger(__name__)


class Readiness:
    """How the parts of one running bot are doing."""

    def __init__(
        self,
        store: Store,
        membership: Membership,
        platforms: Platforms,
        jobs: PeriodicJobs,
        bus: Bus,
        parts: Sequence[Supervised],
    ) -> None:
        self._store = store
        self._membership = membership
        self._platforms = platforms
        self._jobs = jobs
        self._bus = bus
        self._parts = parts

    async def look(self) -> Mapping[str, str | None]:
        """Why each part does not work, by its name; None for one that does."""
        try:
            await self._store.check()
        except StoreError as error:
            # Anybody may ask: the log names the database, the answer does not.
            log.error("the database is not ready", error=str(error))
            return {"database": "cannot be reached or written"}
        return {
            "database": self._membership.unhealthy_reason,
            **self._platforms.unhealthy_reasons,
            **self._failing_parts(),
        }

    def _failing_parts(self) -> dict[str, str]:
        """Parts that are not told of while they work. Without the catalogue everything works but the choice."""
        troubles = {part.part: part.unhealthy_reason for part in self._parts if part.part != "catalogue"}
        troubles |= {
            "sweeper": troubles["sweeper"] or self._jobs.unhealthy_reason,
            "bus": self._bus.unhealthy_reason,
        }
        return {part: trouble for part, trouble in troubles.items() if trouble is not None}
