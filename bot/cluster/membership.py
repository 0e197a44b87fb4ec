"""Who is alive of the processes that share a database, and until when this one may act.

Each has a row. On PostgreSQL it beats it once a second, and looks at the beats of the others: one that stands still for
`LOOKS_TO_END` looks is dead, and its row is deleted, which frees its sessions and refuses its writes
(`bot.store.tables`). No two clocks are compared:

The last beat of a process that was acknowledged was sent at S. It acts until S + 4 s (`MAY_ACT_FOR`), and its kernel
drops what it has sent by then within 2 s more (`adapters.network.SENT_WITHIN`). Whoever takes over saw that beat after
S, and six looks, a second apart, later it deletes the row: not before S + 6 s.

All of them act, each for the sessions that it owns (`bot.cluster.claims`). On SQLite nobody has to look: whoever holds
the lock of the file (`bot.store.lock`) knows that every earlier process is dead.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import inf
from types import TracebackType

import structlog
from pydantic import SecretStr

from bot.core.errors import OwnershipLost, StoreError
from bot.core.ports import Clock
from bot.core.tasks import cancel_and_wait
from bot.store.connections import Member
from bot.store.errors import TAKEN_OVER
from bot.store.processes import Process, ProcessRows
from bot.store.url import parse_url
from bot.telemetry import metrics

log = structlog.get_logger(__name__)

BEAT_EVERY = 1.0
"""Seconds between the end of a beat and the next one."""

MAY_ACT_FOR = 4.0
"""Seconds that a process may act after it has sent a beat that was acknowledged."""

LOOKS_TO_END = 6
"""Looks at a beat that does not change, after which its process is dead."""

POLL_EVERY = 0.1
"""Seconds between looks at whether others have gone."""

SHORT_ID = 8
"""Characters of an id that tell members apart."""

NOT_CERTAIN = "has not answered for some seconds: nothing is said until it does"
"""What `/readyz` tells of the database while this process may not act."""


@dataclass(slots=True)
class _Watched:
    beat: int
    unchanged: int = 0


class Looks:
    """How often each of the others was seen with an unchanged beat, one look after the other. lived: the ids of those
    that were seen to beat, as long as they have a row."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self.lived: set[str] = set()

    def forget(self) -> None:
        """A look failed, or goes over a new connection: a database that was away proves nobody dead."""
        self._watched.clear()

    def dead(self, others: list[Process]) -> list[Process]:
        """Take a look, and return who is dead by now."""
        seen = {}
        for process in others:
            before = self._watched.get(process.id)
            unchanged = before.unchanged + 1 if before is not None and before.beat == process.beat else 0
            seen[process.id] = _Watched(process.beat, unchanged)
            if before is not None and unchanged == 0:
                self.lived.add(process.id)
        self._watched = seen
        self.lived &= seen.keys()
        return [process for process in others if seen[process.id].unchanged >= LOOKS_TO_END]


