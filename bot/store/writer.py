"""Group commit: the writes of all sessions pass through one task, which puts whatever waits into one transaction.

While a transaction is being committed the next writes gather; they all go into the following one, so a thousand busy
sessions share a handful of commits and a lone write does not wait for anybody. Joint writes of one kind become one
statement. A caller gets its own result or its own error; writes that touch the same thing keep their order, and so do
those of one caller.

Nothing here knows a table. What a write does is a function over a connection, which may run twice when a neighbour
fails: it has no effect outside its transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy.engine import Connection

from bot.core.errors import StoreUnavailable
from bot.core.unexpected import report_unexpected
from bot.store.engine import Work
from bot.store.errors import CLOSED

MAX_BATCH_SIZE = 512
"""Writes in one transaction: a few milliseconds of work, so that a reader or the shell gets its turn at the lock."""

T = TypeVar("T")
A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class BatchStatement(Protocol[A_contra, R_co]):
    """A kind of write that does many at once. Equal kinds are joined, so it must be hashable.

    It gets the arguments in the order they were handed over and returns one result for each.
    """

    def __call__(self, connection: Connection, arguments: Sequence[A_contra], /) -> Sequence[R_co]:
        """Write them all."""

    def __hash__(self) -> int:
        """Equal kinds have equal hashes."""


class Transact(Protocol):
    """Runs work in a transaction, as `Database.write` does; raises only `StoreError` for database trouble."""

    async def __call__(self, work: Work[T], /) -> T:
        """Run `work` and commit."""


# The results of different kinds share a queue; `write` and `write_alone` give each its type back.
@dataclass(slots=True, eq=False)
class _Request:
    kind: BatchStatement[Any, Any]
    argument: Any
    touches: str | None
    outcome: asyncio.Future[Any]

    def succeed(self, result: object) -> None:
        # A caller that was cancelled is gone; what it handed over is written all the same.
        if not self.outcome.done():
            self.outcome.set_result(result)

    def fail(self, error: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


@dataclass(slots=True, eq=False)
class _Group:
    kind: BatchStatement[Any, Any]
    requests: list[_Request] = field(default_factory=list)


class _Alone:
    """A kind of its own for one piece of work; equal to no other."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work

    def __call__(self, connection: Connection, _: Sequence[None], /) -> Sequence[object]:
        return [self._work(connection)]


class GroupCommitWriter:
    """The one place where the program writes. Made running by `start`, which must be followed by `close`."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._waiting: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, in a task that `close` ends."""
        self._task = asyncio.create_task(self._run(), name="store-writer")

    async def close(self) -> None:
        """Write what waits, then end. Later writes raise `StoreUnavailable`."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def write(self, kind: BatchStatement[A, R], argument: A, touches: str) -> R:
        """Write together with others of an equal `kind`, in any order except for those that touch the same thing.

        `touches` names the one thing this write depends on or changes. Raises what the write raised, and
        `StoreUnavailable` where the database cannot be written.
        """
        result: R = await self._hand_over(kind, argument, touches)
        return result

    async def write_alone(self, work: Callable[[Connection], R]) -> R:
        """Write after everything handed over before and ahead of everything after. Raises as `write` does."""
        result: R = await self._hand_over(_Alone(work), None, None)
        return result

    async def _hand_over(self, kind: BatchStatement[Any, Any], argument: object, touches: str | None) -> Any:
        if self._closing or self._task is None:
            raise StoreUnavailable(CLOSED)
        request = _Request(kind, argument, touches, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._arrived.set()
        return await request.outcome

    async def _run(self) -> None:
        try:
            while self._waiting or not self._closing:
                self._arrived.clear()
                if not self._waiting:
                    await self._arrived.wait()
                # Those whose write has just returned get one turn to hand over their next, to share this commit.
                await asyncio.sleep(0)
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH_SIZE))]
                if batch:
                    await self._commit_surely(batch)
        finally:
            # Only after a cancellation from outside, such as the end of the loop, is anything left here.
            self._closing = True
            for request in self._waiting:
                request.outcome.cancel()

    async def _commit_surely(self, batch: list[_Request]) -> None:
        """Commit a batch. A mistake in how it is laid out is told to whoever handed it over, and to nobody after."""
        try:
            await self._commit(batch)
        except Exception as error:  # noqa: BLE001 - without this task nothing could be written any more
            reference = report_unexpected("writing failed: unexpected error", error, writes=len(batch))
            _fail_all(batch, StoreUnavailable(f"the write failed unexpectedly (ref {reference})"))

    async def _commit(self, batch: list[_Request]) -> None:
        """Write a batch; where one write spoils it, write each by itself so that the others do not suffer."""
        groups = plan(batch)
        try:
            results = await self._transact(partial(_write_groups, groups))
        except StoreUnavailable as error:
            _fail_all(batch, error)
        except Exception as error:  # noqa: BLE001 - the boundary of the callers' own code: each gets its error, none is lost
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                await self._commit_each(batch)
        except BaseException:
            for request in batch:
                request.outcome.cancel()
            raise
        else:
            for group, group_results in zip(groups, results, strict=True):
                for request, result in zip(group.requests, group_results, strict=True):
                    request.succeed(result)

    async def _commit_each(self, batch: list[_Request]) -> None:
        for position, request in enumerate(batch):
            try:
                (result,) = await self._transact(partial(_write_one, request))
            except StoreUnavailable as error:
                _fail_all(batch[position:], error)
                return
            except Exception as error:  # noqa: BLE001 - as above
                request.fail(error)
            else:
                request.succeed(result)


def plan(batch: Sequence[_Request]) -> list[_Group]:
    """Lay a batch out as groups of one kind each, to be written in this order.

    A write goes into a group of its kind where that is not before a group which touches the same thing, nor before or
    in the same group as a write that stands alone.
    """
    groups: list[_Group] = []
    newest: dict[BatchStatement[Any, Any], int] = {}
    last_touch: dict[str, int] = {}
    earliest = 0
    for request in batch:
        if request.touches is None:
            groups.append(_Group(request.kind, [request]))
            earliest = len(groups)
            continue
        first = max(earliest, last_touch.get(request.touches, -1) + 1)
        position = newest.get(request.kind, -1)
        if position < first:
            position = len(groups)
            groups.append(_Group(request.kind))
            newest[request.kind] = position
        groups[position].requests.append(request)
        last_touch[request.touches] = position
    return groups


def _write_one(request: _Request, connection: Connection) -> Sequence[object]:
    return request.kind(connection, [request.argument])


def _write_groups(groups: Sequence[_Group], connection: Connection) -> list[Sequence[object]]:
    return [group.kind(connection, [request.argument for request in group.requests]) for group in groups]


def _fail_all(batch: Sequence[_Request], error: StoreUnavailable) -> None:
    # An error of its own for each: a raised exception collects the traceback of whoever awaits it.
    for request in batch:
        copy = StoreUnavailable(*error.args)
        copy.__cause__ = error
        request.fail(copy)
