"""What can be typed in a shell: help, refusals, exit codes. All in this process; `test_program` runs it for real."""

import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bot.app import Application
from bot.cli import main
from bot.cli.main import app
from bot.settings import variables
from bot.store.migrate import head

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

KEY: dict[str, Any] = {"HEYGEN_API_KEY": "a-key"}
COMMANDS = [
    [],
    ["run"],
    ["demo"],
    ["simulator"],
    ["sessions"],
    ["sessions", "list"],
    ["sessions", "stop"],
    ["sessions", "cleanup"],
    ["db"],
    ["db", "upgrade"],
    ["db", "current"],
]
NEED_A_DATABASE = [["sessions", "list"], ["sessions", "stop", "abc234"], ["sessions", "cleanup"]]
USE_A_DATABASE = [["run", "--console"], *NEED_A_DATABASE, ["db", "upgrade"], ["db", "current"]]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name, _, _ in variables()] + ["DISCORD_TOKEN", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEB_PORT", "0")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'bot.sqlite3'}")


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment, prog_name="avatar-relay")


def refusal(*arguments: str, code: int = 2, **environment: str) -> str:
    """The one line that a command ends with."""
    result = call(*arguments, **environment)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    lines: list[str] = result.stderr.splitlines()
    assert len(lines) == 1, result.output
    assert not lines[0][0].islower()
    assert lines[0].endswith((".", "?"))
    return lines[0]


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_fits_a_terminal_and_says_what_it_does(command: list[str]) -> None:
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "..." not in result.stdout.partition("\n")[2]
    usage, _, rest = result.stdout.partition("\n")
    assert usage.startswith(" ".join(["Usage: avatar-relay", *command]))
    assert len(rest.split()) > 8


@pytest.mark.parametrize("command", [[], ["sessions"], ["db"]], ids=" ".join)
def test_group_without_a_command_shows_its_help(command: list[str]) -> None:
    assert "Commands:" in call(*command).output


def test_help_of_the_simulator_points_at_its_documentation() -> None:
    assert "docs/simulator.md" in call("simulator", "--help").stdout


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "--nonsense"], ["sessions", "stop"], ["demo", "--speed", "0"]]
)
def test_unknown_word_is_refused_with_the_usage(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")


# --- what cannot start -----------------------------------------------------------------------------------------------


def test_run_with_nothing_configured_says_what_to_set() -> None:
    said = refusal("run")
    assert said.startswith("Nothing to start")
    assert "DISCORD_TOKEN" in said
    assert "avatar-relay run --console" in said
    assert "avatar-relay demo" in said


def test_missing_key_is_named() -> None:
    assert refusal("run", "--console").startswith("HEYGEN_API_KEY is not set")


def test_unknown_provider_is_refused_with_the_known_ones() -> None:
    said = refusal("run", "--console", AVATAR_PROVIDER="nonsense")
    assert said.startswith('AVATAR_PROVIDER is "nonsense": it must be one of heygen-realtime, heygen-streaming')


def test_unknown_provider_of_the_demo_is_refused() -> None:
    assert refusal("demo", "--provider", "nonsense").startswith('PROVIDER is "nonsense": it must be one of ')


def test_every_bad_setting_has_a_line() -> None:
    result = call("run", "--console", SESSION_IDLE_TIMEOUT="soon", WEB_PORT="eighty", **KEY)
    assert result.exit_code == 2
    assert [line.split()[0] for line in sorted(result.stderr.splitlines())] == ["SESSION_IDLE_TIMEOUT", "WEB_PORT"]


def test_program_tunes_the_garbage_collector_once_it_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def note(name: str) -> Callable[..., Awaitable[None]]:
        async def step(*_: object) -> None:
            done.append(name)

        return step

    for name in ("start", "serve", "stop"):
        monkeypatch.setattr(Application, name, note(name))
    monkeypatch.setattr(main, "tune_for_serving", lambda: done.append("tune"))
    assert call("run", "--console", **KEY).exit_code == 0
    assert done == ["start", "tune", "serve", "stop"]


@contextmanager
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.mark.parametrize("command", [["run", "--console"], ["demo"]], ids=" ".join)
def test_port_that_is_taken_is_named(command: list[str]) -> None:
    with taken_port() as port:
        said = refusal(*command, WEB_PORT=port, **KEY)
    assert said.startswith(f"WEB_PORT is {port}: another program already listens there; ")


def test_port_of_the_simulator_that_is_taken_is_named() -> None:
    with taken_port() as port:
        assert refusal("simulator", "--port", port).startswith(f"--port is {port}: another program already listens")


def test_host_that_is_not_here_is_named() -> None:
    host = "192.0.2.1"
    assert refusal("demo", WEB_HOST=host).startswith(f'WEB_HOST is "{host}": ')
    assert refusal("simulator", "--host", host).startswith(f'--host is "{host}": ')


# --- databases -------------------------------------------------------------------------------------------------------


@pytest.fixture
def newer_database(tmp_path: Path) -> str:
    file = tmp_path / "newer.sqlite3"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    return f"sqlite:///{file}"


@pytest.mark.parametrize("command", USE_A_DATABASE, ids=" ".join)
def test_database_of_a_newer_program_is_refused(command: list[str], newer_database: str) -> None:
    said = refusal(*command, DATABASE_URL=newer_database, **KEY)
    assert "was made by a newer avatar-relay (revision 9999): upgrade the program" in said


@pytest.mark.parametrize("command", USE_A_DATABASE, ids=" ".join)
def test_file_that_is_no_database_is_refused(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Ana, " * 500)
    assert "is not an SQLite database" in refusal(*command, DATABASE_URL=f"sqlite:///{file}", **KEY)
    assert file.read_text().startswith("Dear Ana")


@pytest.mark.parametrize("command", [["run", "--console"], ["db", "upgrade"]], ids=" ".join)
def test_folder_that_cannot_be_written_is_named(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refusal(*command, DATABASE_URL=f"sqlite:///{tmp_path / 'file' / 'bot.sqlite3'}", **KEY)
    assert f"The database {tmp_path / 'file' / 'bot.sqlite3'} cannot be opened" in said


@pytest.mark.parametrize("command", NEED_A_DATABASE, ids=" ".join)
def test_shell_needs_a_database_and_makes_none(command: list[str], tmp_path: Path) -> None:
    assert "holds nothing of avatar-relay yet: start the bot once, or check DATABASE_URL" in refusal(*command)
    assert list(tmp_path.iterdir()) == []


def test_database_is_made_and_its_revision_shown(tmp_path: Path) -> None:
    assert call("db", "current").stdout == (
        f"There is no database yet. `avatar-relay db upgrade` makes one at revision {head()}.\n"
    )
    assert list(tmp_path.iterdir()) == []
    newest = f"The database is at revision {head()}, the newest this program knows.\n"
    assert call("db", "upgrade").stdout == newest
    assert call("db", "upgrade").stdout == newest
    assert call("db", "current").stdout == newest


def test_sessions_of_an_empty_database() -> None:
    call("db", "upgrade")
    assert call("sessions", "list").stdout == "No open sessions.\n"
    assert call("sessions", "cleanup").stdout == "There is nothing to clean up.\n"
    said = refusal("sessions", "stop", "abc234", code=1)
    assert said == "There is no open session abc234. `avatar-relay sessions list` shows them."
