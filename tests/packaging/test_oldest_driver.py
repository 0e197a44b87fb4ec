"""The store works with the oldest aiosqlite that pyproject.toml allows, too; every other test has the locked one."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def oldest_allowed(package: str) -> str:
    """The lower bound of its versions."""
    found = re.search(rf'"{package}>=([\d.]+)', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python finds the oldest aiosqlite before the locked one."""
    package = f"aiosqlite=={oldest_allowed('aiosqlite')}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "packages")]
    done = subprocess.run([*pip, package], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        pytest.skip(f"{package} could not be installed, for which a network is needed")
    return os.environ | {"PYTHONPATH": str(tmp_path / "packages")}


def test_the_store_works_with_the_oldest_driver(environment: dict[str, str]) -> None:
    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own words
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    found = python("-c", "from importlib.metadata import version; print(version('aiosqlite'))").stdout.strip()
    assert found.startswith(oldest_allowed("aiosqlite"))
    assert found != version("aiosqlite"), "the oldest is the locked one: this test says nothing new"

    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/store", "tests/unit/store")

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
