"""One bot per SQLite file, across real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.errors import StoreUnavailable
from bot.store.ownership import SqliteOwnership, holder

OWN = """
import sys
from bot.store.ownership import SqliteOwnership
with SqliteOwnership(sys.argv[1]):
    print("owns", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(url: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-c", OWN, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owns\n"
        yield process


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/relay.db"


def test_a_second_process_is_refused_and_told_which_one_runs(url: str) -> None:
    with another_process(url) as other:
        assert holder(url) == other.pid
        expected = (
            f"another avatar-relay (process {other.pid}) already runs on this database: "
            "stop it, or set DATABASE_URL to another file"
        )
        with pytest.raises(StoreUnavailable) as refusal, SqliteOwnership(url):
            pytest.fail("two processes own the file")
        assert str(refusal.value) == expected
        assert holder(url) == other.pid
    assert holder(url) is None
    with SqliteOwnership(url):
        assert holder(url) == os.getpid()


def test_what_a_killed_process_left_is_no_obstacle(url: str, tmp_path: Path) -> None:
    with another_process(url) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert (tmp_path / "relay.db.lock").read_text() == str(other.pid)
        assert holder(url) is None
        with SqliteOwnership(url):
            assert holder(url) == os.getpid()


async def test_it_can_be_taken_again_after_it_was_given_back(url: str) -> None:
    for _ in range(2):
        async with SqliteOwnership(url):
            assert holder(url) == os.getpid()
            with pytest.raises(StoreUnavailable, match=f"process {os.getpid()}"):
                SqliteOwnership(url).__enter__()
        assert holder(url) is None


def test_two_names_of_the_file_are_one_file(url: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with SqliteOwnership(f"sqlite:///{tmp_path}/link/relay.db"), pytest.raises(StoreUnavailable):
        SqliteOwnership(url).__enter__()


def test_another_file_is_free(url: str, tmp_path: Path) -> None:
    with SqliteOwnership(url), SqliteOwnership(f"sqlite:///{tmp_path}/other.db"):
        assert holder(url) == os.getpid()


def test_asking_makes_no_file(url: str, tmp_path: Path) -> None:
    assert holder(url) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://ada@localhost/relay"])
def test_other_databases_need_no_lock(url: str) -> None:
    with SqliteOwnership(url), SqliteOwnership(url):
        assert holder(url) is None


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "obstacle").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be opened for writing"):
        SqliteOwnership(f"sqlite:///{tmp_path}/obstacle/relay.db").__enter__()
    (tmp_path / "relay.db.lock").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be locked"):
        SqliteOwnership(f"sqlite:///{tmp_path}/relay.db").__enter__()
