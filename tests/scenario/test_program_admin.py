"""What an operator does from a shell beside the running program: it notices within seconds."""

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bot.cli.main import app
from tests.harness.programs import Program, Service, run, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("logging_as_it_was")]

BLOCKED = "You are blocked from using the avatar here."
YOU = "console:you"
"""Who sits at the console, who is an operator too."""


def shell(*arguments: str, **settings: str) -> Result:
    """A command of the shell beside the bot; in this process, which is faster."""
    result = CliRunner().invoke(app, list(arguments), env=settings)
    assert result.exit_code == 0, result.output
    return result


def audited(database: Path) -> list[tuple[str, str]]:
    """(who, what) of the audit, oldest first."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT actor, action FROM audit ORDER BY id").fetchall()


def test_a_block_and_its_lifting_are_noticed_by_the_running_bot(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.until("Web: ")
        shell("people", "block", YOU, **settings)
        wait_until(lambda: answers(bot, "/avatar help", BLOCKED))
        bot.type("/avatar start", "/avatar-admin unblock you")
        shell("people", "unblock", YOU, **settings)
        wait_until(lambda: answers(bot, "/avatar status", "No avatar is in this channel."))
        bot.close_input()
        assert bot.end() == 0
    assert "Starting the avatar" not in bot.output
    assert service.open_streams == 0
    who = audited(tmp_path / "bot.sqlite3")
    assert ("shell:operator", "block") in who
    assert ("shell:operator", "unblock") in who
    assert ("console:you (you)", "refused") in who


def answers(bot: Program, line: str, answer: str) -> bool:
    """Whether the bot answers so when a line is typed."""
    number = len(re.findall(r"Unknown command `nonsense\d+`", bot.output))
    before = bot.output.count(answer)
    bot.type(line, f"/avatar nonsense{number}")
    bot.until(f"Unknown command `nonsense{number}`")
    return bot.output.count(answer) > before


def test_stop_all_closes_the_sessions_of_the_running_bot(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        (listed,) = json.loads(shell("sessions", "list", "--json", **settings).stdout)
        assert (listed["platform"], listed["state"], listed["started_by"]) == ("console", "live", YOU)
        assert shell("sessions", "stop-all", **settings).stdout == f"Closed {listed['id']}.\n"
        bot.until("An admin has sent the avatar away")
        assert service.open_streams == 0
        bot.close_input()
        assert bot.end() == 0
    assert audited(tmp_path / "bot.sqlite3")[-1] == ("shell:operator", "admin stop")


def printed(*arguments: str, **settings: str) -> Any:
    """What a command of the shell prints for programs."""
    return json.loads(shell(*arguments, "--json", **settings).stdout)


def test_what_the_shell_changes_is_printed_for_programs_too(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.until("Web: ")
        for verb in ("stop", "stop-all"):
            bot.type("/avatar start")
            wait_until(lambda: [one["state"] for one in printed("sessions", "list", **settings)] == ["live"])
            (listed,) = printed("sessions", "list", **settings)
            assert printed("sessions", "cleanup", **settings) == {"closed": []}
            which = [listed["id"]] if verb == "stop" else []
            assert printed("sessions", verb, *which, **settings) == {"closed": [listed["id"]]}
        assert printed("people", "block", "console:bo", **settings) == {
            "person": "console:bo",
            "blocked": True,
            "changed": True,
        }
        assert printed("people", "unblock", "console:bo", **settings) == {
            "person": "console:bo",
            "blocked": False,
            "changed": True,
        }
        assert service.open_streams == 0
        bot.close_input()
        assert bot.end() == 0


def test_a_start_says_where_limits_in_dollars_have_no_effect(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path, LOG_LEVEL="warning", LIMIT_CHANNEL_DOLLARS="5")
    warning = "LIMIT_CHANNEL_DOLLARS and LIMIT_WORKSPACE_DOLLARS are without effect: the price of this avatar service"
    assert warning in run(tmp_path, "run", "--console", AVATAR_PROVIDER="heygen-streaming", **settings).errors
    assert warning not in run(tmp_path, "run", "--console", **settings).errors


def test_the_shell_sees_what_the_running_bot_uses_of_its_limits(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path, LIMIT_CHANNEL_MINUTES="60")
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        wait_until(lambda: json.loads(shell("usage", "--json", **settings).stdout)[0]["seconds"] >= 1)
        (used,) = json.loads(shell("limits", "--json", **settings).stdout)["used"]
        assert used["limit"] == "60 minutes a day in this channel"
        assert 0 < used["used"] < 1
        bot.send(signal.SIGTERM)
        assert bot.end() == 0


def test_a_limit_that_is_used_up_ends_the_session_and_refuses_the_next_one(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path, LIMIT_CHANNEL_MINUTES="0.05")
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("Today's limit is used up: 0.05 minutes a day in this channel. It resets at midnight UTC. The")
        bot.type("/avatar start", "/avatar status")
        bot.until("No avatar is in this channel.")
        bot.close_input()
        assert bot.end() == 0
    assert bot.output.count("Today's limit is used up") == 2
    assert bot.output.count("Starting the avatar…") == 1
    assert service.open_streams == 0
