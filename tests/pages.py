"""The pages people read: what is in them, and the blocks of docs/commands.md that are made from the code.

`python -m tests.pages` writes those blocks. tests/unit/test_documentation.py looks whether the pages are true.
"""

import asyncio
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.testing import CliRunner

from bot.cli import app
from bot.commands import Entry
from tests.world import World

if TYPE_CHECKING:
    from typer._click import Command

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
COMMANDS = ROOT / "docs/commands.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

CHAT, SHELL = "chat commands", "shell help"
HELP_WIDTH = 80
"""Columns of the generated help; typer fits it to the terminal otherwise."""

# --- reading ---------------------------------------------------------------------------------------------------------


def fenced(page: Path) -> list[str]:
    """The lines of the code blocks of a page."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def spans(page: Path) -> list[str]:
    """What stands between single backticks, outside of code blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`: headings, as GitHub makes addresses of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


# --- what the code says ----------------------------------------------------------------------------------------------


async def table_of_commands(folder: Path) -> Mapping[tuple[str, str], Entry]:
    """The commands of a bot that is made for this in `folder`."""
    async with World(folder) as world:
        return dict(world.commands._table)


def chat_block(table: Mapping[tuple[str, str], Entry]) -> str:
    """The table of chat commands, from the code."""
    rows = ["| type | who may | what it does |", "| --- | --- | --- |"]
    for entry in table.values():
        line = entry.usage.line.replace("|", "\\|")
        rows.append(f"| `{line}` | {entry.role.name.lower()} | {entry.usage.summary} |")
    return "\n".join(rows)


def shell_block() -> str:
    """The help of every shell command, from typer."""
    parts = []
    for words in ((), *(words for words, _ in shell_commands())):
        result = CliRunner(env={"TERMINAL_WIDTH": str(HELP_WIDTH), "NO_COLOR": "1"}).invoke(
            app, [*words, "--help"], prog_name="avatar-relay", terminal_width=HELP_WIDTH
        )
        assert result.exit_code == 0, result.output
        parts.append(f"#### `{' '.join(('avatar-relay', *words))}`\n\n```text\n{result.output.strip()}\n```")
    return "\n\n".join(parts)


def shell_commands() -> list[tuple[tuple[str, ...], "Command"]]:
    """Every shell command with its words, groups included."""
    return list(_below((), typer.main.get_command(app)))


def _below(words: tuple[str, ...], command: "Command") -> Iterator[tuple[tuple[str, ...], "Command"]]:
    for name, below in getattr(command, "commands", {}).items():
        yield (*words, name), below
        yield from _below((*words, name), below)


def block_of(page: str, name: str) -> str:
    """The block of `page` that is generated under `name`."""
    found = re.search(f"<!-- generated: {name} -->\n(.*?)<!-- end of generated -->", page, re.DOTALL)
    assert found is not None, f"no block named {name}"
    return found[1].strip()


def with_block(page: str, name: str, text: str) -> str:
    """`page` with a fresh block."""
    old = re.compile(f"(<!-- generated: {name} -->\n).*?(<!-- end of generated -->)", re.DOTALL)
    return old.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)


def write_blocks() -> None:
    """Bring docs/commands.md up to date."""
    with tempfile.TemporaryDirectory() as folder:
        table = asyncio.run(table_of_commands(Path(folder)))
    page = COMMANDS.read_text(encoding="utf-8")
    page = with_block(with_block(page, CHAT, chat_block(table)), SHELL, shell_block())
    COMMANDS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    write_blocks()
