"""Every setting is explained, with its true default, where people look for it."""

import re
from pathlib import Path

import pytest

from bot.settings import load, variables

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
SETTINGS = list(variables())

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


@pytest.mark.parametrize("name", [name for name, _, is_secret in SETTINGS if is_secret])
def test_secret_is_marked_as_one_in_the_guide(name: str) -> None:
    assert IN_GUIDE[name][1].startswith("🔒")


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
    with pytest.raises(Exception, match="SESSION_IDLE_TIMEOUT") as caught:
        load(None)
    assert str(caught.value) in GUIDE
