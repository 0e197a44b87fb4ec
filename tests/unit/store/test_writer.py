"""The group-commit writer: what shares a transaction, in which order, and what a failure or a cancellation does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.errors import StoreError, StoreUnavailable
from bot.store.engine import SqliteDatabase
from bot.store.url import parse_url
from bot.store.writer import MAX_BATCH_SIZE, GroupCommitWriter

T = TypeVar("T")


@dataclass
class Ledger:
    """A database in memory with one table, whose transactions are counted and can be held up or refused."""

    database: SqliteDatabase
    transactions: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: StoreError | None = None

    async def transact(self, work: Callable[[Connection], T]) -> T:
        self.transactions += 1
        self.begun.set()
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        return await self.database.write(work)

    async def lines(self) -> list[str]:
        query = sa.text("SELECT line FROM ledger ORDER BY number")
        return list(await self.database.read(lambda connection: connection.execute(query).scalars().all()))


@dataclass(frozen=True)
class Note:
    """The joint write: adds lines `kind:argument`; `bad` breaks a rule of the database, `bug` the program's."""

    kind: str

    def __call__(self, connection: Connection, arguments: Sequence[str], /) -> list[str]:
        for argument in arguments:
            if argument == "bug":
                raise LookupError("a bug")
            line = None if argument == "bad" else f"{self.kind}:{argument}"
            connection.execute(sa.text("INSERT INTO ledger (line) VALUES (:line)"), {"line": line})
        return [f"{self.kind}:{argument} done with {len(arguments)}" for argument in arguments]


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    database = await SqliteDatabase.open(parse_url("sqlite://"))
    create = sa.text("CREATE TABLE ledger (number INTEGER PRIMARY KEY, line TEXT NOT NULL)")
    await database.write(lambda connection: connection.execute(create))
    ledger = Ledger(database)
    ledger.gate.set()
    yield ledger
    await database.close()


@pytest.fixture
async def writer(ledger: Ledger) -> AsyncIterator[GroupCommitWriter]:
    writer = GroupCommitWriter(ledger.transact)
    writer.start()
    yield writer
    ledger.gate.set()
    await writer.close()


def together(*writes: Awaitable[T]) -> asyncio.Future[list[T | BaseException]]:
    return asyncio.gather(*writes, return_exceptions=True)


async def test_writes_that_wait_together_share_a_transaction_and_a_statement(
    ledger: Ledger, writer: GroupCommitWriter
) -> None:
    results = await together(*(writer.write(Note("a"), str(number), str(number)) for number in range(5)))
    assert results == [f"a:{number} done with 5" for number in range(5)]
    assert ledger.transactions == 1


async def test_what_arrives_during_a_commit_goes_into_the_next_one(ledger: Ledger, writer: GroupCommitWriter) -> None:
    ledger.gate.clear()
    first = asyncio.create_task(writer.write(Note("a"), "1", "1"))
    await ledger.begun.wait()
    rest = together(*(writer.write(Note("a"), str(number), str(number)) for number in (2, 3, 4)))
    await asyncio.sleep(0)
    ledger.gate.set()
    assert await first == "a:1 done with 1"
    assert await rest == [f"a:{number} done with 3" for number in (2, 3, 4)]
    assert ledger.transactions == 2


async def test_a_batch_is_bounded(ledger: Ledger, writer: GroupCommitWriter) -> None:
    await together(*(writer.write(Note("a"), str(number), str(number)) for number in range(MAX_BATCH_SIZE + 1)))
    assert ledger.transactions == 2
    assert await ledger.lines() == [f"a:{number}" for number in range(MAX_BATCH_SIZE + 1)]


async def test_writes_that_touch_the_same_thing_keep_their_order(ledger: Ledger, writer: GroupCommitWriter) -> None:
    await together(
        writer.write(Note("send"), "x", "x"),
        writer.write(Note("speak"), "x", "x"),
        writer.write(Note("send"), "y", "y"),
        writer.write(Note("send"), "x again", "x"),
        writer.write(Note("speak"), "y", "y"),
    )
    lines = await ledger.lines()
    assert [line for line in lines if "x" in line] == ["send:x", "speak:x", "send:x again"]
    assert [line for line in lines if "y" in line] == ["send:y", "speak:y"]
    assert ledger.transactions == 1


