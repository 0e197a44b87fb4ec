"""Group commit: the writes of all sessions pass through one task, which puts whatever waits into one transaction.

While a transaction is being committed the next writes gather; they all go into the following one, so a thousand busy
sessions share a handful of commits and a lone write does not wait for anybody. The messages that are accepted, and the
utterances that advance, take one statement a table for all of them. A caller gets its own result or its own error;
writes of one caller keep their order.

A write that nobody waits for rides along with the next commit, and is committed alone where none comes: a message
costs a transaction before its request, and not three more after it.

A write that is patient, and may be made twice, is kept while a server is away: no avatar leaves because its database
starts again. All others fail at once, since somebody can be told.

What a write does may run twice when a neighbour fails: it has no effect outside its transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeVar, overload

from sqlalchemy.engine import Connection

from bot.core.errors import OwnershipLost, StoreUnavailable
from bot.core.ports import Clock, Timer
from bot.core.unexpected import report_unexpected
from bot.store.batch_statements import AcceptedMessage, Advance, accept_many, advance_many
from bot.store.connections import Begin, Work
from bot.store.driver import Driver, with_driver
from bot.store.errors import CLOSED

MAX_BATCH_SIZE = 512
"""Writes in one transaction: a few milliseconds of work, so that a reader or the shell gets its turn at the lock."""

MAX_DELAY = 0.02
"""Seconds that a write which nobody waits for may wait for one to ride along with. Longer is no cheaper under load, and
what is not committed is forgotten by a crash."""

MANY = 4
"""Writes from which on a commit waits for more."""

MORE_TURNS = 9
"""Of the loop, for which it does. Found by measuring: with 32 channels that never rest, a tenth more messages a second
for an eighth less of the processor time (20 rounds). Where it waited for 6 or 12 ms instead, the loop stood still
meanwhile, and there were fewer."""

PATIENCE = 120.0
"""Seconds for which patient writes are kept while a server cannot be reached: to fail over to another one takes up to
two minutes. Our choice; nothing is said meanwhile (`bot.cluster.membership.MAY_ACT_FOR`)."""

TRY_EVERY = 0.5
"""Seconds between attempts to write what is kept."""

R = TypeVar("R")

Write = AcceptedMessage | Advance | Work[Any]


# The results of different writes share a queue; `GroupCommitWriter.write` gives each its type back.
@dataclass(slots=True, eq=False)
class _Request:
    """outcome: somebody waits for it; else `on_error` is called with what went wrong. kept_until: when the patience of
    a patient one ends, on the clock."""

    write: Write
    is_patient: bool
    outcome: asyncio.Future[Any] | None = None
    on_error: Callable[[BaseException], None] | None = None
    kept_until: float | None = None

    @property
    def is_over(self) -> bool:
        # A caller that was cancelled is gone; what it handed over is written all the same.
        return self.outcome is not None and self.outcome.done()

    def succeed(self, result: object) -> None:
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self.on_error is not None:
            # Not in our task: what it raises is its own trouble, and the others get their errors.
            asyncio.get_running_loop().call_soon(self.on_error, error)
        elif self.outcome is not None and not self.outcome.done():
            self.outcome.set_exception(error)

    def give_up(self) -> None:
        """Nobody learns what became of it: the program ends."""
        if self.outcome is not None:
            self.outcome.cancel()


class GroupCommitWriter:
    """The one place where the program writes. Made running by `start`, which must be followed by `close`."""

    def __init__(self, begin: Begin, clock: Clock, *, patience: float = 0.0, commits_at_once: bool = False) -> None:
        """patience: for how many seconds patient writes are kept while the database is away. commits_at_once: what
        every message needs is committed in the same hop to SQLite's thread; not where somebody stands before the
        commit."""
        self._begin = begin
        self._clock = clock
        self._patience = patience
        self._commits_at_once = commits_at_once
        self._waiting: deque[_Request] = deque()
        self._is_due = asyncio.Event()
        self._flush: Timer | None = None
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, in a task that `close` ends."""
        self._task = asyncio.create_task(self._run(), name="store-writer")

    async def close(self) -> None:
        """Write what waits, then end. Later writes raise `StoreUnavailable`."""
        self._closing = True
        self._is_due.set()
        if self._task is not None:
            await self._task

    @overload
    async def write(self, write: AcceptedMessage) -> bool: ...

    @overload
    async def write(self, write: Advance, *, is_patient: bool = False) -> None: ...

    @overload
    async def write(self, write: Callable[[Connection], R], *, is_patient: bool = False) -> R: ...

    async def write(self, write: Write, *, is_patient: bool = False) -> Any:
        """Write in order with everything else that is handed over, and return the result once it is on the disk.

        Messages are accepted together with others (False: one of its keys was seen before), and utterances advance
        together with others, after their acceptance. A function stands alone: it is called with the connection after
        everything handed over before, and ahead of everything after. is_patient: it is kept while the database is away,
        and may be made twice.

        Raises `StoreError` if this write was refused, `StoreUnavailable` if the database cannot be written, and what a
        function raises.
        """
        outcome = asyncio.get_running_loop().create_future()
        self._put(_Request(write, is_patient, outcome))
        self._is_due.set()
        return await outcome

    def advance_soon(self, advance: Advance, on_error: Callable[[BaseException], None]) -> None:
        """Move an utterance, after everything handed over before, with the next commit or after `MAX_DELAY`.

        Nobody waits for it, so it is patient: `on_error` is called with what `write` would raise. Raises
        `StoreUnavailable` after `close`.
        """
        self._put(_Request(advance, is_patient=True, on_error=on_error))
        if self._flush is None:
            self._flush = self._clock.call_later(MAX_DELAY, self._is_due.set)

    def _put(self, request: _Request) -> None:
        if self._closing or self._task is None:
            raise StoreUnavailable(CLOSED)
        self._waiting.append(request)

    async def _run(self) -> None:
        batch: list[_Request] = []
        try:
            while self._waiting or not self._closing:
                if not self._closing:
                    await self._is_due.wait()
                await self._gather()
                batch = self._take_batch()
                if batch:
                    try:
                        await self._commit(batch)
                    except Exception as error:  # noqa: BLE001 - without this task nothing could be written any more
                        reference = report_unexpected("writing failed: unexpected error", error, writes=len(batch))
                        _fail_all(batch, StoreUnavailable(f"the write failed unexpectedly (ref {reference})"))
        finally:
            # Only after a cancellation from outside, such as the end of the loop, is anything left here.
            self._closing = True
            self._stop_timer()
            for request in (*batch, *self._waiting):
                request.give_up()

    async def _gather(self) -> None:
        """Give others turns of the loop to hand over what shares this commit: one to those whose write has just
        returned; and under load more, as a commit costs the loop as much as a message does. Turns and no time: where
        the loop has nothing else to do they are over at once."""
        await asyncio.sleep(0)
        for _ in range(MORE_TURNS):
            if len(self._waiting) < MANY or self._closing:
                return
            await asyncio.sleep(0)

    def _take_batch(self) -> list[_Request]:
        """What goes into the next transaction; where that is not all that waits, the rest is due at once."""
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH_SIZE))]
        if not self._waiting:
            self._is_due.clear()
            self._stop_timer()
        return batch

    def _stop_timer(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None

    async def _commit(self, batch: Sequence[_Request]) -> None:
        """Write a batch; where one write spoils it, write each by itself so that the others do not suffer."""
        try:
            results = await self._transact(batch)
        except StoreUnavailable as error:
            self._keep_or_fail(batch, error)
        except Exception as error:  # noqa: BLE001 - the boundary of the callers' own code: each gets its error, none is lost
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                await self._commit_each(batch)
        else:
            for request, result in zip(batch, results, strict=True):
                request.succeed(result)

    async def _commit_each(self, batch: Sequence[_Request]) -> None:
        for position, request in enumerate(batch):
            try:
                (result,) = await self._transact([request])
            except StoreUnavailable as error:
                self._keep_or_fail(batch[position:], error)
                return
            except Exception as error:  # noqa: BLE001 - as above
                request.fail(error)
            else:
                request.succeed(result)

    def _keep_or_fail(self, batch: Sequence[_Request], error: StoreUnavailable) -> None:
        kept = [request for request in batch if self._may_keep(request, error)]
        _fail_all([request for request in batch if request not in kept], error)
        if kept:
            # Before all that has come since: what they move is moved in order.
            self._waiting.extendleft(reversed(kept))
            self._is_due.clear()
            self._stop_timer()
            self._flush = self._clock.call_later(TRY_EVERY, self._is_due.set)

    def _may_keep(self, request: _Request, error: StoreUnavailable) -> bool:
        # Whoever was cancelled moves the utterance to its end by another write.
        if not request.is_patient or request.is_over or self._closing or isinstance(error, OwnershipLost):
            return False
        now = self._clock.monotonic()
        if request.kept_until is None:
            request.kept_until = now + self._patience
        return now < request.kept_until

    async def _transact(self, batch: Sequence[_Request]) -> list[Any]:
        async with self._begin() as connection:
            writes = [request.write for request in batch]
            return await connection.run_sync(write_all, writes, commits_at_once=self._commits_at_once)


def write_all(connection: Connection, writes: Sequence[Write], *, commits_at_once: bool = False) -> list[Any]:
    """Write them in their order and return the result of each. commits_at_once: as in `GroupCommitWriter`.

    Between two writes that stand alone all messages are accepted first, then the utterances advance: one that is
    accepted here may advance here.
    """
    results: list[Any] = []
    for is_alone, group in groupby(writes, key=callable):
        run = list(group)
        if is_alone:
            results += [work(connection) for work in run if callable(work)]
        else:
            is_last = commits_at_once and len(results) + len(run) == len(writes)
            results += with_driver(connection, partial(_write_together, writes=run), is_last=is_last)
    return results


def _write_together(driver: Driver, writes: Sequence[Write]) -> list[bool | None]:
    messages = [write for write in writes if isinstance(write, AcceptedMessage)]
    advances = [write for write in writes if isinstance(write, Advance)]
    verdicts = iter(accept_many(driver, messages))
    advance_many(driver, advances)
    return [next(verdicts) if isinstance(write, AcceptedMessage) else None for write in writes]


def _fail_all(batch: Sequence[_Request], error: StoreUnavailable) -> None:
    # An error of its own for each: a raised exception collects the traceback of whoever awaits it.
    for request in batch:
        copy = type(error)(*error.args)
        copy.__cause__ = error
        request.fail(copy)
