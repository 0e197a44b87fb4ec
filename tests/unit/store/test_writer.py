"""The group-commit writer: what shares a transaction, in which order, and what a failure or a cancellation does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.core.errors import StoreError, StoreUnavailable
from bot.core.models import UtteranceState
from bot.store.batch_statements import AcceptedMessage, Advance
from bot.store.connections import Connections
from bot.store.tables import utterances
from bot.store.url import parse_url
from bot.store.writer import MANY, MAX_BATCH_SIZE, MAX_DELAY, MORE_TURNS
from tests.builders import NOON, an_utterance
from tests.harness.clock import settle
from tests.unit.store.written_to import Ground, ground_at, sending, soon

T = TypeVar("T")
SENDING, SPEAKING, SPOKEN = UtteranceState.SENDING, UtteranceState.SPEAKING, UtteranceState.SPOKEN


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground_at(tmp_path) as ground:
        yield ground


def together(*writes: Awaitable[T]) -> asyncio.Future[list[T | BaseException]]:
    return asyncio.gather(*writes, return_exceptions=True)


def count(connection: Connection) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(utterances)).scalar_one())


async def test_writes_that_wait_together_share_a_transaction(ground: Ground) -> None:
    assert await together(*(ground.accept(f"{number}") for number in range(5))) == [True] * 5
    assert ground.gate.transactions == 1


async def test_what_arrives_during_a_commit_goes_into_the_next_one(ground: Ground) -> None:
    ground.gate.opened.clear()
    first = asyncio.create_task(ground.accept("1"))
    await ground.gate.begun.wait()
    rest = together(*(ground.accept(f"{number}") for number in (2, 3, 4)))
    await asyncio.sleep(0)
    ground.gate.opened.set()
    assert await first
    assert await rest == [True] * 3
    assert ground.gate.transactions == 2


@pytest.mark.parametrize(("waiting", "transactions"), [(MANY - 1, 2), (MANY, 1)])
async def test_where_many_wait_a_commit_waits_some_turns_for_more(
    ground: Ground, waiting: int, transactions: int
) -> None:
    async def accept_later() -> bool:
        for _ in range(MORE_TURNS):
            await asyncio.sleep(0)
        return await ground.accept("later")

    await together(*(ground.accept(f"{number}") for number in range(waiting)), accept_later())
    assert ground.gate.transactions == transactions
    assert len(await ground.texts()) == waiting + 1


async def test_a_batch_is_bounded(ground: Ground) -> None:
    await together(*(ground.accept(f"{number}") for number in range(MAX_BATCH_SIZE + 1)))
    assert ground.gate.transactions == 2
    assert await ground.texts() == [f"{number}" for number in range(MAX_BATCH_SIZE + 1)]


async def test_writes_that_touch_the_same_thing_keep_their_order(ground: Ground) -> None:
    x, y, new = (an_utterance(ground.session, text=text) for text in ("x", "y", "new"))
    for utterance in (x, y):
        await ground.writer.write(AcceptedMessage((), utterance, NOON))
    before = ground.gate.transactions
    await together(
        ground.advance(x, SENDING, "once"),
        ground.advance(x, SPEAKING),
        ground.advance(y, SENDING),
        ground.writer.write(AcceptedMessage((), new, NOON)),
        ground.advance(x, SPOKEN),
        ground.advance(x, SENDING, "too late"),
        ground.advance(new, SENDING),
        ground.advance(y, SPEAKING, "twice"),
    )
    assert await ground.states() == {"x": (SPOKEN, "once"), "y": (SPEAKING, "twice"), "new": (SENDING, None)}
    assert ground.gate.transactions == before + 1


async def test_the_first_of_two_with_the_same_key_is_accepted(ground: Ground) -> None:
    assert await together(ground.accept("1"), ground.accept("1"), ground.accept("2")) == [True, False, True]
    assert await ground.texts() == ["1", "2"]


async def test_a_write_that_stands_alone_keeps_its_place(ground: Ground) -> None:
    results = await together(
        ground.accept("1"),
        ground.writer.write(count),
        ground.accept("2"),
        ground.accept("3"),
        ground.writer.write(count),
    )
    assert results == [True, 1, True, True, 3]
    assert ground.gate.transactions == 1


async def test_a_transaction_that_reads_first_holds_the_lock_already(ground: Ground, tmp_path: Path) -> None:
    """Without it the write would fail as soon as another program had written in between."""

    def read_then_write(connection: Connection) -> int:
        before = count(connection)
        connection.execute(utterances.update().values(detail="changed"))
        return before

    await ground.accept("1")
    ground.gate.commit_allowed.clear()
    ground.gate.written.clear()
    reading = asyncio.create_task(ground.writer.write(count))
    await ground.gate.written.wait()
    another = await Connections.open(parse_url(f"sqlite:///{tmp_path / 'relay.db'}"))
    waiting = asyncio.create_task(_write(another))
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()
    ground.gate.commit_allowed.set()
    assert await reading == 1
    await waiting
    await another.close()
    assert await ground.writer.write(read_then_write) == 1


async def _write(connections: Connections) -> None:
    async with connections.begin() as connection:
        await connection.execute(utterances.update().values(detail="by another"))


def _bug(_: Connection) -> None:
    raise LookupError("a bug")


@pytest.mark.parametrize(("spoiler", "error"), [("bad", StoreError), ("bug", LookupError)])
async def test_a_write_that_fails_does_not_fail_its_neighbours(
    ground: Ground, spoiler: str, error: type[Exception]
) -> None:
    spoiled = ground.writer.write(_bug) if spoiler == "bug" else ground.accept("bad")
    results = await together(ground.accept("1"), spoiled, ground.accept("2"), ground.accept("3"))
    assert isinstance(results.pop(1), error)
    assert results == [True, True, True]
    assert await ground.texts() == ["1", "2", "3"]
    assert await ground.accept("4")


async def test_an_order_that_breaks_a_rule_is_no_trouble_with_the_database(ground: Ground) -> None:
    with pytest.raises(StoreError) as refusal:
        await ground.accept("bad")
    assert not isinstance(refusal.value, StoreUnavailable)


async def test_a_database_out_of_reach_fails_everybody_and_recovers(ground: Ground) -> None:
    ground.gate.failure = StoreUnavailable("the disk is full")
    results = await together(*(ground.accept(f"{number}") for number in range(3)))
    assert [(type(result), str(result)) for result in results] == [(StoreUnavailable, "the disk is full")] * 3
    assert len({id(result) for result in results}) == 3
    assert ground.gate.transactions == 1
    ground.gate.failure = None
    assert await ground.accept("later")
    assert await ground.texts() == ["later"]


async def test_an_unexpected_error_of_the_database_does_not_end_the_writer(ground: Ground) -> None:
    ground.gate.failure = RuntimeError("nobody thought of this")
    assert [type(result) for result in await together(ground.accept("1"), ground.accept("2"))] == [RuntimeError] * 2
    ground.gate.failure = None
    assert await ground.accept("later")


@pytest.mark.parametrize("when", ["before it begins", "before the commit"])
async def test_a_cancelled_caller_does_not_break_the_batch(ground: Ground, when: str) -> None:
    held, reached = (
        (ground.gate.opened, ground.gate.begun)
        if when == "before it begins"
        else (ground.gate.commit_allowed, ground.gate.written)
    )
    held.clear()
    first = asyncio.create_task(ground.accept("1"))
    await reached.wait()
    impatient = asyncio.create_task(ground.accept("2"))
    patient = asyncio.create_task(ground.accept("3"))
    await asyncio.sleep(0)
    first.cancel()
    impatient.cancel()
    held.set()
    assert await patient
    assert [first.cancelled(), impatient.cancelled()] == [True, True]
    # What was handed over is written, whether or not its caller still waits.
    assert await ground.texts() == ["1", "2", "3"]


async def test_closing_writes_what_waits_and_takes_no_more(ground: Ground) -> None:
    ground.gate.opened.clear()
    waiting = together(*(ground.accept(f"{number}") for number in range(3)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(ground.writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closed"):
        await ground.accept("late")
    ground.gate.opened.set()
    await closing
    assert await waiting == [True] * 3
    assert await ground.texts() == ["0", "1", "2"]


@pytest.mark.parametrize("when", ["before it begins", "before the commit"])
async def test_a_writer_that_is_cancelled_leaves_no_caller_waiting(ground: Ground, when: str) -> None:
    held, reached = (
        (ground.gate.opened, ground.gate.begun)
        if when == "before it begins"
        else (ground.gate.commit_allowed, ground.gate.written)
    )
    held.clear()
    in_flight = asyncio.create_task(ground.accept("1"))
    await reached.wait()
    waiting = asyncio.create_task(ground.accept("2"))
    await asyncio.sleep(0)
    task, ground.writer._task = ground.writer._task, None
    assert task is not None
    task.cancel()
    outcomes = await asyncio.gather(in_flight, waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    with pytest.raises(StoreUnavailable):
        await ground.accept("3")
    await asyncio.wait([task])
    assert await ground.texts() == []


# --- what nobody waits for -------------------------------------------------------------------------------------------


async def test_what_nobody_waits_for_rides_along_with_the_next_commit(ground: Ground) -> None:
    utterance = await sending(ground)
    soon(ground, utterance, SPEAKING, SPOKEN)
    await settle()
    assert ground.gate.transactions == 2
    await ground.accept("y")
    assert ground.gate.transactions == 3
    assert (await ground.states())["x"] == (SPOKEN, None)
    assert ground.clock.due == []
    await ground.clock.advance(MAX_DELAY)
    await ground.writer.write(count)
    assert ground.gate.transactions == 4


async def test_what_nobody_waits_for_is_committed_alone_when_no_other_write_comes(ground: Ground) -> None:
    utterance = await sending(ground)
    for state, transactions in ((SPEAKING, 3), (SPOKEN, 4)):
        soon(ground, utterance, state)
        await ground.clock.advance(MAX_DELAY * 0.9)
        assert ground.gate.transactions == transactions - 1
        ground.gate.written.clear()
        await ground.clock.advance(MAX_DELAY * 0.1)
        await ground.gate.written.wait()
        assert ground.gate.transactions == transactions
    await ground.writer.close()
    assert await ground.states() == {"x": (SPOKEN, None)}


async def test_the_time_of_what_nobody_waits_for_counts_from_the_first(ground: Ground) -> None:
    utterance = await sending(ground)
    soon(ground, utterance, SPEAKING)
    await ground.clock.advance(MAX_DELAY * 0.9)
    soon(ground, utterance, SPOKEN)
    ground.gate.written.clear()
    await ground.clock.advance(MAX_DELAY * 0.1)
    await ground.gate.written.wait()
    assert ground.gate.transactions == 3


async def test_what_nobody_waits_for_keeps_its_place(ground: Ground) -> None:
    utterance = await sending(ground)
    soon(ground, utterance, SPEAKING)
    interrupted = ground.advance(utterance, UtteranceState.INTERRUPTED, "cut")
    after = asyncio.create_task(interrupted)
    await asyncio.sleep(0)
    soon(ground, utterance, SPOKEN)
    await after
    await ground.writer.close()
    assert await ground.states() == {"x": (UtteranceState.INTERRUPTED, "cut")}


async def test_what_comes_during_a_commit_and_is_waited_for_by_nobody_has_its_time(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.opened.clear()
    ground.gate.begun.clear()
    first = asyncio.create_task(ground.accept("1"))
    await ground.gate.begun.wait()
    soon(ground, utterance, SPOKEN)
    ground.gate.opened.set()
    assert await first
    await settle()
    assert ground.gate.transactions == 3
    ground.gate.written.clear()
    await ground.clock.advance(MAX_DELAY)
    await ground.gate.written.wait()


async def test_in_a_flood_what_nobody_waits_for_is_written_before_what_came_later(ground: Ground) -> None:
    """However many writes there are: it never stands back behind those that are waited for."""
    utterance = await sending(ground)
    early = together(*(ground.accept(f"early {number}") for number in range(MAX_BATCH_SIZE)))
    await asyncio.sleep(0)
    soon(ground, utterance, SPOKEN)
    late = asyncio.create_task(ground.accept("late"))
    assert await late
    assert (await ground.states())["x"] == (SPOKEN, None)
    await early


async def test_closing_writes_what_nobody_waits_for(ground: Ground) -> None:
    utterance = await sending(ground)
    soon(ground, utterance, SPEAKING, SPOKEN)
    await ground.writer.close()
    assert await ground.states() == {"x": (SPOKEN, None)}
    with pytest.raises(StoreUnavailable, match="closed"):
        soon(ground, utterance, SPOKEN)


async def test_an_error_of_what_nobody_waits_for_is_told(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = StoreUnavailable("the disk is full")
    errors = soon(ground, utterance, SPEAKING, SPOKEN)
    await ground.clock.advance(MAX_DELAY)
    assert [(type(error), str(error)) for error in errors] == [(StoreUnavailable, "the disk is full")] * 2
    ground.gate.failure = None
    assert await ground.accept("later")


async def test_whoever_is_told_of_an_error_and_fails_over_it_does_not_end_the_writer(ground: Ground) -> None:
    utterance = await sending(ground)
    ground.gate.failure = StoreUnavailable("the disk is full")
    mistakes: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context["exception"]))

    def fail(_: BaseException) -> None:
        raise ValueError("a mistake of whoever was told")

    ground.writer.advance_soon(Advance(utterance.id, SPEAKING, None, NOON), fail)
    errors = soon(ground, utterance, SPOKEN)
    await ground.clock.advance(MAX_DELAY)
    assert [str(error) for error in errors] == ["the disk is full"]
    assert [str(mistake) for mistake in mistakes] == ["a mistake of whoever was told"]
    ground.gate.failure = None
    assert await ground.accept("later")


async def test_a_neighbour_that_fails_does_not_take_along_what_nobody_waits_for(ground: Ground) -> None:
    utterance = await sending(ground)
    errors = soon(ground, utterance, SPOKEN)
    with pytest.raises(StoreError):
        await ground.accept("bad")
    assert errors == []
    assert await ground.states() == {"x": (SPOKEN, None)}
