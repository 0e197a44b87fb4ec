"""The program is told to stop: it closes every stream and waits for each confirmation, or leaves them to the next."""

import contextlib
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.shutdown import SHUTDOWN_TIME
from tests.harness.programs import KEY, Program, Service, wait_until

pytestmark = pytest.mark.slow

PROVIDERS = ("heygen-realtime", "heygen-streaming", "liveavatar")
CLOSE = {
    "heygen-realtime": "/v3/avatar-realtime/*/cancel",
    "heygen-streaming": "/v1/streaming.stop",
    "liveavatar": "/v1/sessions/stop",
}
LONG = "this is under way when the bot is told to stop, and it goes on for a good while after that"
WAITS = "this one waits"
TIME_TO_END = 10.0
"""Seconds after a signal in which a program must be gone: then containers are killed."""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of this file, with somebody watching every stream."""
    with Service.running(tmp_path_factory.mktemp("simulator"), "--auto-viewer") as service:
        yield service


def settings(service: Service, folder: Path, provider: str, **others: str) -> dict[str, Any]:
    return service.settings(
        folder, AVATAR_PROVIDER=provider, LIVEAVATAR_API_URL=service.url, LIVEAVATAR_API_KEY=KEY, **others
    )


def fates(folder: Path) -> dict[str, str]:
    """What became of each message, by its text."""
    with contextlib.closing(sqlite3.connect(folder / "bot.sqlite3")) as connection:
        return dict(connection.execute("SELECT text, state FROM utterances").fetchall())


def sessions(folder: Path) -> list[tuple[str, str | None]]:
    """State and end reason of every session."""
    with contextlib.closing(sqlite3.connect(folder / "bot.sqlite3")) as connection:
        return connection.execute("SELECT state, end_reason FROM sessions ORDER BY created_at").fetchall()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_signal_closes_what_is_open_settles_what_waits_and_says_why(
    tmp_path: Path, service: Service, provider: str, number: signal.Signals
) -> None:
    with Program(tmp_path, "run", "--console", **settings(service, tmp_path, provider)) as bot:
        bot.type("/avatar start", LONG, WAITS)
        bot.until("saying: this is under way")
        assert service.open_streams == 1
        bot.send(number)
        assert bot.end() == 0
    assert service.open_streams == 0
    assert sessions(tmp_path) == [("closed", "shutdown")]
    assert fates(tmp_path) == {LONG: "interrupted", WAITS: "dropped"}
    assert "has left after" in bot.output
    assert bot.output.endswith("Everything is closed.\n")
    assert bot.errors == ""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_end_waits_for_a_close_that_is_confirmed_only_at_the_third_attempt(
    tmp_path: Path, service: Service, provider: str
) -> None:
    with Program(tmp_path, "run", "--console", **settings(service, tmp_path, provider)) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        service.break_with(effect="status", status=500, method="POST", path=CLOSE[provider], times=2)
        bot.send(signal.SIGTERM)
        assert bot.end() == 0
    assert service.open_streams == 0
    assert sessions(tmp_path) == [("closed", "shutdown")]
    assert bot.output.endswith("Everything is closed.\n")


def test_a_close_that_is_not_confirmed_in_time_is_left_to_the_next_start(tmp_path: Path, service: Service) -> None:
    chosen = settings(service, tmp_path, "heygen-streaming")
    with Program(tmp_path, "run", "--console", **chosen) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        service.break_with(effect="hang", method="POST", path=CLOSE["heygen-streaming"], times=None)
        bot.send(signal.SIGTERM)
        assert bot.end() == 0
    # What it waits for the service at the most; the rest is left to take everything down.
    assert SHUTDOWN_TIME <= TIME_TO_END - 3
    assert "1 session could not be closed in time; the next start goes on." in bot.output
    assert sessions(tmp_path) == [("closing", "shutdown")]
    assert service.open_streams == 1
    service.mend()
    with Program(tmp_path, "run", "--console", **chosen) as bot:
        bot.until("Recovered: no sessions on, 1 session closing.")
        wait_until(lambda: service.open_streams == 0)
        bot.close_input()
        assert bot.end() == 0
    assert sessions(tmp_path) == [("closed", "shutdown")]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_kept_is_taken_over_by_the_next_process_and_nothing_is_said_twice(
    tmp_path: Path, service: Service, provider: str
) -> None:
    chosen = settings(service, tmp_path, provider, SHUTDOWN="keep")
    before = len(service.streams)
    with Program(tmp_path, "run", "--console", **chosen) as bot:
        bot.type("/avatar start", LONG, WAITS)
        bot.until("saying: this is under way")
        bot.send(signal.SIGTERM)
        assert bot.end() == 0
    assert "1 session left open for the next start (SHUTDOWN=keep)." in bot.output
    assert "has left after" not in bot.output
    assert service.open_streams == 1
    assert sessions(tmp_path) == [("live", None)]
    with Program(tmp_path, "run", "--console", **chosen) as bot:
        bot.until("Recovered: 1 session on, no sessions closing.")
        bot.until(f"  said: {WAITS}")
        bot.type("/avatar stop")
        bot.until("has left after")
        bot.close_input()
        assert bot.end() == 0
    assert service.open_streams == 0
    assert fates(tmp_path) == {LONG: "unknown", WAITS: "spoken"}
    asked = [text["asked"].strip() for stream in service.streams[before:] for text in stream["spoken"]]
    assert asked.count(LONG) == 1
    assert asked.count(WAITS) == 1


def test_a_start_under_way_is_kept_in_the_books_and_closed_by_the_next_process(
    tmp_path: Path, service: Service
) -> None:
    chosen = settings(service, tmp_path, "heygen-realtime", SHUTDOWN="keep")
    service.break_with(effect="latency", method="GET", path="/v3/avatar-realtime/*", seconds=60, times=None)
    with Program(tmp_path, "run", "--console", **chosen) as bot:
        bot.type("/avatar start")
        bot.until("Starting the avatar…")
        wait_until(lambda: service.open_streams == 1)
        bot.send(signal.SIGTERM)
        assert bot.end() == 0
    service.mend()
    with Program(tmp_path, "run", "--console", **chosen) as bot:
        bot.until("Recovered: no sessions on, 1 session closing.")
        wait_until(lambda: service.open_streams == 0)
        bot.close_input()
        assert bot.end() == 0
    assert [state for state, _ in sessions(tmp_path)] == ["closed"]


def test_a_word_that_is_no_way_to_shut_down_is_told(tmp_path: Path) -> None:
    with Program(tmp_path, "run", "--console", SHUTDOWN="maybe") as bot:
        assert bot.end() == 2
    assert re.search(r'SHUTDOWN is "?maybe"?.*close or keep', bot.errors), bot.errors
