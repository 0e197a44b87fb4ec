"""Who owns the open sessions, as one of several processes knows it.

In memory: read whole at the start, whenever listening begins anew, and every `READ_EVERY`; in between processes tell
each other what changes. A hint that is lost is made good by the next reading, and by `find`.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from bot.core.bus import NOBODY, Bus
from bot.core.errors import StoreError
from bot.core.models import Channel, Session
from bot.core.ports import Clock
from bot.core.tasks import TaskSet
from bot.core.time_limit import time_limit
from bot.store.sessions import OpenSession
from bot.store.store import Store

log = structlog.get_logger(__name__)

READ_EVERY = 30.0
"""Seconds between readings of all open sessions."""

CHANGES = "directory.changes"
"""The kind of message that tells of sessions opened, and closed."""

Place = tuple[str, str]
"""A platform, and the id of a channel there."""


@dataclass(frozen=True, slots=True)
class _Entry:
    session_id: str
    place: Place
    nonce: str
    owner: str
    """A process, or `NOBODY`."""


class SessionDirectory:
    """The directory of one of several processes. `run` keeps it right; `close` at the end."""

    def __init__(
        self, store: Store, bus: Bus, clock: Clock, *, is_alone: Callable[[], bool], is_first: Callable[[], bool]
    ) -> None:
        """is_alone, is_first: as `bot.cluster.membership` knows it."""
        self._store = store
        self._bus = bus
        self._clock = clock
        self._has_no_others = is_alone
        self._is_first = is_first
        self._by_id: dict[str, _Entry] = {}
        self._by_place: dict[Place, _Entry] = {}
        self._by_link: dict[str, _Entry] = {}
        self._serving: set[str] = set()
        self._elsewhere: set[str] = set()
        self._changes: list[dict[str, str]] = []
        self._heard_meanwhile: list[dict[str, str]] | None = None
        self._is_stale = asyncio.Event()
        self._tasks = TaskSet()
        bus.handle(CHANGES, self._take_changes)
        bus.when_listening(self._is_stale.set)

    # --- what others use ---------------------------------------------------------------------------------------------

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process, and nothing that one has left."""
        return not self._elsewhere and self._has_no_others()

    @property
    def is_first(self) -> bool:
        """Whether what one process does for all is this one's."""
        return self._is_first()

    def owner_of(self, channel: Channel) -> str | None:
        """The other process that owns the channel's session, or `NOBODY`; None if this one does, or nobody has one."""
        return self._told(self._by_place.get((channel.platform, channel.id)))

    def owner_of_link(self, nonce: str) -> str | None:
        """The same of the session behind a watch link."""
        return self._told(self._by_link.get(nonce))

    async def find(self, channel: Channel, *, afresh: bool = False) -> str | None:
        """As `owner_of`, asking the database where memory knows nothing, or in any case. Raises `StoreError`."""
        known = self._by_place.get((channel.platform, channel.id))
        if self.is_alone or (known is not None and not afresh):
            return self._told(known)
        found = await self._store.sessions.owner_at(channel.platform, channel.id)
        return self._learn(known, found)

    async def find_link(self, nonce: str, *, afresh: bool = False) -> str | None:
        """As `owner_of_link`, as `find`."""
        known = self._by_link.get(nonce)
        if self.is_alone or (known is not None and not afresh):
            return self._told(known)
        return self._learn(known, await self._store.sessions.owner_behind(nonce))

    def link_in(self, channel: Channel) -> str | None:
        """The nonce of the link of the session that another process has in a channel; None if none has one."""
        entry = self._by_place.get((channel.platform, channel.id))
        return None if entry is None or self._told(entry) is None else entry.nonce

    def opened(self, session: Session) -> None:
        """This process serves a session from now on."""
        entry = _Entry(
            session.id, (session.channel.platform, session.channel.id), session.link_nonce, self._bus.process
        )
        self._serving.add(session.id)
        self._note(entry)
        self._tell(_as_change(entry))

    def closed(self, session: Session) -> None:
        """A session of this process is over."""
        self._serving.discard(session.id)
        self._forget(session.id)
        self._tell({"session": session.id})

    def released(self, session: Session) -> None:
        """A session of this process is nobody's now."""
        self._serving.discard(session.id)
        entry = _Entry(session.id, (session.channel.platform, session.channel.id), session.link_nonce, NOBODY)
        self._note(entry)
        self._tell(_as_change(entry))

    # --- keeping it right --------------------------------------------------------------------------------------------

    def process_gone(self, process_id: str) -> None:
        """A process has ended: its sessions are nobody's for now."""
        for entry in [entry for entry in self._by_id.values() if entry.owner == process_id]:
            self._note(_Entry(entry.session_id, entry.place, entry.nonce, NOBODY))

    async def run(self) -> None:
        """Read everything again and again, until cancelled."""
        while True:
            try:
                self._is_stale.clear()
                await self.read()
            except StoreError as error:
                log.warning("who owns which session could not be read; trying again", error=str(error))
            with suppress(TimeoutError):
                async with time_limit(self._clock, READ_EVERY):
                    await self._is_stale.wait()

    async def read(self) -> None:
        """Read everything. Raises `StoreError`."""
        heard: list[dict[str, str]] = []
        self._heard_meanwhile = heard
        try:
            rows = await self._store.sessions.owners()
        finally:
            self._heard_meanwhile = None
        before, self._by_id, self._by_place, self._by_link = self._by_id, {}, {}, {}
        self._elsewhere.clear()
        for row in rows:
            self._learn(before.get(row.id), row)
        for session_id in self._serving & before.keys():
            # Opened while it was read.
            self._note(before[session_id])
        for change in heard:
            self._apply(change)

    async def close(self) -> None:
        """Tell nothing more."""
        self._bus.unhandle(CHANGES)
        await self._tasks.close()

    def _told(self, entry: _Entry | None) -> str | None:
        if entry is None or entry.owner == self._bus.process:
            return None
        return entry.owner

    def _learn(self, known: _Entry | None, row: OpenSession | None) -> str | None:
        if row is None:
            if known is not None:
                self._forget(known.session_id)
            return None
        owner = row.owner or NOBODY
        if owner == self._bus.process and row.id not in self._serving:
            # Claimed, and not taken up yet; or one that was here, and whose end could not be written. What is known may
            # be older than the claim: then it still is the former owner's.
            if known is None or known.owner == self._bus.process:
                return None
            owner = NOBODY
        entry = _Entry(row.id, (row.channel.platform, row.channel.id), row.link_nonce, owner)
        self._note(entry)
        return self._told(entry)

    def _note(self, entry: _Entry) -> None:
        self._by_id[entry.session_id] = self._by_place[entry.place] = self._by_link[entry.nonce] = entry
        if entry.owner == self._bus.process:
            self._elsewhere.discard(entry.session_id)
        else:
            self._elsewhere.add(entry.session_id)

    def _forget(self, session_id: str) -> None:
        self._elsewhere.discard(session_id)
        entry = self._by_id.pop(session_id, None)
        if entry is None:
            return
        self._by_link.pop(entry.nonce, None)
        at_place = self._by_place.get(entry.place)
        if at_place is not None and at_place.session_id == session_id:
            # Not where the next session of the channel is known already.
            del self._by_place[entry.place]

    # --- telling and hearing -----------------------------------------------------------------------------------------

    def _tell(self, change: dict[str, str]) -> None:
        """Soon, and with what changes in the same moment."""
        self._changes.append(change)
        if len(self._changes) == 1:
            self._tasks.create_task(self._shout(), name="directory tells")

    async def _shout(self) -> None:
        changes, self._changes = self._changes, []
        await self._bus.shout(CHANGES, json.dumps(changes))

    async def _take_changes(self, _sender: str, body: str) -> str:
        for change in json.loads(body):
            if self._heard_meanwhile is not None:
                self._heard_meanwhile.append(change)
            self._apply(change)
        return ""

    def _apply(self, change: dict[str, str]) -> None:
        if "owner" in change:
            place = change["platform"], change["channel"]
            self._note(_Entry(change["session"], place, change["nonce"], change["owner"]))
        else:
            self._forget(change["session"])


def _as_change(entry: _Entry) -> dict[str, str]:
    platform, channel = entry.place
    return {
        "session": entry.session_id,
        "platform": platform,
        "channel": channel,
        "nonce": entry.nonce,
        "owner": entry.owner,
    }
