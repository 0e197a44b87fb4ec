"""What every message needs is committed in the same hop to SQLite's thread as it is written in: what that spares, and
that a commit that fails there takes everything back."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from bot.core.errors import StoreUnavailable
from bot.core.models import Session, UtteranceState
from bot.store import writer
from bot.store.driver import SqliteDriver
from bot.store.migrate import upgrade
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    await upgrade(f"sqlite:///{file}")
    async with await Store.open(f"sqlite:///{file}", ManualClock()) as store:
        yield store


@pytest.fixture
async def session(store: Store) -> Session:
    return await store.sessions.open(a_session())


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., object]]:
    """What is done in the threads of SQLite."""
    done: list[Callable[..., object]] = []
    execute: Any = aiosqlite.Connection._execute

    async def noted(driver: aiosqlite.Connection, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        done.append(work)
        return await execute(driver, work, *arguments, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", noted)
    return done


def texts(file: Path) -> list[str]:
    """What another program reads."""
    with closing(sqlite3.connect(file)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM utterances ORDER BY rowid")]


async def test_a_message_is_written_and_committed_in_one_hop(
    store: Store, session: Session, file: Path, hops: list[Callable[..., object]]
) -> None:
    hops.clear()
    assert await store.utterances.accept(["key"], an_utterance(session, text="one"))
    assert len(hops) == 1
    assert texts(file) == ["one"]


async def test_whoever_stands_before_the_commit_has_it_as_a_step_of_its_own(
    file: Path, hops: list[Callable[..., object]]
) -> None:
    await upgrade(f"sqlite:///{file}")
    async with await Store.open(f"sqlite:///{file}", ManualClock(), wrap_begin=WriteFaults().wrap) as store:
        session = await store.sessions.open(a_session())
        hops.clear()
        assert await store.utterances.accept(["key"], an_utterance(session, text="one"))
        assert len(hops) == 2
    assert texts(file) == ["one"]


async def test_a_transaction_is_committed_with_its_last_write_and_not_before(
    store: Store, session: Session, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all, batches = writer.write_all, []

    def noted(connection: Any, writes: Any, **options: bool) -> list[Any]:
        results = write_all(connection, writes, **options)
        batches.append((len(writes), texts(file)))
        return results

    monkeypatch.setattr(writer, "write_all", noted)
    one, two = (an_utterance(session, id=name, text=name) for name in ("one", "two"))
    utterances = store.utterances
    # A function stands between the two messages, and another one at the end.
    await asyncio.gather(utterances.accept(["1"], one), utterances.reword("one", "uno"), utterances.accept(["2"], two))
    await asyncio.gather(utterances.advance("two", UtteranceState.SENDING), utterances.reword("one", "one again"))
    assert batches == [(3, ["uno", "two"]), (2, ["uno", "two"])]
    assert texts(file) == ["one again", "two"]


async def test_a_commit_that_fails_takes_the_write_back_and_the_next_one_is_written(
    store: Store, session: Session, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: SqliteDriver) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(SqliteDriver, "commit", full)
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await store.utterances.accept(["key"], an_utterance(session, text="one"))
    assert texts(file) == []
    assert await store.utterances.accept(["key"], an_utterance(session, text="one"))
    assert texts(file) == ["one"]


async def test_one_write_that_is_refused_spoils_no_other(store: Store, session: Session, file: Path) -> None:
    accept = store.utterances.accept
    stranger = a_session()
    outcomes = await asyncio.gather(
        accept(["1"], an_utterance(session, text="one")),
        accept(["2"], an_utterance(stranger, text="of no session")),
        accept(["3"], an_utterance(session, text="two")),
        return_exceptions=True,
    )
    assert [outcome for outcome in outcomes if not isinstance(outcome, Exception)] == [True, True]
    assert texts(file) == ["one", "two"]
