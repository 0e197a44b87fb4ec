"""One bot per SQLite file, across real processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.core.errors import StoreUnavailable
from bot.store.lock.instance import ACQUIRE_TIMEOUT, InstanceLock, owner_of
from tests.harness.clock import ManualClock

OWN = """
import asyncio, sys
from bot.core.clock import SystemClock
from bot.store.lock.instance import InstanceLock
async def own():
    async with InstanceLock(sys.argv[1], SystemClock(), patience=0):
        print("owns", flush=True)
        sys.stdin.read()
asyncio.run(own())
"""


@contextmanager
def another_process(url: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-c", OWN, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owns\n"
        yield process


def at_once(url: str) -> InstanceLock:
    """The ownership of somebody who does not wait."""
    return InstanceLock(url, ManualClock(), patience=0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/relay.db"


async def test_a_second_process_is_refused_and_told_which_one_runs(url: str) -> None:
    with another_process(url) as other:
        assert owner_of(url) == f"process {other.pid}"
        expected = (
            f"another avatar-relay (process {other.pid}) already runs on this database: "
            "stop it, or set DATABASE_URL to another file"
        )
        with pytest.raises(StoreUnavailable) as refusal:
            async with at_once(url):
                pytest.fail("two processes own the file")
        assert str(refusal.value) == expected
        assert owner_of(url) == f"process {other.pid}"
    assert owner_of(url) is None
    async with at_once(url):
        assert owner_of(url) == f"process {os.getpid()}"


async def test_what_a_killed_process_left_is_no_obstacle(url: str, tmp_path: Path) -> None:
    with another_process(url) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert (tmp_path / "relay.db.lock").read_text() == str(other.pid)
        assert owner_of(url) is None
        async with at_once(url):
            assert owner_of(url) == f"process {os.getpid()}"


async def test_it_can_be_taken_again_after_it_was_given_back(url: str) -> None:
    for _ in range(2):
        async with at_once(url):
            assert owner_of(url) == f"process {os.getpid()}"
            with pytest.raises(StoreUnavailable, match=f"process {os.getpid()}"):
                await at_once(url).__aenter__()
        assert owner_of(url) is None


async def test_a_newcomer_gets_the_file_when_its_owner_ends_in_time(url: str) -> None:
    clock = ManualClock()
    async with at_once(url):
        newcomer = InstanceLock(url, clock)
        entering = asyncio.create_task(newcomer.__aenter__())
        await clock.advance(ACQUIRE_TIMEOUT - 1)
        assert not entering.done()
    await clock.advance(1)
    assert await entering is newcomer
    assert owner_of(url) == f"process {os.getpid()}"
    await newcomer.__aexit__(None, None, None)


async def test_a_newcomer_waits_no_longer_than_its_patience(url: str) -> None:
    clock = ManualClock()
    async with at_once(url):
        entering = asyncio.create_task(InstanceLock(url, clock).__aenter__())
        await clock.advance(ACQUIRE_TIMEOUT)
        assert entering.done()
        with pytest.raises(StoreUnavailable, match="already runs on this database"):
            await entering


async def test_a_newcomer_that_is_told_to_stop_waits_no_longer(url: str) -> None:
    clock, stopping = ManualClock(), asyncio.Event()
    async with at_once(url):
        entering = asyncio.create_task(InstanceLock(url, clock, stopping=stopping).__aenter__())
        await clock.advance(1)
        assert not entering.done()
        stopping.set()
        await clock.advance(1)
        with pytest.raises(StoreUnavailable, match="already runs on this database"):
            await entering


async def test_two_names_of_the_file_are_one_file(url: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    async with at_once(f"sqlite:///{tmp_path}/link/relay.db"):
        with pytest.raises(StoreUnavailable):
            await at_once(url).__aenter__()


async def test_another_file_is_free(url: str, tmp_path: Path) -> None:
    async with at_once(url), at_once(f"sqlite:///{tmp_path}/other.db"):
        assert owner_of(url) == f"process {os.getpid()}"


async def test_asking_makes_no_file(url: str, tmp_path: Path) -> None:
    assert owner_of(url) is None
    assert not (tmp_path / "relay.db.lock").exists()
    assert not (tmp_path / "relay.db").exists()


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "obstacle").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be opened for writing"):
        await at_once(f"sqlite:///{tmp_path}/obstacle/relay.db").__aenter__()
    (tmp_path / "relay.db.lock").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be locked"):
        await at_once(f"sqlite:///{tmp_path}/relay.db").__aenter__()
