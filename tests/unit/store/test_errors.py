"""A database that fails says so in one sentence, with its name and without a password, and works again afterwards."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.core.errors import StoreError, StoreUnavailable
from bot.store import errors as trouble
from bot.store import migrate
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock
from tests.harness.sqlite import set_on_writer, writing_driver


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    await migrate.upgrade(f"sqlite:///{file}")
    async with await Store.open(f"sqlite:///{file}", ManualClock()) as store:
        yield store


@pytest.fixture
def letter(file: Path) -> Iterator[Path]:
    """Something else under the name of the database; it must still be there afterwards."""
    file.write_text("a letter to a friend " * 100)
    yield file
    assert file.read_text() == "a letter to a friend " * 100


async def test_a_file_that_is_no_database_is_told_and_left_alone(letter: Path) -> None:
    for open_it in (migrate.upgrade(f"sqlite:///{letter}"), Store.open(f"sqlite:///{letter}", ManualClock())):
        with pytest.raises(StoreUnavailable, match="is not an SQLite database") as refusal:
            await open_it
        assert str(letter) in str(refusal.value)


async def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    for open_it in (migrate.upgrade(f"sqlite:///{tmp_path}"), Store.open(f"sqlite:///{tmp_path}", ManualClock())):
        with pytest.raises(StoreUnavailable, match="cannot be opened for writing"):
            await open_it


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "relay.db"
    assert await migrate.upgrade(f"sqlite:///{file}") == await migrate.current(f"sqlite:///{file}")


async def test_asking_for_the_revision_makes_no_file(file: Path) -> None:
    assert await migrate.current(f"sqlite:///{file}") is None
    assert not os.access(file, os.F_OK)


async def test_a_database_that_cannot_be_written_is_told(store: Store) -> None:
    # The same error as of a file on a read-only disk, also for the administrator.
    await set_on_writer(store, "query_only = ON")
    with pytest.raises(StoreUnavailable, match="cannot be written: check the permissions"):
        await store.sessions.open(a_session())
    await store.check()
    await set_on_writer(store, "query_only = OFF")
    await store.sessions.open(a_session())


async def test_a_full_disk_is_told_and_loses_nothing(store: Store) -> None:
    session = await store.sessions.open(a_session())
    kept = an_utterance(session)
    await store.utterances.accept(["kept"], kept)
    await set_on_writer(store, "max_page_count = 1")
    refused = an_utterance(session, text="long " * 100_000)
    with pytest.raises(StoreUnavailable, match="its disk is full: free some space"):
        await store.utterances.accept(["refused"], refused)
    await set_on_writer(store, "max_page_count = 1000000")
    assert await store.utterances.accept(["refused"], refused)
    assert await store.utterances.queued([session.id]) == {session.id: [kept, refused]}


async def test_a_lock_held_by_another_program_is_told_and_forgotten(store: Store, file: Path) -> None:
    await set_on_writer(store, "busy_timeout = 1")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"is locked by another program .*close that program"):
            await store.sessions.open(a_session())
        # Reading goes on beside it.
        assert await store.sessions.all_open() == []
        other.execute("ROLLBACK")
    session = await store.sessions.open(a_session())
    assert await store.sessions.all_open() == [session]


@pytest.mark.parametrize("page", ["root of the tables", "everything but the header"])
def test_a_damaged_file_is_told_and_left_as_it_is(file: Path, page: str) -> None:
    asyncio.run(migrate.upgrade(f"sqlite:///{file}"))
    intact = file.read_bytes()
    # The first 100 bytes are the header of the file, a page has 4096, https://www.sqlite.org/fileformat.html
    until = 4096 if page == "root of the tables" else len(intact)
    damaged = intact[:100] + b"\xa5" * (until - 100) + intact[until:]
    file.write_bytes(damaged)
    for open_it in (migrate.upgrade(f"sqlite:///{file}"), Store.open(f"sqlite:///{file}", ManualClock())):
        with pytest.raises(StoreUnavailable, match="is damaged: restore a copy") as refusal:
            asyncio.run(open_it)
        assert str(file) in str(refusal.value)
    assert file.read_bytes() == damaged


async def test_damage_that_comes_while_the_bot_runs_is_told(store: Store, file: Path) -> None:
    session = await store.sessions.open(a_session())
    await set_on_writer(store, "wal_checkpoint(TRUNCATE)")
    await asyncio.to_thread(spoil, file)
    await set_on_writer(store, "shrink_memory")
    with pytest.raises(StoreUnavailable, match="is damaged: restore a copy"):
        await store.utterances.accept(["key"], an_utterance(session))


def spoil(file: Path) -> None:
    """Overwrite every page but the first."""
    with file.open("r+b") as disk:
        size = disk.seek(0, os.SEEK_END)
        disk.seek(4096)
        disk.write(b"\xa5" * (size - 4096))


async def test_another_program_may_write_between_our_transactions(store: Store, file: Path) -> None:
    async with await Store.open(f"sqlite:///{file}", ManualClock()) as shell:
        session = await store.sessions.open(a_session())
        assert await shell.sessions.request_stop(session.id, "shell")
        assert await store.sessions.stop_requests() == [(session.id, "shell")]


async def test_a_refused_change_does_not_repeat_what_was_to_be_written(store: Store) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY") as refusal:
        await store.utterances.accept(["key"], an_utterance(a_session(), text="a private word"))
    assert "private" not in f"{refusal.value!r} {refusal.value.__cause__!r}"
    assert not isinstance(refusal.value, StoreUnavailable)


async def test_a_postgresql_server_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://ada:s3cret@/relay?host={tmp_path}"
    for attempt in (migrate.upgrade(url), Store.open(url, ManualClock())):
        with pytest.raises(StoreUnavailable, match=r"PostgreSQL database relay .* cannot be reached") as refusal:
            await attempt
        assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("message", [True, False])
async def test_a_connection_that_is_gone_is_told_and_replaced(store: Store, message: bool) -> None:
    session = await store.sessions.open(a_session())
    await (await writing_driver(store)).close()
    with pytest.raises(StoreUnavailable, match="has lost its connection: try again"):
        await (store.utterances.accept(["key"], None) if message else store.sessions.request_stop(session.id, "shell"))
    assert await store.utterances.accept(["key"], an_utterance(session))


async def test_a_file_that_is_gone_is_made_anew_and_lacks_its_tables(file: Path, store: Store) -> None:
    await store.close()
    for name in file.parent.glob(f"{file.name}*"):
        name.unlink()
    with pytest.raises(StoreUnavailable, match="has no tables of this version: run `avatar-relay db upgrade`"):
        await Store.open(f"sqlite:///{file}", ManualClock())


@pytest.mark.parametrize("what", [migrate.upgrade, lambda url: Store.open(url, ManualClock())])
async def test_a_connection_that_cannot_be_opened_leaves_no_thread_behind(
    letter: Path, what: Callable[[str], Awaitable[object]]
) -> None:
    with pytest.raises(StoreUnavailable, match="is not an SQLite database"):
        await what(f"sqlite:///{letter}")
    for thread in _threads_of_aiosqlite():
        # It ends a moment after it has said that its connection is closed.
        thread.join(5)
    assert _threads_of_aiosqlite() == []


def _threads_of_aiosqlite() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]


async def test_a_closed_store_says_so(file: Path) -> None:
    await migrate.upgrade(f"sqlite:///{file}")
    store = await Store.open(f"sqlite:///{file}", ManualClock())
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.sessions.open(a_session())
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.sessions.all_open()


def test_every_sentence_says_what_to_do() -> None:
    for words in (*trouble._SQLITE.values(), *trouble._POSTGRESQL.values(), trouble.NO_TABLES):
        assert ":" in words
