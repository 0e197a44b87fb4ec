"""What people read is true: settings, commands, links, names and examples are compared with the program.

Where a block that is made from the code is out of date, its test fails and prints the fresh text;
`python -m tests.pages` writes it.
"""

import importlib
import json
import os
import re
import shlex
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import typer

from adapters.simulator import Simulator, SimulatorOptions
from bot.cli.main import app
from bot.commands.parser import ADMIN, AVATAR, CommandSpec, parse
from bot.core.errors import SettingsError
from bot.core.models import SessionState, UtteranceState
from bot.settings import load, variables
from tests.harness.clock import ManualClock
from tests.pages import (
    CHAT,
    COMMANDS,
    CONFIGURATION,
    FEATURES,
    PAGES,
    PROVIDERS,
    README,
    ROOT,
    SHELL,
    anchors,
    block_of,
    chat_block,
    declared,
    features_block,
    fenced,
    shell_block,
    shell_commands,
    spans,
    table_of_commands,
    with_settings,
)

if TYPE_CHECKING:
    from typer._click import Command

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
GUIDE = CONFIGURATION.read_text(encoding="utf-8")
SETTINGS = list(variables())

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

# --- settings --------------------------------------------------------------------------------------------------------

IN_EXAMPLE = dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))
IN_GUIDE = {
    name: (default, meaning)
    for name, default, meaning in re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \| `?(.*?)`? ?\| (.+) \|$", GUIDE, re.MULTILINE)
}


@pytest.mark.parametrize(("name", "default"), [(name, default) for name, default, _ in SETTINGS])
def test_setting_is_in_the_example_and_in_the_guide_with_its_default(name: str, default: str) -> None:
    assert IN_EXAMPLE.get(name) == default
    assert name in IN_GUIDE, f"{name} has no row in docs/configuration.md"
    assert IN_GUIDE[name][0] == default
    assert len(IN_GUIDE[name][1]) > 20


def test_defaults_and_marks_of_secrets_are_those_of_the_code() -> None:
    assert with_settings(GUIDE) == GUIDE, "run python -m tests.pages"


@pytest.mark.parametrize("documented", [IN_EXAMPLE, IN_GUIDE], ids=["example", "guide"])
def test_nothing_is_documented_that_is_no_setting(documented: dict[str, object]) -> None:
    assert set(documented) == {name for name, _, _ in SETTINGS}


def test_every_setting_of_the_example_has_a_comment_above_it() -> None:
    for block in re.split(r"\n\s*\n", EXAMPLE):
        if re.search(r"^#[A-Z]", block, re.MULTILINE):
            assert re.match(r"# \w", block), block


def test_example_read_as_it_is_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    taken = tmp_path / ".env"
    taken.write_text(re.sub(r"^#(?=[A-Z])", "", EXAMPLE, flags=re.MULTILINE), encoding="utf-8")
    assert load(taken) == load(None)


def test_line_of_error_shown_in_the_guide_is_the_one_people_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_IDLE_TIMEOUT", "soon")
    with pytest.raises(SettingsError, match="SESSION_IDLE_TIMEOUT") as caught:
        load(None)
    assert str(caught.value) in GUIDE


@every_page
def test_settings_of_an_example_exist(page: Path) -> None:
    known = {name for name, _, _ in SETTINGS}
    for line in fenced(page):
        if found := re.match(r"([A-Z][A-Z0-9_]+)=", line):
            assert found[1] in known or OF_OTHERS.fullmatch(found[1]), line


OF_OTHERS = re.compile(
    r"(SIMULATOR|POSTGRES|TELNET|DUPLICATE|PARTICIPANT|ROOM)_\w+|SSL_CERT_FILE"
    r"|(HTTPS?|ALL|NO)_PROXY|NODE_IP|IMAGE_LOCK"
)
"""Names in capitals that are no settings of the bot: of the tests, the simulator, the examples, of LiveKit, of
compose.yaml, and of the environment that every program on a machine shares."""


@every_page
def test_settings_in_the_text_exist(page: Path) -> None:
    known = {name for name, _, _ in SETTINGS}
    for span in spans(page):
        found = re.match(r"([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])(=|$)", span)
        assert found is None or found[1] in known or OF_OTHERS.fullmatch(found[1]), span


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def table(tmp_path: Path) -> Mapping[tuple[str, str], CommandSpec]:
    """The commands of a bot."""
    return await table_of_commands(tmp_path)


def check_block(name: str, fresh: str, path: Path = COMMANDS) -> None:
    """Fail with the fresh text where the page has another."""
    __tracebackhide__ = True
    if block_of(path.read_text(encoding="utf-8"), name) != fresh:
        pytest.fail(
            f"docs/{path.name} is out of date: run `python -m tests.pages`. Fresh:\n\n{fresh}",
            pytrace=False,
        )


def test_table_of_chat_commands_is_the_one_of_the_program(table: Mapping[tuple[str, str], CommandSpec]) -> None:
    check_block(CHAT, chat_block(table))


def test_help_of_the_shell_is_the_one_of_the_program() -> None:
    check_block(SHELL, shell_block())


def test_table_of_providers_is_what_they_declare() -> None:
    check_block(FEATURES, features_block(declared()), PROVIDERS)


