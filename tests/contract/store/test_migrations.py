"""The migrations, on both engines: up, down, the same shape as the tables, and what is too new is refused."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

import migrations
from bot.core.errors import StoreError, StoreTooNew, StoreUnavailable
from bot.core.models import Channel, EndReason, SessionState, StreamState, UtteranceState
from bot.store import migrate, tables
from bot.store.rows import session_row, stream_row
from bot.store.store import Store
from bot.store.tables import metadata
from tests.builders import NOON, a_session, a_stream, an_utterance
from tests.harness.clock import ManualClock


def tables_of(connection: Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


def shape_of(connection: Connection) -> dict[str, Any]:
    """Everything the engine says of the tables but the order: columns, keys, checks, and indexes with conditions."""
    inspector = sa.inspect(connection)

    def sorted_by_text(items: Iterable[object]) -> list[str]:
        return sorted(map(repr, items))

    return {
        table: {
            "columns": sorted_by_text(inspector.get_columns(table)),
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": sorted_by_text(inspector.get_foreign_keys(table)),
            "unique": sorted_by_text(inspector.get_unique_constraints(table)),
            "checks": sorted_by_text(inspector.get_check_constraints(table)),
            "indexes": sorted_by_text(
                (index["name"], index["column_names"], index["unique"], where_of(index))
                for index in inspector.get_indexes(table)
            ),
        }
        for table in (*metadata.tables, "alembic_version")
    } | {"fence": fence_of(connection)}


def fence_of(connection: Connection) -> dict[str, Any]:
    """The triggers on PostgreSQL, by their table, and what they run."""
    if connection.dialect.name != "postgresql":
        return {}
    triggers = sa.text("SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal")
    functions = sa.text("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace")
    return {
        "triggers": sorted(map(tuple, connection.execute(triggers))),
        "functions": sorted(map(tuple, connection.execute(functions))),
    }


def drop_everything(connection: Connection) -> None:
    metadata.drop_all(connection)
    connection.execute(sa.text("DROP TABLE alembic_version"))


async def run_every_step(url: str) -> None:
    """What an upgrade does with a database that misses them all, but which is not empty."""
    await migrate.over_connection(url, lambda connection: migrate._run_steps(connection, migrate.head()))


def where_of(index: Any) -> str:
    options = index.get("dialect_options", {})
    return str(options.get("sqlite_where", options.get("postgresql_where")))


async def test_an_empty_database_is_brought_up_to_date(empty_url: str) -> None:
    assert await migrate.current(empty_url) is None
    assert await migrate.upgrade(empty_url) == migrate.head()
    assert await migrate.current(empty_url) == migrate.head()
    assert await migrate.over_connection(empty_url, tables_of) == {*metadata.tables, "alembic_version"}
    await migrate.verify(empty_url)


async def test_a_second_upgrade_keeps_what_is_there(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    async with await Store.open(empty_url, ManualClock()) as store:
        session = await store.sessions.open(a_session())
    assert await migrate.upgrade(empty_url) == migrate.head()
    async with await Store.open(empty_url, ManualClock()) as store:
        assert await store.sessions.all_open() == [session]


async def test_programs_that_upgrade_at_once_do_not_disturb_each_other(empty_url: str) -> None:
    revisions = await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(4)))
    assert revisions == [migrate.head()] * 4


async def test_a_database_of_an_older_program_keeps_what_is_there(empty_url: str) -> None:
    def make_old(connection: Connection) -> None:
        migrate._run_steps(connection, "0001")
        connection.execute(sa.text("INSERT INTO processed_events (key, seen_at) VALUES ('k', '2026-01-01 00:00:00')"))

    await migrate.over_connection(empty_url, make_old)
    assert await migrate.upgrade(empty_url) == migrate.head()
    kept = sa.text("SELECT key FROM processed_events")
    assert await migrate.over_connection(empty_url, lambda connection: connection.scalars(kept).all()) == ["k"]


async def test_a_stream_of_before_its_speech_was_counted_is_still_read_and_says_nothing_of_it(empty_url: str) -> None:
    session = a_session()

    def make_old(connection: Connection) -> None:
        migrate._run_steps(connection, "0003")
        connection.execute(sa.insert(tables.sessions).values(session_row(session)))
        stream = a_stream(session, state=StreamState.CLOSED, upstream_id="up-1", closed_at=NOON)
        row = {name: value for name, value in stream_row(stream).items() if name != "spoken_seconds"}
        connection.execute(sa.insert(tables.streams).values(row))

    await migrate.over_connection(empty_url, make_old)
    assert await migrate.upgrade(empty_url) == migrate.head()
    async with await Store.open(empty_url, ManualClock()) as store:
        ((use,),) = (await store.streams.usage_of([session.id])).values()
    assert (use.closed_at, use.spoken_seconds) == (NOON, None)


async def test_of_two_sessions_in_a_channel_that_two_workspaces_share_the_older_one_stays_open(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    await migrate.downgrade(empty_url, "0008")
    older = a_session(state=SessionState.LIVE)
    theirs = Channel(older.channel.platform, "another company", older.channel.id)
    younger = a_session(channel=theirs, state=SessionState.LIVE, created_at=older.created_at + timedelta(minutes=1))
    another = a_session(state=SessionState.LIVE)

    def insert(connection: Connection) -> None:
        for session in (older, younger, another):
            connection.execute(tables.sessions.insert(), session_row(session))

    await migrate.over_connection(empty_url, insert)
    assert await migrate.upgrade(empty_url) == migrate.head()
    async with await Store.open(empty_url, ManualClock()) as store:
        assert {session.id for session in await store.sessions.all_open()} == {older.id, another.id}
        closed = await store.sessions.get(younger.id)
    assert closed is not None
    assert (closed.state, closed.end_reason) == (SessionState.CLOSED, EndReason.FAILED)
    assert closed.closed_at is not None


async def test_what_an_older_program_left_in_the_middle_is_told_and_what_it_had_noted_is_not_told_again(
    empty_url: str,
) -> None:
    session = a_session(state=SessionState.LIVE)
    noted = an_utterance(session, state=UtteranceState.UNKNOWN, ended_at=NOON)
    left = an_utterance(session, state=UtteranceState.SPEAKING)

    def make_old(connection: Connection) -> None:
        migrate._run_steps(connection, "0009")
        connection.execute(tables.sessions.insert(), session_row(session))
        connection.execute(tables.utterances.insert(), [noted._asdict(), left._asdict()])

    await migrate.over_connection(empty_url, make_old)
    assert await migrate.upgrade(empty_url) == migrate.head()
    async with await Store.open(empty_url, ManualClock()) as store:
        assert await store.doubts.of_sessions([session.id]) == {session.id: []}
        await store.utterances.mark_in_flight_unknown([session.id])
        assert [each.id for each in (await store.doubts.of_sessions([session.id]))[session.id]] == [left.id]


async def test_a_downgrade_leaves_nothing_and_can_be_undone(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    await migrate.downgrade(empty_url, "base")
    assert await migrate.over_connection(empty_url, tables_of) == {"alembic_version"}
    assert await migrate.current(empty_url) is None
    assert await migrate.upgrade(empty_url) == migrate.head()


@pytest.mark.parametrize("bring_up_to_date", [migrate.upgrade, run_every_step])
async def test_autogenerate_shows_no_difference(
    empty_url: str, bring_up_to_date: Callable[[str], Awaitable[object]]
) -> None:
    await bring_up_to_date(empty_url)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found: list[Any] = compare_metadata(context, metadata)
        return found

    assert await migrate.over_connection(empty_url, differences) == []


async def test_the_steps_make_what_an_empty_database_gets_down_to_checks_and_conditions(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    said = await migrate.over_connection(empty_url, shape_of)
    await migrate.over_connection(empty_url, drop_everything)
    await run_every_step(empty_url)
    assert await migrate.over_connection(empty_url, shape_of) == said
    assert "opening" in str(said["sessions"]["checks"])
    assert "closed" in str(said["sessions"]["indexes"])
    assert await migrate.current(empty_url) == migrate.head()
    if "triggers" in said["fence"]:
        fenced = sorted(table.name for table in tables.FENCED)
        assert [table for table, _ in said["fence"]["triggers"]] == fenced


async def test_no_fence_is_left_of_a_downgrade(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    await migrate.downgrade(empty_url, "0004")
    left = await migrate.over_connection(empty_url, fence_of)
    assert not any(left.values())
    assert await migrate.upgrade(empty_url) == migrate.head()


async def test_a_database_of_a_newer_program_is_refused_and_not_touched(empty_url: str) -> None:
    await migrate.upgrade(empty_url)

    def make_newer(connection: Connection) -> None:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    await migrate.over_connection(empty_url, make_newer)
    for refuse in (migrate.upgrade, migrate.verify):
        with pytest.raises(
            StoreTooNew, match=r"made by a newer avatar-relay .*upgrade the program or use another DATA"
        ):
            await refuse(empty_url)
    assert await migrate.current(empty_url) == "9999"


async def test_a_database_without_tables_names_the_command_that_makes_them(empty_url: str) -> None:
    await migrate.over_connection(empty_url, tables_of)
    with pytest.raises(StoreUnavailable, match="avatar-relay db upgrade"):
        await Store.open(empty_url, ManualClock())
    with pytest.raises(StoreUnavailable, match="avatar-relay db upgrade"):
        await migrate.verify(empty_url)


async def test_a_step_that_fails_leaves_the_database_as_it_was(empty_url: str) -> None:
    def make_obstacle(connection: Connection) -> None:
        connection.execute(sa.text("CREATE TABLE audit (obstacle INTEGER)"))

    await migrate.over_connection(empty_url, make_obstacle)
    with pytest.raises(StoreError, match="audit"):
        await migrate.upgrade(empty_url)
    assert await migrate.over_connection(empty_url, tables_of) == {"audit"}


def test_the_files_of_the_steps_are_named_by_their_revisions_in_order() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [step.revision for step in scripts.walk_revisions()] == sorted(migrate._revisions(), reverse=True)
