"""The example of docs/extending.md is a chat platform: people talk to a real bot through it, over a real socket."""

import asyncio
import importlib
import sys
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import SimulatorOptions
from bot import sentences
from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.tasks import cancel_and_wait
from bot.facade import ChatAdapter
from bot.plugins import load_adapters
from bot.settings import load

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "examples/telnet_chat"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))
PATIENCE = 20.0
"""Seconds of real time; only a failing test waits so long."""


class Person:
    """Somebody who is connected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.read = ""

    async def type(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()

    async def until(self, *words: str) -> None:
        """Read until one of the sentences has come."""
        while not any(sentence in self.read for sentence in words):
            try:
                line = await asyncio.wait_for(self._reader.readline(), PATIENCE)
            except TimeoutError:
                pytest.fail(f"{words!r} did not come: {self.read}")
            assert line, f"disconnected: {self.read}"
            self.read += line.decode()

    async def leave(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
def telnet(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class that the entry point of the example names."""
    module, _, name = PROJECT["project"]["entry-points"]["avatar_relay.chat"]["telnet"].partition(":")
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("TELNET_PORT", "0")
    yield getattr(importlib.import_module(module), name)
    sys.modules.pop(module)


@pytest.fixture
async def adapter(telnet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The adapter inside a bot that runs."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'bot.sqlite3'}")
    monkeypatch.setenv("WEB_PORT", "0")
    monkeypatch.setenv("AVATAR_GREETING", "Hi.")
    monkeypatch.setenv("SESSION_NEEDS_VIEWER", "never")
    made: list[ChatAdapter] = []

    def make(bot: Any) -> ChatAdapter:
        made.append(telnet(bot))
        return made[0]

    application = Application(load(None), SystemClock(10), lambda _: None, simulator=SimulatorOptions(auto_viewer=True))
    await application.start([make])
    serving = asyncio.create_task(application.serve())
    async with asyncio.timeout(PATIENCE):
        while made[0].unhealthy_reason is not None:  # noqa: ASYNC110 - no adapter has an event for it
            await asyncio.sleep(0.01)
    yield made[0]
    application.ask_to_stop()
    await serving
    await cancel_and_wait(serving)
    await application.stop()


Enter = Callable[[], Awaitable[Person]]


@pytest.fixture
async def enter(adapter: Any) -> AsyncIterator[Enter]:
    """Connects people; afterwards they leave."""
    people: list[Person] = []

    async def connect() -> Person:
        people.append(Person(*await asyncio.open_connection("127.0.0.1", adapter.port)))
        return people[-1]

    yield connect
    for person in people:
        await person.leave()


def test_example_is_short() -> None:
    assert len((FOLDER / "telnet_chat.py").read_text(encoding="utf-8").splitlines()) < 100


def test_example_is_a_chat_adapter_that_says_what_it_misses(telnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter: type[ChatAdapter] = telnet
    assert adapter.missing_settings(load(None)) is None
    monkeypatch.delenv("TELNET_PORT")
    assert "TELNET_PORT" in (adapter.missing_settings(load(None)) or "")


async def test_people_start_talk_to_and_stop_an_avatar_through_the_example(enter: Enter) -> None:
    first, second = await enter(), await enter()
    await first.type("/avatar start")
    await first.until("/w/")
    await second.until("is live")
    await second.type("hello from a socket")
    # The greeting may still be on its way.
    await second.until(*(sentences.queued(ahead, live_yet=True) for ahead in (0, 1)))
    await first.type("/avatar dance")
    await first.until("dance")
    await first.type("/avatar stop")
    await second.until("The avatar has left")


async def test_a_line_without_an_end_disconnects_and_does_no_other_harm(enter: Enter) -> None:
    loud, calm = await enter(), await enter()
    await loud.type("x" * 10_000)
    await calm.type("/avatar status")
    await calm.until("\r\n")
    with pytest.raises(AssertionError, match="disconnected"):
        await loud.until("nothing")


def test_installed_example_is_found_by_its_entry_point(
    telnet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "avatar_relay_telnet-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: avatar-relay-telnet\nVersion: 0.1.0\n")
    groups = PROJECT["project"]["entry-points"]
    lines = [f"[{group}]\n{name} = {where}\n" for group in groups for name, where in groups[group].items()]
    (about / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    told: list[str] = []
    assert telnet in load_adapters(load(None), console=False, echo=told.append)
    assert "Telnet: starting." in told