def test_every_chat_command_has_a_section_with_an_example(table: Mapping[tuple[str, str], CommandSpec]) -> None:
    sections = re.split(r"^### ", COMMANDS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    described = {section.partition("\n")[0].strip("`"): section for section in sections}
    for group, verb in table:
        command = f"/{group} {verb}"
        assert command in described, f"{command} has no section in docs/commands.md"
        assert f"\n```\n{command}" in described[command], f"{command} has no example"
    known = {f"/{group} {verb}" for group, verb in table}
    assert {title for title in described if title.startswith("/")} == known


def test_every_shell_command_has_an_example() -> None:
    lines = fenced(COMMANDS)
    for words, command in shell_commands():
        if not hasattr(command, "commands"):
            example = " ".join(("avatar-relay", *words))
            assert any(line.startswith(example) for line in lines), f"{example} has no example"


def test_every_option_of_the_simulator_is_explained() -> None:
    page = (ROOT / "docs/simulator.md").read_text(encoding="utf-8")
    command = dict(shell_commands())[("simulator",)]
    explained = re.findall(r"^\| `(--[a-z-]+)`", page, re.MULTILINE)
    assert sorted(explained) == sorted(option for parameter in command.params for option in parameter.opts)


@every_page
def test_chat_commands_in_the_text_exist(page: Path, table: Mapping[tuple[str, str], CommandSpec]) -> None:
    usages = {key: entry.usage for key, entry in table.items()}
    for line in fenced(page):
        if found := re.fullmatch(rf"/({AVATAR}|{ADMIN}) (.*)", line):
            parse(found[2], usages, found[1])
    for group, verb in re.findall(rf"/({AVATAR}|{ADMIN}) ([a-z]+)\b", page.read_text(encoding="utf-8")):
        # Of a verb of two words the second is looked at above, where it stands in an example.
        assert any(place == group and name.split()[0] == verb for place, name in usages), f"/{group} {verb}"


@every_page
def test_shell_commands_in_the_text_exist_with_these_options(page: Path) -> None:
    known = dict(shell_commands())
    of_the_program = {"--help", *(name for option in typer.main.get_command(app).params for name in option.opts)}
    for line in (*fenced(page), *spans(page)):
        words = shlex.split(line)[1:] if re.match(r"(\.venv/bin/)?avatar-relay( [a-z-]|$)", line) else []
        command: Command = typer.main.get_command(app)
        path: tuple[str, ...] = ()
        while words and hasattr(command, "commands"):
            path = (*path, words.pop(0))
            assert path in known or path[-1] in of_the_program, line
            command = known.get(path, command)
        if path in known and not hasattr(command, "commands") and (words or page is COMMANDS):
            command.make_context(path[-1], words)


@every_page
def test_make_targets_in_the_text_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in (*fenced(page), *spans(page)):
        if found := re.search(r"(?:^|\| )make((?: [a-z-]+)+)", re.sub(r"\s+#.*", "", line)):
            assert set(found[1].split()) <= targets, line


# --- how it works ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "states"), [("a session", SessionState), ("an utterance", UtteranceState)])
def test_diagram_has_every_state_and_no_other(title: str, states: type[SessionState] | type[UtteranceState]) -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    diagram = page.partition(f"## The life of {title}\n")[2].partition("```mermaid")[2].partition("```")[0]
    drawn = set(re.findall(r"^ +(\w+) -->|--> (\w+)", diagram, re.MULTILINE))
    assert {state for pair in drawn for state in pair if state} == {state.value for state in states}


@every_page
def test_names_of_the_code_in_the_text_exist(page: Path) -> None:
    for span in spans(page):
        if re.fullmatch(r"(bot|adapters|tests|docs|migrations|requirements|examples|deploy)/[\w./-]*", span):
            assert (ROOT / span).exists(), span
        elif re.fullmatch(r"(bot|adapters|tests)(\.\w+)+(\(.*\))?", span) and not span.endswith(".py"):
            _find(span.partition("(")[0])


def _find(name: str) -> None:
    """Import the longest beginning of a dotted name that is a module, and take the rest as attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        reduce(getattr, parts[length:], module)
        return
    raise AssertionError(name)


# --- links and examples ----------------------------------------------------------------------------------------------


@every_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(
        r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    ):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_page_is_reached_from_the_readme_or_from_the_index(page: Path) -> None:
    readme, index = (path.read_text(encoding="utf-8") for path in (README, ROOT / "docs/index.md"))
    reached = page in (README, ROOT / "docs/index.md") or f"({page.relative_to(ROOT)})" in readme
    assert reached or f"({os.path.relpath(page, ROOT / 'docs')})" in index


def test_index_is_reached_from_the_readme() -> None:
    assert "(docs/index.md)" in README.read_text(encoding="utf-8")


def test_readme_is_short_enough_to_read() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 130


async def test_bodies_of_the_examples_are_taken_by_the_simulator() -> None:
    bodies = [
        json.loads(body) for line in fenced(ROOT / "docs/simulator.md") for body in re.findall(r" -d '(.*?)'", line)
    ]
    assert len(bodies) >= 5
    options = SimulatorOptions()
    async with Simulator(options, ManualClock()) as simulator, aiohttp.ClientSession() as client:
        headers = {"X-Api-Key": options.api_key.get_secret_value()}
        for body in bodies:
            async with client.post(f"{simulator.address}/simulator/faults", json=body, headers=headers) as answer:
                assert answer.status == (404 if "drop_stream" in body else 200), body
