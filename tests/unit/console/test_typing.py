"""A person at the keyboard: what they type arrives, and the ways to leave."""

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from adapters.chat.console.terminal import typed_lines

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


@pytest.fixture
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        yield keyboard


async def lines_typed(keyboard: PipeInput, keys: str) -> list[str]:
    keyboard.send_text(keys)
    return [line async for line in typed_lines(lambda: "status", ())]


@pytest.mark.parametrize("leave", [CTRL_C, CTRL_D])
async def test_lines_arrive_until_somebody_leaves(keyboard: PipeInput, leave: str) -> None:
    assert await lines_typed(keyboard, f"hello{ENTER}you{ENTER}{leave}") == ["hello", "you"]


async def test_ctrl_c_leaves_in_the_middle_of_a_line(keyboard: PipeInput) -> None:
    assert await lines_typed(keyboard, f"hel{CTRL_C}") == []


async def test_history_is_kept_and_is_private(keyboard: PipeInput, tmp_path: Path) -> None:
    assert await lines_typed(keyboard, f"hello{ENTER}{CTRL_D}") == ["hello"]
    file = tmp_path / ".local/state/avatar-relay/console-history"
    assert "+hello\n" in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o077 == 0


async def test_home_that_cannot_be_written_only_costs_the_history(
    keyboard: PipeInput, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert await lines_typed(keyboard, f"hello{ENTER}{CTRL_D}") == ["hello"]


async def test_standard_output_is_given_back(keyboard: PipeInput, capsys: pytest.CaptureFixture[str]) -> None:
    async with aclosing(typed_lines(lambda: "status", ())) as lines:
        keyboard.send_text(f"hello{ENTER}")
        assert await anext(lines) == "hello"
        print("into the terminal")  # noqa: T201
    print("as before")  # noqa: T201
    assert capsys.readouterr().out == "as before\n"
