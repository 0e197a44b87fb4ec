"""The cluster of a process that is alone with its database: a SQLite file, or whatever has no members."""

from collections.abc import Sequence

from bot.cluster.directory import AllHere
from bot.cluster.loop_back import LoopBack
from bot.cluster.parcels import SessionParcels
from bot.core.bus import Claimed, Cluster, Ended, LetGo, MayOwn
from bot.core.models import Session
from bot.store.store import Store


class NoClaims:
    """All sessions are this process's from its start."""

    def allow_only(self, platform: str, may_own: MayOwn) -> None:
        """There is nobody else who could own them."""

    def when_claimed(self, platform: str, then: Claimed) -> None:
        """There is nobody whose sessions could be claimed."""

    def when_ended(self, platform: str, then: Ended) -> None:
        """There is nobody who could have left something."""

    def before_release(self, platform: str, then: LetGo) -> None:
        """There is nobody whom sessions could be left to."""

    def hurry(self) -> None:
        """Nothing is left to be claimed."""

    async def let_go(self, sessions: Sequence[Session]) -> None:
        """There is nobody whom they could be left to."""

    async def released(self) -> None:
        """There is nobody who could claim them."""


def alone(store: Store, process: str = "alone") -> Cluster:
    """The cluster of one."""
    return Cluster(LoopBack(process), AllHere(), NoClaims(), SessionParcels(store))
