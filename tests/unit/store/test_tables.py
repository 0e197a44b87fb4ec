"""The tables say what the values say, and every query finds an index."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.core.models import AuditEntry, Session, Stream, StreamState, Utterance, UtteranceState
from bot.store import migrate
from bot.store.rows import in_batches
from bot.store.store import Store
from bot.store.tables import audit, sessions, stream_is_unsettled, streams, utterance_is_unfinished, utterances
from tests.builders import NOON, a_session, a_stream, an_utterance
from tests.harness.clock import ManualClock
from tests.harness.sqlite import reading_driver, writing_driver


def fields(kind: type[Any]) -> list[str]:
    return list(kind.__annotations__)


def columns(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns]


def test_columns_stand_in_the_order_of_the_fields() -> None:
    assert columns(streams) == fields(Stream)
    assert columns(utterances) == fields(Utterance)
    assert columns(audit) == ["id", *fields(AuditEntry)]
    laid_flat = [
        name
        for field in fields(Session)
        for name in (["platform", "workspace", field] if field == "channel" else [field])
    ]
    # Which process a session is at is nothing that it knows.
    assert columns(sessions) == [*laid_flat, "owner"]


def test_a_column_may_be_empty_where_the_value_may_be_none() -> None:
    for table, kind in ((sessions, Session), (streams, Stream), (utterances, Utterance), (audit, AuditEntry)):
        optional = {name for name, annotation in kind.__annotations__.items() if "None" in str(annotation)}
        assert {column.name for column in table.columns if column.nullable} - {"owner"} == optional


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (stream_is_unsettled, {state.value for state in StreamState if state.may_cost}),
        (utterance_is_unfinished, {state.value for state in UtteranceState if not state.is_final}),
    ],
)
def test_the_conditions_agree_with_the_model(condition: sa.ColumnElement[bool], expected: set[str]) -> None:
    kind: type[StreamState] | type[UtteranceState] = StreamState if condition is stream_is_unsettled else UtteranceState
    written = str(condition)
    assert {state.value for state in kind if f"'{state.value}'" in written} == expected


def test_portions_hold_every_id_and_have_few_sizes() -> None:
    for size in (0, 1, 2, 3, 999, 1000, 1001, 2500):
        ids = [str(number) for number in range(size)]
        portions = list(in_batches(ids))
        assert [i for portion in portions for i in dict.fromkeys(portion)] == ids
        assert all(len(portion).bit_count() == 1 for portion in portions)


async def test_every_query_finds_an_index(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    await migrate.upgrade(url)
    statements: set[str] = set()

    async with await Store.open(url, ManualClock()) as store:
        for driver in (await writing_driver(store), await reading_driver(store)):
            # It is told statements with their values in them, those too that do not go through SQLAlchemy.
            await driver.set_trace_callback(statements.add)
        session = await store.sessions.open(a_session())
        stream, utterance = a_stream(session), an_utterance(session)
        await store.streams.record(stream)
        ids = [session.id, "another"]
        await asyncio.gather(
            store.utterances.accept(["key"], utterance),
            store.utterances.advance(utterance.id, UtteranceState.SENDING),
            store.streams.advance(stream.id, StreamState.OPEN),
            store.streams.bind(stream.id, "up"),
            store.utterances.drop_queued(session.id),
            store.utterances.mark_in_flight_unknown(ids),
            store.utterances.forget_keys(NOON),
            store.sessions.request_stop(session.id, "shell"),
        )
        await store.sessions.claim(session.provider)
        await store.sessions.all_open()
        await store.sessions.running_in(session.channel)
        await store.sessions.by_link("nonce")
        await store.sessions.stop_requests()
        await store.streams.unsettled()
        await store.utterances.queued(ids)
        await store.utterances.last_activity(ids)
        await store.utterances.last_word(ids)
        await store.channels.settings(session.channel)
        await store.doubts.of_sessions(ids)
        await store.doubts.settle(["u1", "u2"])
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
        plans = [
            (statement, step[3])
            for statement in statements
            if statement.startswith(("SELECT", "UPDATE", "DELETE"))
            for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
    assert len(plans) > 15
    assert [plan for plan in plans if plan[1].startswith("SCAN") and "USING" not in plan[1]] == []
    by_table = {plan for statement, plan in plans if "utterances" in statement and "session_id IN" in statement}
    assert "SEARCH utterances USING INDEX ix_utterances_unfinished (session_id=?)" in by_table
