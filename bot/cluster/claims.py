"""Sessions that no process owns find one: every process claims its share at each beat, and takes them up.

What taking up is, is not known here (`bot.sessions.recovery` does it). Whoever claims a session has it alone: the
database gives each to one (`bot.store.sessions.SessionRepository.claim`).
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from bot.cluster.membership import BEAT_EVERY
from bot.cluster.parcels import SessionParcels
from bot.core.bus import Bus, Claimed, Directory, Ended, LetGo, MayOwn
from bot.core.errors import ProcessUnreachable, StoreError
from bot.core.models import Channel, Session
from bot.core.ports import Clock
from bot.core.time_limit import time_limit
from bot.core.unexpected import report_unexpected
from bot.store.rows import IDS_AT_ONCE
from bot.store.sessions import OpenSession
from bot.store.store import Store

log = structlog.get_logger(__name__)

AT_LEAST = 100
"""Sessions that a process may claim at a beat however few it has; else as many as it has. Where all have too much to
do, a process that falls behind must not bury the next one under its sessions."""

ORPHANS = "claims.orphans"
"""The kind of message that tells of sessions that have become free, or of something that was kept for one."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of sessions that were claimed: those that go on, those that only close, and what was in flight."""

    adopted: int = 0
    closed: int = 0
    unknown_utterances: int = 0
    sessions: Sequence[Session] = field(default=(), repr=False)


class Shares(Protocol):
    """Who shares the work, as `bot.cluster.membership.Membership` knows it."""

    @property
    def sharers(self) -> int: ...

    @property
    def is_first(self) -> bool: ...

    def may_act(self) -> bool: ...

    def has_lived(self, process_id: str) -> bool: ...


class Sessions(Protocol):
    """The sessions of this process, as `bot.sessions.registry.SessionRegistry` knows them."""

    @property
    def provider(self) -> str: ...

    def __len__(self) -> int: ...

    def serves(self, session_id: str) -> bool: ...


class Recover(Protocol):
    """Claims, and goes on with what was claimed (`bot.sessions.recovery.SessionRecovery.recover`)."""

    async def __call__(
        self, among: Sequence[str] | None, limit: int | None, *, left_behind: bool, after_absence: bool
    ) -> Recovery: ...


def share_of(free: int, sharers: int, own: int) -> int | None:
    """How many of `free` sessions a process claims that has `own`, among `sharers` processes; None for all of them."""
    if sharers == 1:
        return None
    return min(math.ceil(free / sharers), max(own, AT_LEAST))


