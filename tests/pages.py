"""The pages people read: what is in them, and what of docs/commands.md, docs/providers.md and docs/configuration.md is
made from the code.

`python -m tests.pages` writes it. tests/unit/test_documentation.py looks whether the pages are true.
"""

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from bot.cli.main import app
from bot.commands.parser import CommandSpec
from bot.core.clock import SystemClock
from bot.core.ports import Capabilities, InterruptMethod
from bot.plugins import make_provider, with_simulator
from bot.sentences import dollars, duration
from bot.settings import SIMULATOR, Settings, known_providers, variables
from tests.harness.bot import BotHarness

if TYPE_CHECKING:
    from typer._click import Command

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
COMMANDS = ROOT / "docs/commands.md"
PROVIDERS = ROOT / "docs/providers.md"
CONFIGURATION = ROOT / "docs/configuration.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "deploy/README.md", *sorted((ROOT / "docs").glob("*.md"))]

CHAT, SHELL, FEATURES = "chat commands", "shell help", "features"
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


async def table_of_commands(folder: Path) -> Mapping[tuple[str, str], CommandSpec]:
    """The commands of a bot that is made for this in `folder`, with a provider that has every option."""
    async with BotHarness(folder, "liveavatar") as world:
        return dict(world.commands._table)


def chat_block(table: Mapping[tuple[str, str], CommandSpec]) -> str:
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


def declared() -> dict[str, Capabilities]:
    """What every provider says it can do, by name; the simulator is spoken to by one of their clients."""
    settings = with_simulator(Settings(_env_file=None), "http://127.0.0.1:1", SecretStr("none"))  # type: ignore[call-arg]
    names = [name for name in known_providers() if name != SIMULATOR]
    return {name: make_provider(settings, SystemClock(), name).capabilities for name in names}


def features_block(providers: Mapping[str, Capabilities]) -> str:
    """The table of what each provider can do, from its declared capabilities."""
    rows = [["", *(f"`{name}`" for name in providers)], ["---"] * (len(providers) + 1)]
    rows += [[title, *(cell(able) for able in providers.values())] for title, cell in FEATURE_ROWS.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _yes(told: bool) -> str:
    return "yes" if told else "no"


def _answers(able: Capabilities) -> str:
    if able.chat:
        return "yes, by itself"
    return f"with `{able.chat_setting}`, or with `CHAT_API_URL`" if able.chat_setting else "with `CHAT_API_URL`"


def _idle(able: Capabilities) -> str:
    shortest, longest = able.idle_limit
    if shortest == longest:
        return f"after {duration(shortest)}, fixed"
    return f"after {duration(shortest)} to {duration(longest)}"


def _billing(able: Capabilities) -> str:
    least = f", at least {duration(able.billing_minimum)}" if able.billing_minimum else ""
    return f"each second{least}" if able.billing_step == 1 else f"each started {duration(able.billing_step)}{least}"


def _speeds(able: Capabilities) -> str:
    return "no choice" if able.speeds is None else f"{able.speeds[0]:g} to {able.speeds[1]:g}"


FEATURE_ROWS: Mapping[str, Callable[[Capabilities], str]] = {
    "Answers what people write": _answers,
    "Any number of people watch at once": lambda able: "yes" if able.many_viewers else "one seat",
    "An interrupt": lambda able: (
        "cuts, and the stream goes on"
        if able.cut is InterruptMethod.NATIVE
        else "closes the stream; the next words open another"
    ),
    "The next message is sent ahead, so that there is no dead air": lambda able: _yes(able.sends_ahead),
    "Reports when speech begins and ends": lambda able: (
        "yes" if able.reports_speech else "no, the bot follows the announced duration"
    ),
    "Begins with words (`AVATAR_GREETING`)": lambda able: _yes(able.requires_initial_text),
    "Can be kept open while nobody writes": lambda able: _yes(able.keeps_alive),
    "Says which streams are open (for `cleanup`)": lambda able: _yes(able.lists_open),
    "Speed of speech (`/avatar start speed=`)": _speeds,
    "Accepts a language (`/avatar start language=`)": lambda able: _yes(able.takes_language),
    "Picture quality": lambda able: ", ".join(able.qualities).replace("_", " ") or "no choice",
    "Characters in one text": lambda able: f"{able.max_text:,}",
    "Closes by itself when silent": _idle,
    "Longest stream": lambda able: duration(able.max_duration),
    "An open minute": lambda able: "not known" if able.price_per_minute is None else dollars(able.price_per_minute),
    "Charges": _billing,
}
"""The rows of the table: what a reader wants to know, and the cell for a provider."""


SETTING = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| (?:`.*?`)? ?\| (?:🔒 )?(.+) \|$", re.MULTILINE)
"""The row of a setting: its name, and what it means in words."""


def with_settings(page: str) -> str:
    """`page` with the defaults of the settings, and the marks of the secret ones, as the code has them."""
    settings = {name: (default, is_secret) for name, default, is_secret in variables()}

    def row(found: re.Match[str]) -> str:
        name, meaning = found.groups()
        default, is_secret = settings[name]
        shown = f" `{default}` " if default else " "
        return f"| `{name}` |{shown}| {'🔒 ' if is_secret else ''}{meaning} |"

    return SETTING.sub(row, page)


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
    """Bring the pages up to date."""
    with tempfile.TemporaryDirectory() as folder:
        table = asyncio.run(table_of_commands(Path(folder)))
    page = COMMANDS.read_text(encoding="utf-8")
    page = with_block(with_block(page, CHAT, chat_block(table)), SHELL, shell_block())
    COMMANDS.write_text(page, encoding="utf-8")
    CONFIGURATION.write_text(with_settings(CONFIGURATION.read_text(encoding="utf-8")), encoding="utf-8")
    page = PROVIDERS.read_text(encoding="utf-8")
    PROVIDERS.write_text(with_block(page, FEATURES, features_block(declared())), encoding="utf-8")


if __name__ == "__main__":
    write_blocks()
