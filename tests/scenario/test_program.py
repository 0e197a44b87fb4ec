"""The program as people have it: a process, its input and output, its exit code, and what the service saw of it."""

import contextlib
import re
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bot.cli.main import app
from tests.harness.ports import free_port
from tests.harness.programs import Program, Service, run, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("logging_as_it_was")]

LONG = "this is under way when the bot is killed, and it goes on for a few seconds"
"""Spoken in 5 s: long enough that the next message has not been sent ahead yet."""


def shell(*arguments: str, **settings: str) -> Result:
    """A command of the shell beside the bot; in this process, which is faster."""
    return CliRunner().invoke(app, list(arguments), env=settings)


def known_streams(database: Path) -> int:
    """How many streams are in the books with the name the service gave them."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (number,) = connection.execute("SELECT count(upstream_id) FROM streams").fetchone()
    return int(number)


def lines_with(text: str, output: str) -> list[str]:
    return [line for line in output.splitlines() if text in line]


# --- the demo --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["heygen-realtime", "heygen-streaming"])
def test_piped_demo_shows_every_step_says_everything_and_ends(tmp_path: Path, provider: str) -> None:
    typed = "/avatar start\nhello\nand a second one\n/avatar stop\n"
    demo = run(tmp_path, "demo", "--provider", provider, "--speed", "10", typed=typed)
    assert demo.code == 0
    assert demo.errors == ""
    steps = [
        "Simulator: running at http://127.0.0.1:",
        f"Avatar: {provider} (simulated), answers",
        "Web: watch links begin with http://127.0.0.1:",
        "> /avatar start",
        "Starting the avatar…",
        "  Watch: http://127.0.0.1:",
        "> hello",
        "> /avatar stop",
        "(Waiting until everything is said.)",
        "The avatar is live.",
        "  said: hello",
        "  said: and a second one",
        "Stopping the avatar…",
        "The avatar has left after",
        "Everything is closed.",
    ]
    places = [demo.output.find(step) for step in steps]
    assert -1 not in places, demo.output
    assert places == sorted(places)
    assert list(tmp_path.rglob("*.sqlite3")) == []


def test_end_of_piped_input_is_a_stop_after_everything_is_said(tmp_path: Path) -> None:
    demo = run(tmp_path, "demo", "--speed", "10", typed="/avatar start\nhello")
    assert demo.code == 0
    assert demo.output.index("  said: hello") < demo.output.index("has left after")


def test_avatar_can_be_started_again_by_the_line_after_a_stop(tmp_path: Path) -> None:
    typed = "/avatar start\nfirst\n/avatar stop\n/avatar start\nsecond\n"
    demo = run(tmp_path, "demo", "--speed", "10", typed=typed)
    assert demo.code == 0
    assert demo.output.count("Starting the avatar…") == 2
    assert demo.output.index("The avatar has left") < demo.output.rindex("> /avatar start")
    assert "  said: second" in demo.output


def test_plain_lines_are_not_said_where_the_relay_is_off(tmp_path: Path) -> None:
    typed = "/avatar start\nhello\n/avatar say good morning\n"
    demo = run(tmp_path, "demo", "--speed", "10", typed=typed, SESSION_RELAY="off")
    assert demo.code == 0
    assert "That was not said: SESSION_RELAY is off." in demo.output
    assert "said: hello" not in demo.output
    assert "  said: good morning" in demo.output


def test_interrupt_skip_and_clear_of_a_pipe_act_at_once(tmp_path: Path) -> None:
    with Program(tmp_path, "demo", "--speed", "5") as demo:
        demo.type("/avatar start", f"one {'long ' * 40}sentence", "two", "three", "four")
        demo.until("saying: one")
        demo.type("/avatar interrupt")
        demo.until("cut: one")
        demo.type("/avatar clear", "last words")
        demo.close_input()
        assert demo.end() == 0
    assert demo.output.index("> /avatar interrupt") < demo.output.index("Quiet.")
    assert "said: one" not in demo.output
    assert "dropped: four" in demo.output
    assert "  said: last words" in demo.output


def test_demo_talks_to_no_real_service_whatever_the_environment_says(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SESSION_IDLE_TIMEOUT=nonsense\nAVATAR_PROVIDER=nonsense\n")
    with socket.create_server(("127.0.0.1", 0)) as real_service:
        url = f"http://127.0.0.1:{real_service.getsockname()[1]}"
        environment = {
            "HEYGEN_API_KEY": "a-real-key",
            "HEYGEN_API_URL": url,
            "CHAT_API_KEY": "another-real-key",
            "CHAT_API_URL": url,
            "CHAT_MODEL": "real",
            "AVATAR_ID": "a-real-avatar",
            "WEB_PUBLIC_URL": "https://bot.example.com",
            "DATABASE_URL": f"sqlite:///{tmp_path / 'real.sqlite3'}",
            "SESSION_IDLE_TIMEOUT": "90",
        }
        typed = "/avatar start\n/avatar ask how are you?\n/avatar stop\n"
        demo = run(tmp_path, "demo", "--speed", "10", typed=typed, **environment)
        real_service.setblocking(False)
        with pytest.raises(BlockingIOError):
            real_service.accept()
    assert demo.code == 0
    assert "It leaves by itself after 90 s" in demo.output
    assert "said:" in demo.output
    assert "example.com" not in demo.output
    assert not (tmp_path / "real.sqlite3").exists()


# --- strange input and output ----------------------------------------------------------------------------------------


def test_strange_bytes_are_taken_or_refused_in_plain_words(tmp_path: Path) -> None:
    lines = [
        "\ufeff/avatar start".encode(),
        b"caf\xe9 \xff\xfe",
        b"nul\x00nul",
        b"red \x1b[31mand\x1b]0;title\x07 bell",
        b"x" * 3_000_000 + b" the end of a long line",
        b"\x00\x01\x02",
        b"/avatar say\x00",
        b"/avatar start avatar=\x00\x1b",
        b"/avatar-admin stop \x00\xff",
        b"/",
        b"/\x1b[31m",
        b"   ",
        b"/avatar\tstatus",
        b"last words",
    ]
    demo = run(tmp_path, "demo", "--speed", "20", typed=b"\n".join(lines))
    assert demo.code == 0
    assert demo.errors == ""
    assert "  said: nul" in demo.output
    assert lines_with("That message has", demo.output) != []
    assert "said: the end of a long line" not in demo.output
    assert "The avatar in this channel:" in demo.output
    assert "  said: last words" in demo.output
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", demo.output)
    assert max(len(line) for line in demo.output.splitlines()) < 4500


def test_ten_thousand_lines_are_all_answered(tmp_path: Path) -> None:
    typed = "/avatar start\n" + "".join(f"line {number}\n" for number in range(10_000))
    demo = run(tmp_path, "demo", "--speed", "50", typed=typed, QUEUE_LIMIT="5")
    assert demo.code == 0
    assert demo.errors == ""
    taken = [
        line
        for line in demo.output.splitlines()
        if line.startswith(("Got it.", "Queued, with", "The avatar is saying it"))
    ]
    refused = lines_with("The avatar already has 5 messages waiting.", demo.output)
    assert len(taken) + len(refused) == 10_000
    assert demo.output.count("  said: line") == len(taken)


def test_without_input_it_ends_at_once(tmp_path: Path) -> None:
    with Program(tmp_path, "demo", stdin=subprocess.DEVNULL) as demo:
        assert demo.end() == 0
    assert demo.errors == ""
    assert demo.output.endswith("Everything is closed.\n")


def test_closed_standard_streams_are_no_trouble(tmp_path: Path) -> None:
    for closed in ("<&-", "<&- >&- 2>&-"):
        with Program(tmp_path, "demo", redirected=closed) as demo:
            assert demo.end() == 0, closed
        assert demo.errors == "", closed


def test_full_disk_behind_the_output_is_said_once(tmp_path: Path) -> None:
    with Program(tmp_path, "demo", redirected=">/dev/full") as demo:
        demo.type("/avatar start", "hello")
        assert demo.end() == 0
    assert demo.errors == "Nothing more can be shown: no space left on device.\n"


def test_output_that_old_terminals_cannot_show_is_replaced(tmp_path: Path) -> None:
    demo = run(tmp_path, "demo", "--speed", "20", typed="/avatar start\nпривет\n", PYTHONIOENCODING="ascii")
    assert demo.code == 0
    assert demo.errors == ""
    assert "Starting the avatar?" in demo.output


def test_program_ends_and_closes_its_stream_when_nobody_reads_it_any_more(tmp_path: Path, service: Service) -> None:
    with Program(tmp_path, "run", "--console", **service.settings(tmp_path)) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        bot.close_output()
        bot.type("one", "two")
        assert bot.end() == 0
    assert bot.errors == ""
    assert service.open_streams == 0
    assert service.streams[-1]["ended"] == "cancelled"


# --- signals and crashes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_closes_every_stream_and_a_second_one_changes_nothing(
    tmp_path: Path, service: Service, number: signal.Signals
) -> None:
    with Program(tmp_path, "run", "--console", **service.settings(tmp_path)) as bot:
        bot.type("/avatar start", "a message that takes quite some time to be spoken to its very end")
        bot.until("saying: a message")
        assert service.open_streams == 1
        bot.send(number, number, signal.SIGTERM)
        assert bot.end() == 0
    assert service.open_streams == 0
    assert "has left after" in bot.output
    assert bot.output.endswith("Everything is closed.\n")
    assert bot.errors == ""


def test_signal_while_the_avatar_starts_leaves_nothing_open(tmp_path: Path, service: Service) -> None:
    service.break_with(effect="latency", method="POST", path="/v3/avatar-realtime", seconds=2)
    with Program(tmp_path, "run", "--console", **service.settings(tmp_path)) as bot:
        bot.type("/avatar start")
        bot.until("Starting the avatar…")
        bot.send(signal.SIGTERM)
        assert bot.end() == 0
    assert service.open_streams == 0


def test_service_that_does_not_answer_cannot_hold_up_the_end_for_long(tmp_path: Path) -> None:
    with Program(tmp_path, "demo", "--speed", "10") as demo:
        demo.until("This is avatar-relay")
        service = Service.found_in(demo.output)
        demo.type("/avatar start")
        demo.until("The avatar is live.")
        service.break_with(effect="hang", path="/v3/avatar-realtime/*", times=None)
        demo.send(signal.SIGTERM)
        assert demo.end() == 0
    assert "1 session could not be closed in time; the next start goes on." in demo.output
    assert demo.errors.count("\n") <= 2, demo.errors


def test_killed_bot_goes_on_with_its_stream_and_says_nothing_twice(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start", "hello", LONG, "this one waits")
        bot.until("saying: this is under way")
        # What was said in the last 20 ms may count as unsure (docs/operations.md).
        time.sleep(0.1)
        bot.send(signal.SIGKILL)
        assert bot.end() == -signal.SIGKILL
    assert service.open_streams == 1
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.until("Recovered: 1 session on, no sessions closing.")
        bot.until("1 message may not have been said before the restart")
        bot.until("  said: this one waits")
        bot.type("/avatar stop")
        bot.until("The avatar has left")
        bot.close_input()
        assert bot.end() == 0
    stream = service.streams[-1]
    assert stream["ended"] == "cancelled"
    asked = [text["asked"].strip() for text in stream["spoken"]]
    assert asked == ["Hi.", "hello", LONG, "this one waits"]
    assert service.open_streams == 0


def test_bot_killed_while_it_opened_a_stream_leaves_none_behind(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    service.break_with(effect="latency", method="GET", path="/v3/avatar-realtime/*", seconds=60, times=None)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("Starting the avatar…")
        wait_until(lambda: known_streams(tmp_path / "bot.sqlite3") == 1)
        bot.send(signal.SIGKILL)
        bot.end()
    service.mend()
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.until("Recovered: no sessions on, 1 session closing.")
        bot.close_input()
        assert bot.end() == 0
    assert service.open_streams == 0


def test_sessions_of_another_provider_are_closed_there_at_the_next_start(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        bot.send(signal.SIGKILL)
        bot.end()
    assert service.open_streams == 1
    bot = run(tmp_path, "run", "--console", typed="/avatar status\n", **settings, AVATAR_PROVIDER="simulator")
    assert bot.code == 0
    assert "Closed 1 session of heygen-realtime, the provider chosen before." in bot.output
    assert "No avatar is in this channel." in bot.output
    assert service.open_streams == 0


# --- trouble at the service ------------------------------------------------------------------------------------------


def test_wrong_key_is_said_in_chat_and_the_program_lives_on(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path, HEYGEN_API_KEY="a-wrong-key-0123456789")
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar service does not accept the bot's key. Ask the operator to check it. (ref ")
        bot.type("/avatar status")
        bot.until("No avatar is in this channel.")
        bot.close_input()
        assert bot.end() == 0
    reference = re.search(r"\(ref (\w+)\)", bot.output)
    assert reference is not None
    assert reference[1] in bot.errors
    assert "a-wrong-key" not in bot.output + bot.errors


def test_service_that_is_down_is_said_in_chat_and_the_program_lives_on(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    settings: dict[str, Any] = {"HEYGEN_API_URL": nobody, "HEYGEN_API_KEY": "key"}
    with Program(tmp_path, "run", "--console", WEB_PORT="0", LOG_LEVEL="error", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar service refuses the connection. Try again in a minute. (ref ")
        bot.type("/avatar status")
        bot.until("No avatar is in this channel.")
        bot.close_input()
        assert bot.end() == 0


# --- several programs on one database --------------------------------------------------------------------------------


def test_second_bot_on_the_same_database_is_refused_and_told_which_runs(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.until("Web: ")
        second = run(tmp_path, "run", "--console", **settings)
        assert second.code == 2
        assert second.errors.startswith(f"Another avatar-relay (process {bot.pid}) already runs on this database: ")
        assert second.errors.count("\n") == 1
        bot.close_input()
        assert bot.end() == 0


def test_shell_lists_and_stops_sessions_of_the_running_bot(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        listed = shell("sessions", "list", **settings)
        assert listed.stdout.startswith("1 open session.\n")
        found = re.search(r"^  (\w+)  live ", listed.stdout, re.MULTILINE)
        assert found is not None, listed.stdout
        assert shell("sessions", "cleanup", **settings).stdout == "There is nothing to clean up.\n"
        stopped = shell("sessions", "stop", found[1], **settings)
        assert (stopped.exit_code, stopped.stdout) == (0, f"Closed {found[1]}.\n")
        bot.until("An admin has")
        bot.close_input()
        assert bot.end() == 0
    assert service.open_streams == 0


def test_shell_closes_what_a_killed_bot_left_open(tmp_path: Path, service: Service) -> None:
    settings = service.settings(tmp_path)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        bot.send(signal.SIGKILL)
        bot.end()
    cleaned = shell("sessions", "cleanup", **settings)
    assert cleaned.exit_code == 0
    assert re.fullmatch(r"Closed \w{6}\.\n", cleaned.stdout)
    assert service.open_streams == 0
    assert shell("sessions", "list", **settings).stdout == "No open sessions.\n"
    assert shell("sessions", "cleanup", **settings).stdout == "There is nothing to clean up.\n"