class SessionClaims:
    """Claims for one process. What is public has to be set before it claims anything.

    sessions: those that there are already. recover: takes up what is claimed. on_others: called where a session of
    another provider than this process's has no owner. on_recovery: told what became of sessions that were claimed.
    """

    sessions: Sessions
    recover: Recover
    on_others: Callable[[], Awaitable[None]]
    on_recovery: Callable[[Recovery], None]

    def __init__(
        self, store: Store, shares: Shares, directory: Directory, parcels: SessionParcels, bus: Bus, clock: Clock
    ) -> None:
        self._store = store
        self._shares = shares
        self._directory = directory
        self._parcels = parcels
        self._bus = bus
        self._clock = clock
        self._allowed: dict[str, MayOwn] = {}
        self._hooks: dict[str, Claimed] = {}
        self._end_hooks: dict[str, Ended] = {}
        self._release_hooks: dict[str, LetGo] = {}
        self._is_due = asyncio.Event()
        self._has_ended = True
        self._is_after_absence = True
        """Whether what is free may have been so, or a dead process's, before this process came: nobody may have run
        for as long as one likes. It ends when nothing is free."""
        self._others_seen: frozenset[str] = frozenset()
        bus.handle(ORPHANS, self._hear)
        parcels.on_kept = self._hurry_owner

    # --- what others use ---------------------------------------------------------------------------------------------

    def allow_only(self, platform: str, may_own: MayOwn) -> None:
        """Have sessions of a platform claimed only where `may_own` says so."""
        self._allowed[platform] = may_own

    def when_claimed(self, platform: str, then: Claimed) -> None:
        """Await `then` with the sessions of a platform that have just been claimed."""
        self._hooks[platform] = then

    def when_ended(self, platform: str, then: Ended) -> None:
        """Await `then` where this process looks after what one that has ended left of sessions that are over."""
        self._end_hooks[platform] = then

    def before_release(self, platform: str, then: LetGo) -> None:
        """Await `then` with each session of a platform that is about to be released."""
        self._release_hooks[platform] = then

    def hurry(self) -> None:
        """Claim now."""
        self._is_due.set()

    async def let_go(self, sessions: Sequence[Session]) -> None:
        """Have nothing more shown of sessions, nor heard, before another process may go on with them: two that do would
        get in each other's way."""
        for session in sessions:
            if (let_go := self._release_hooks.get(session.channel.platform)) is not None:
                try:
                    await let_go(session.id)
                except Exception as error:  # noqa: BLE001 - one platform's trouble keeps no session from the others
                    report_unexpected("a platform could not let go of a session: unexpected error", error)

    async def released(self) -> None:
        """Sessions have no owner any more: the others may claim them at once."""
        await self._bus.shout(ORPHANS, "")

    # --- claiming ----------------------------------------------------------------------------------------------------

    def process_gone(self, process_id: str) -> None:
        """A process has ended, so its sessions are free."""
        self._has_ended = True
        if not self._shares.has_lived(process_id):
            self._is_after_absence = True
        self._is_due.set()

    async def run(self) -> None:
        """Claim at every beat, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with time_limit(self._clock, BEAT_EVERY):
                    await self._is_due.wait()
            self._is_due.clear()
            try:
                await self.claim()
                await self._parcels.open_waiting(homeless=self._directory.is_first)
            except StoreError as error:
                log.error("sessions that nobody owns could not be taken up; trying again", error=str(error))

    async def claim(self) -> Recovery:
        """Claim a share of what is free, and take it up. Raises `StoreError`; what was claimed is taken up with the
        next one then."""
        if not self._shares.may_act():
            return Recovery()
        free = await self._store.sessions.ownerless()
        await self._look_at_others([session.id for session in free if session.provider != self.sessions.provider])
        own = [session for session in free if session.provider == self.sessions.provider]
        mine = [session.id for session in own if self._may_own(session)]
        # Mostly all: then the database chooses, and no list is too long for it.
        among = None if len(mine) == len(own) else mine[:IDS_AT_ONCE]
        left_behind, self._has_ended = self._has_ended and self._shares.is_first, False
        after_absence, self._is_after_absence = self._is_after_absence, self._is_after_absence and bool(own)
        share = share_of(len(mine), self._shares.sharers, len(self.sessions))
        try:
            # With nothing to claim, too: what an earlier claim could not finish is taken up.
            recovery = await self.recover(among, share, left_behind=left_behind, after_absence=after_absence)
        except BaseException:
            self._has_ended |= left_behind
            self._is_after_absence |= after_absence
            raise
        if recovery.sessions:
            log.info("sessions that nobody owned are this process's", sessions=len(recovery.sessions))
            self.on_recovery(recovery)
            await self._follow(recovery.sessions)
        if left_behind:
            await self._look_after_ended()
        return recovery

    def _may_own(self, session: OpenSession) -> bool:
        # Where nobody else lives they are this process's, whether it reaches the platform or not: their streams cost
        # money.
        may_own = None if self._shares.sharers == 1 else self._allowed.get(session.channel.platform)
        return may_own is None or may_own(session.channel)

    async def _look_at_others(self, ids: Sequence[str]) -> None:
        """Once for each: who cannot help will not be able to a second later."""
        if not self._others_seen.issuperset(ids):
            self._others_seen = frozenset(ids)
            await self.on_others()

    async def _follow(self, claimed: Sequence[Session]) -> None:
        for platform, hook in self._hooks.items():
            if its := [session for session in claimed if session.channel.platform == platform]:
                try:
                    await hook(its)
                except Exception as error:  # noqa: BLE001 - one platform's trouble is not another one's
                    report_unexpected("a platform could not go on with sessions: unexpected error", error)
        # What came in while nobody had them goes before what comes in from now on.
        try:
            await self._parcels.open_waiting(homeless=False)
        except StoreError as error:
            log.error("what was kept for sessions could not be handled; trying again", error=str(error))
        for session in claimed:
            # Not one that has closed meanwhile.
            if self.sessions.serves(session.id):
                self._directory.opened(session)
        # What was kept in these very moments.
        self.hurry()

    async def _look_after_ended(self) -> None:
        for hook in self._end_hooks.values():
            try:
                await hook()
            except Exception as error:  # noqa: BLE001 - one platform's trouble is not another one's
                report_unexpected("a platform could not look after what was left: unexpected error", error)

    async def _hurry_owner(self, channel: Channel) -> None:
        """Whoever has taken a session up in the very moment in which something was kept for it handles that at once,
        before more comes in."""
        try:
            found = await self._store.sessions.owner_at(channel.platform, channel.id)
            if found is not None and found.owner == self._bus.process:
                self.hurry()
            elif found is not None and found.owner is not None:
                await self._bus.tell(found.owner, ORPHANS, "")
        except (StoreError, ProcessUnreachable) as error:
            log.info("what was kept is found with the next beat", error=str(error))

    async def _hear(self, _sender: str, _body: str) -> str:
        self.hurry()
        return ""