class Membership:
    """This process among those that share the database of `url`, inside an `async with` block.

    On SQLite whoever enters it holds the lock of the file. Entering raises `StoreError` where the database does not
    take the row. others: who else has a row, as of the last look. is_lost: another one has ended it; neither rows nor
    streams may be touched any more. on_gone: called with the id of each of the others that has no row any more.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        rows: ProcessRows | None = None,
        *,
        takes_sessions: bool = True,
        secret: SecretStr | None = None,
    ) -> None:
        """`rows` are those of `url`, where they are not to be read and written in the usual way. takes_sessions: it is
        a bot; a command of the shell is none. secret: what all of them have to share (`bot.cluster.admission`)."""
        self._address = parse_url(url)
        self._clock = clock
        self._rows = rows or ProcessRows(self._address)
        self._is_alone = self._address.is_sqlite
        process_id = secrets.token_hex(16)
        self.process = Process(
            process_id,
            0,
            socket.gethostname(),
            os.getpid(),
            _version(),
            is_leaving=not takes_sessions,
            started_at=clock.now(),
            proof="" if secret is None else proof_of(secret, process_id),
        )
        self.member = Member(self.process.id, self._lose)
        self.others: list[Process] = []
        self.on_gone: list[Callable[[str], None]] = []
        self._looks = Looks()
        self._last_sent: float | None = None
        self._may_act_until = inf if self._is_alone else -inf
        self._lost = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[None] | None = None
        self._told = ""

    async def __aenter__(self) -> "Membership":
        try:
            await self._rows.join(self.process, alone=self._is_alone)
            if not self._is_alone:
                # Now, so that it may act at once and knows the others.
                await self._beat()
        except BaseException:
            await self._rows.close()
            raise
        if not self._is_alone:
            metrics.beat_seconds.set_function(self._since_beat)
            self._beating = self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beating is not None:
            await cancel_and_wait(self._beating)
            await cancel_and_wait(self._taking)
            metrics.beat_seconds.set_function(_no_beat)
        self._may_act_until = -inf
        try:
            if not self.is_lost:
                await self._rows.leave(self.process.id)
        except StoreError as trouble:
            log.error("this process could not leave; the others see in some seconds that it ended", error=str(trouble))
        finally:
            await self._rows.close()

    def told(self) -> list[dict[str, object]]:
        """The members as of the last look, this one first, for whoever may not know their machines."""
        mine = {"id": self.process.id[:SHORT_ID], "is_this": True}
        return [mine, *({"id": other.id[:SHORT_ID], "is_this": False} for other in self.others)]

    @property
    def sharers(self) -> int:
        """Among how many processes sessions are shared out, this one included."""
        return 1 + sum(not other.is_leaving for other in self.others)

    async def announce_leaving(self) -> None:
        """Tell the others that this process ends, so that they share out what it had among themselves. A database in
        trouble is logged and no reason to fail."""
        if self._is_alone or self.is_lost:
            return
        try:
            await self._rows.announce_leaving(self.process.id)
        except StoreError as trouble:
            log.error("the others could not be told that this process ends", error=str(trouble))

    @property
    def is_first(self) -> bool:
        """Whether what one process does for all is this one's: the one with the smallest id does it."""
        return all(self.process.id < other.id for other in self.others if not other.is_leaving)

    def has_lived(self, process_id: str) -> bool:
        """Whether another process, that has a row or is just told to be gone, was seen to beat: it lived when this one
        did already. What was dead before is none of those."""
        return process_id in self._looks.lived

    @property
    def is_lost(self) -> bool:
        """Whether another process has ended this one."""
        return self._lost.is_set()

    @property
    def unhealthy_reason(self) -> str | None:
        """Why this process may not act now, for `/readyz`; None if it may."""
        return None if self.may_act() else NOT_CERTAIN

    def may_act(self) -> bool:
        """Whether nobody else can be at this process's sessions now, so that it may speak to the provider."""
        return not self.is_lost and self._clock.uptime() < self._may_act_until

    async def until_alone(self, patience: float) -> bool:
        """Wait until no other process has a row: those that are dead are ended meanwhile. False if one still has after
        `patience` seconds. Raises `OwnershipLost` if another process has ended this one meanwhile."""
        until = self._clock.monotonic() + patience
        while self.others or self._last_sent is None:
            if self.is_lost:
                raise self._error()
            if self._is_alone or self._clock.monotonic() >= until:
                return self._is_alone
            await self._clock.sleep(POLL_EVERY)
        return True

    async def hold(self) -> None:
        """See to the beats, until cancelled. Raises `OwnershipLost` once another process has ended this one, and
        whatever else ends the beats; called again it begins them anew."""
        if self._is_alone:
            await self._until_lost()
            raise self._error()
        if self._beating is None or self._beating.done():
            self._beating = self._begin()
        over = asyncio.create_task(self._until_lost(), name="membership lost")
        try:
            await asyncio.wait({self._beating, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(over)
        if self.is_lost:
            raise self._error()
        await self._beating

    async def _until_lost(self) -> None:
        await self._lost.wait()

    def _begin(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._beat_forever(), name="beat")

    async def _beat_forever(self) -> None:
        # A look was just before; two must not follow each other at once.
        while not self.is_lost:
            await self._clock.sleep(BEAT_EVERY)
            await self._beat()

    async def _beat(self) -> None:
        # Before it is sent: how long the answer takes must not lengthen the time to act.
        sent = self._clock.uptime()
        try:
            rows, is_first = await self._rows.beat(self.process.id)
        except StoreError as error:
            self._looks.forget()
            if self._told != str(error):
                self._told = str(error)
                log.error("the beat was not taken", error=self._told)
            return
        self._told = ""
        if all(row.id != self.process.id for row in rows):
            self._lose()
            return
        self._last_sent, self._may_act_until = sent, sent + MAY_ACT_FOR
        self._see([row for row in rows if row.id != self.process.id])
        if is_first:
            self._looks.forget()
        dead = self._looks.dead(self.others)
        if self._taking is not None and self._taking.done():
            taken, self._taking = self._taking, None
            taken.result()
        if self._taking is None and dead:
            # Beside the beats: the end of a process waits for its transactions.
            self._taking = asyncio.create_task(self._end_all(dead), name="end dead processes")

    def _see(self, others: list[Process]) -> None:
        there = {other.id for other in others}
        gone = [other.id for other in self.others if other.id not in there]
        self.others = others
        metrics.processes.set(self.sharers)
        for process_id in gone:
            for hook in self.on_gone:
                hook(process_id)

    async def _end_all(self, dead: list[Process]) -> None:
        for process in dead:
            await self._end(process)

    async def _end(self, dead: Process) -> None:
        try:
            if await self._rows.end(dead):
                log.warning("another process is dead: its sessions are free", process=str(dead))
                metrics.takeovers.inc()
                self._see([other for other in self.others if other.id != dead.id])
        except StoreError as error:
            log.error("a dead process could not be ended yet", process=str(dead), error=str(error))

    def _lose(self) -> None:
        if not self.is_lost:
            log.error("another process has ended this one: its sessions are left to it")
        self._may_act_until = -inf
        self._lost.set()

    def _error(self) -> OwnershipLost:
        return OwnershipLost(f"{self._address} {TAKEN_OVER}")

    def _since_beat(self) -> float:
        return 0.0 if self._last_sent is None else self._clock.uptime() - self._last_sent


def proof_of(secret: SecretStr, process_id: str) -> str:
    """What a process writes into its row to show that it has a secret: it tells nothing of the secret itself."""
    return hmac.new(secret.get_secret_value().encode(), f"process {process_id}".encode(), hashlib.sha256).hexdigest()


def _no_beat() -> float:
    return 0.0


def _version() -> str:
    try:
        return version("avatar-relay")
    except PackageNotFoundError:
        return "unknown"
