"""A bot moves to PostgreSQL with all it has, and back: the avatar that it left open goes on; a copy that is killed in
the middle leaves nothing behind."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.harness.programs import Program, Service, run

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

STOPS_IN_THE_MIDDLE = """
import os, signal
import bot.store.copy as copying
copy_table = copying._copy_table
async def stopping(table, source, target):
    count = await copy_table(table, source, target)
    if table.name == "utterances":
        print("in the middle", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    return count
copying._copy_table = stopping
"""


def on_postgresql(url: str, query: str) -> list[tuple[Any, ...]]:
    async def connected() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(connected())


def test_a_bot_moves_to_postgresql_and_back_with_its_avatar(
    tmp_path: Path, service: Service, new_postgres_url: Callable[[], str]
) -> None:
    settings = service.settings(tmp_path, SHUTDOWN="keep", WEB_SECRET="0123456789abcdef" * 2)
    file, postgresql = settings.pop("DATABASE_URL"), new_postgres_url()
    back = f"sqlite:///{tmp_path / 'back.sqlite3'}"

    def lives(url: str, *lines: str, begins: str) -> None:
        with Program(tmp_path, "run", "--console", changed=None, **settings | {"DATABASE_URL": url}) as bot:
            bot.until(begins)
            for line in lines:
                bot.type(line)
                bot.until("The avatar is live." if line.startswith("/") else f"  said: {line}")
            bot.close_input()
            assert bot.end() == 0
            assert "1 session left open for the next start" in bot.output

    lives(file, "/avatar start", "one", begins="Web: ")
    copied = run(tmp_path, "db", "copy", file, postgresql, **settings)
    assert (copied.code, copied.errors) == (0, "")
    assert "  utterances        1 row\n" in copied.output
    lives(postgresql, "two", begins="Recovered: 1 session on, no sessions closing.")
    copied = run(tmp_path, "db", "copy", postgresql, back, **settings)
    assert (copied.code, copied.errors) == (0, "")
    assert "  utterances        2 rows\n" in copied.output
    lives(back, "three", begins="Recovered: 1 session on, no sessions closing.")
    texts = [text["asked"].strip() for stream in service.streams for text in stream["spoken"]]
    assert [texts.count(text) for text in ("one", "two", "three")] == [1, 1, 1]
    assert run(tmp_path, "sessions", "stop-all", DATABASE_URL=back, **settings).code == 0
    assert service.open_streams == 0


def test_a_copy_that_is_killed_in_the_middle_leaves_an_empty_database_and_can_be_made_again(
    tmp_path: Path, service: Service, new_postgres_url: Callable[[], str]
) -> None:
    settings = service.settings(tmp_path)
    file, postgresql = settings["DATABASE_URL"], new_postgres_url()
    assert run(tmp_path, "run", "--console", typed="/avatar start\nhello\n", **settings).code == 0
    with Program(tmp_path, "db", "copy", file, postgresql, changed=STOPS_IN_THE_MIDDLE, **settings) as killed:
        killed.until("in the middle")
        killed.send(signal.SIGKILL)
        assert killed.end() == -signal.SIGKILL
    assert on_postgresql(postgresql, "SELECT 1 FROM sessions UNION ALL SELECT 1 FROM utterances") == []
    copied = run(tmp_path, "db", "copy", file, postgresql, **settings)
    assert (copied.code, copied.errors) == (0, "")
    assert on_postgresql(postgresql, "SELECT text, state FROM utterances") == [("hello", "spoken")]
