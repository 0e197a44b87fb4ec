"""The database in trouble, as somebody who runs the program meets it: one sentence, nothing lost in silence, and no
avatar left open."""

import contextlib
import resource
import sqlite3
import time
from pathlib import Path

import pytest

from tests.harness.programs import Program, Service, run

pytestmark = pytest.mark.slow

NOT_TAKEN = "The bot cannot write to its database, so that was not taken."


def texts(folder: Path) -> list[str]:
    """The messages in the database."""
    with contextlib.closing(sqlite3.connect(folder / "bot.sqlite3")) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM utterances")]


def test_a_damaged_database_is_told_at_the_start_and_left_as_it_is(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    assert run(tmp_path, "db", "upgrade", **settings).code == 0
    file = tmp_path / "bot.sqlite3"
    damaged = file.read_bytes()[:100] + b"\xa5" * (file.stat().st_size - 100)
    file.write_bytes(damaged)
    bot = run(tmp_path, "run", "--console", **settings)
    assert bot.code == 2
    assert "is damaged: restore a copy, or set DATABASE_URL to another file" in bot.errors
    assert bot.errors.count("\n") == 1
    assert file.read_bytes() == damaged


def test_a_message_that_a_locked_database_did_not_take_is_told(tmp_path: Path, service: Service) -> None:
    with Program(tmp_path, "run", "--console", **service.settings(tmp_path)) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        with contextlib.closing(sqlite3.connect(tmp_path / "bot.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            bot.type("not taken")
            bot.until(NOT_TAKEN)
            other.execute("ROLLBACK")
        bot.close_input()
        assert bot.end() == 0
    assert "is locked by another program" in bot.errors
    assert texts(tmp_path) == []
    assert service.open_streams == 0


def test_a_disk_that_runs_full_is_told_and_forgotten_once_there_is_space(tmp_path: Path, service: Service) -> None:
    with Program(tmp_path, "run", "--console", **service.settings(tmp_path)) as bot:
        bot.type("/avatar start", "taken")
        bot.until("  said: taken")
        # That it was said is written within 20 ms; a disk that is full then ends the session.
        time.sleep(0.1)
        _, hard = resource.prlimit(bot.pid, resource.RLIMIT_FSIZE)
        # No file may grow any more; the log of SQLite has to.
        resource.prlimit(bot.pid, resource.RLIMIT_FSIZE, (1, hard))
        bot.type("not taken")
        bot.until(NOT_TAKEN)
        resource.prlimit(bot.pid, resource.RLIMIT_FSIZE, (hard, hard))
        bot.type("taken again")
        bot.until("  said: taken again")
        bot.close_input()
        assert bot.end() == 0
    assert texts(tmp_path) == ["taken", "taken again"]
    assert service.open_streams == 0