async def test_a_write_that_stands_alone_keeps_its_place(ledger: Ledger, writer: GroupCommitWriter) -> None:
    def count(connection: Connection) -> int:
        return int(connection.execute(sa.text("SELECT count(*) FROM ledger")).scalar_one())

    results = await together(
        writer.write(Note("a"), "1", "1"),
        writer.write_alone(count),
        writer.write(Note("a"), "2", "2"),
        writer.write(Note("a"), "3", "3"),
        writer.write_alone(count),
    )
    assert results == ["a:1 done with 1", 1, "a:2 done with 2", "a:3 done with 2", 3]
    assert ledger.transactions == 1


@pytest.mark.parametrize(("spoiler", "error"), [("bad", StoreError), ("bug", LookupError)])
async def test_a_write_that_fails_does_not_fail_its_neighbours(
    ledger: Ledger, writer: GroupCommitWriter, spoiler: str, error: type[Exception]
) -> None:
    results = await together(*(writer.write(Note("a"), text, text) for text in ("1", spoiler, "2", "3")))
    assert isinstance(results[1], error)
    assert not isinstance(results[1], StoreUnavailable)
    assert [result for result in results if isinstance(result, str)] == [f"a:{n} done with 1" for n in (1, 2, 3)]
    assert await ledger.lines() == ["a:1", "a:2", "a:3"]
    assert await writer.write(Note("a"), "4", "4") == "a:4 done with 1"


async def test_a_database_out_of_reach_fails_everybody_and_recovers(ledger: Ledger, writer: GroupCommitWriter) -> None:
    ledger.refusal = StoreUnavailable("the disk is full")
    results = await together(*(writer.write(Note("a"), str(number), str(number)) for number in range(3)))
    assert [(type(result), str(result)) for result in results] == [(StoreUnavailable, "the disk is full")] * 3
    assert len({id(result) for result in results}) == 3
    assert ledger.transactions == 1
    ledger.refusal = None
    assert await writer.write(Note("a"), "later", "later") == "a:later done with 1"
    assert await ledger.lines() == ["a:later"]


async def test_a_cancelled_caller_does_not_break_the_batch(ledger: Ledger, writer: GroupCommitWriter) -> None:
    ledger.gate.clear()
    first = asyncio.create_task(writer.write(Note("a"), "1", "1"))
    await ledger.begun.wait()
    impatient = asyncio.create_task(writer.write(Note("a"), "2", "2"))
    patient = asyncio.create_task(writer.write(Note("a"), "3", "3"))
    await asyncio.sleep(0)
    first.cancel()
    impatient.cancel()
    ledger.gate.set()
    assert await patient == "a:3 done with 2"
    assert [first.cancelled(), impatient.cancelled()] == [True, True]
    # What was handed over is written, whether or not its caller still waits.
    assert await ledger.lines() == ["a:1", "a:2", "a:3"]


async def test_closing_writes_what_waits_and_takes_no_more(ledger: Ledger) -> None:
    writer = GroupCommitWriter(ledger.transact)
    writer.start()
    ledger.gate.clear()
    waiting = together(*(writer.write(Note("a"), str(number), str(number)) for number in range(3)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closed"):
        await writer.write(Note("a"), "late", "late")
    ledger.gate.set()
    await closing
    assert await waiting == [f"a:{number} done with 3" for number in range(3)]
    assert await ledger.lines() == ["a:0", "a:1", "a:2"]


async def test_a_writer_that_is_cancelled_leaves_no_caller_waiting(ledger: Ledger) -> None:
    writer = GroupCommitWriter(ledger.transact)
    writer.start()
    ledger.gate.clear()
    in_flight = asyncio.create_task(writer.write(Note("a"), "1", "1"))
    await ledger.begun.wait()
    waiting = asyncio.create_task(writer.write(Note("a"), "2", "2"))
    await asyncio.sleep(0)
    assert writer._task is not None
    writer._task.cancel()
    outcomes = await asyncio.gather(in_flight, waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    with pytest.raises(StoreUnavailable):
        await writer.write(Note("a"), "3", "3")
