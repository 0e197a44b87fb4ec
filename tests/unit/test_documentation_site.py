"""`make docs` builds the site from the pages as they are, and fails where a page or a link is amiss."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mkdocs_hooks import TAKEN_IN
from tests.pages import ROOT

pytestmark = pytest.mark.timeout(120)


def command() -> list[str]:
    """What `make docs` runs, with the program of this environment."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^docs:.*\n\t@NO_MKDOCS_2_WARNING=1 \$\(BIN\)/(mkdocs .*)$", makefile, re.MULTILINE)
    assert found is not None
    name, *arguments = shlex.split(found[1])
    return [str(Path(sys.executable).with_name(name)), *arguments]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of all that the site is made from."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("mkdocs.yml", "mkdocs_hooks.py", *TAKEN_IN):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own Makefile
        command(), cwd=folder, env={"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )


def test_site_is_built_without_a_word(checkout: Path) -> None:
    built = build(checkout)
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    pages = {page.with_suffix(".html").name for page in (checkout / "docs").glob("*.md")}
    assert pages | {page.replace(".md", ".html") for page in TAKEN_IN.values()} <= {
        page.name for page in (checkout / "build/site").glob("*.html")
    }


def test_page_that_is_not_in_the_navigation_fails(checkout: Path) -> None:
    (checkout / "docs/forgotten.md").write_text("# Forgotten\n", encoding="utf-8")
    built = build(checkout)
    assert built.returncode == 1
    assert "forgotten.md" in built.stderr


@pytest.mark.parametrize("link", ["nowhere.md", "slack.md#no-such-heading"])
def test_link_that_leads_nowhere_fails(checkout: Path, link: str) -> None:
    with (checkout / "docs/discord.md").open("a", encoding="utf-8") as page:
        page.write(f"\nSee [there]({link}).\n")
    built = build(checkout)
    assert built.returncode == 1
    assert "discord.md" in built.stderr
