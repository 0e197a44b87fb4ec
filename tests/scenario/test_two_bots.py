"""Programs with a console on a PostgreSQL database: who may join whom, one whose database goes away and comes back, and
the shell beside them. `test_failures_of_processes` has several that work.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.harness.fault_proxy import FaultProxy
from tests.harness.programs import Program, Service, run, wait_until
from tests.harness.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_API_URL": "http://127.0.0.1:9/api/"}
"""For a program without a console, which does not get as far as to use it."""


@dataclass
class Place:
    """A database, an avatar service, and programs that use both."""

    folder: Path
    service: Service
    url: str
    stack: ExitStack
    earlier: int
    """Streams of other tests."""

    def settings(self, **others: str) -> dict[str, Any]:
        needed = {"DATABASE_URL": self.url, "WEB_SECRET": "0123456789abcdef" * 2}
        return self.service.settings(self.folder, **(needed | others))

    def provider(self) -> FaultProxy:
        return self.stack.enter_context(FaultProxy(self.service.url))

    def wire(self) -> TcpProxy:
        """A way to the database that can be cut."""
        folder = parse_qs(urlsplit(self.url).query)["host"][0]
        return self.stack.enter_context(TcpProxy(path=f"{folder}/.s.PGSQL.5432"))

    def over(self, wire: TcpProxy) -> str:
        return f"postgresql://postgres@127.0.0.1:{wire.port}{urlsplit(self.url).path}"

    def bot(self, provider: FaultProxy, *, console: bool = True, **settings: str) -> Program:
        chosen = self.settings(HEYGEN_API_URL=provider.url, **settings)
        arguments = ("run", "--console") if console else ("run",)
        return self.stack.enter_context(Program(self.folder, *arguments, **chosen))

    def texts_with(self, words: str) -> list[str]:
        """What the service was given to say, as often as it was given."""
        streams = self.service.streams[self.earlier :]
        return [text["text"] for stream in streams for text in stream["spoken"] if words in text["text"]]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        async def connected() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.url)
            try:
                return [tuple(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(connected())


@pytest.fixture
def place(tmp_path: Path, service: Service, new_postgres_url: Callable[[], str]) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, service, new_postgres_url(), stack, len(service.streams))


def test_who_has_to_be_alone_or_has_another_secret_is_refused(place: Place) -> None:
    provider = place.provider()
    bot = place.bot(provider)
    bot.type("/avatar start")
    bot.until("The avatar is live.")
    where = f"process {bot.pid} on {socket.gethostname()}"
    second = place.bot(provider)
    assert second.end() == 2
    assert f"--console is at one process alone, and {where} runs on the PostgreSQL database relay_" in second.errors
    simulated = place.bot(provider, console=False, AVATAR_PROVIDER="simulator", **SLACK)
    assert simulated.end() == 2
    assert f"has its avatars inside one process, and {where} runs on the PostgreSQL" in simulated.errors
    stranger = place.bot(provider, console=False, WEB_SECRET="another secret, long enough", **SLACK)
    assert stranger.end() == 2
    assert f"WEB_SECRET is not the one of {where}, which runs on the PostgreSQL database relay_" in stranger.errors
    assert place.rows("SELECT pid FROM processes") == [(bot.pid,)]
    bot.type("hello")
    bot.until("  said: hello")
    bot.close_input()
    assert bot.end() == 0
    assert bot.errors == ""
    assert place.service.open_streams == 0


def test_a_bot_that_was_killed_is_in_nobodys_way(place: Place) -> None:
    provider = place.provider()
    bot = place.bot(provider)
    bot.type("/avatar start")
    bot.until("The avatar is live.")
    bot.send(signal.SIGKILL)
    bot.end()
    # Though it had another secret.
    heir = place.bot(provider, WEB_SECRET="another secret, long enough")
    heir.until("Recovered: 1 session on, no sessions closing.")
    heir.type("hello")
    heir.until("  said: hello")
    heir.close_input()
    assert heir.end() == 0
    assert place.service.open_streams == 0


def test_a_bot_alone_goes_on_when_its_database_answers_again(place: Place) -> None:
    """Nobody has taken over: nothing is unknown, and what waited is said."""
    mine, wire = place.provider(), place.wire()
    bot = place.bot(mine, DATABASE_URL=place.over(wire))
    bot.type("/avatar start")
    bot.until("The avatar is live.")
    bot.type("one")
    bot.until("  said: one")
    wire.swallow()
    time.sleep(8.0)
    wire.heal()
    bot.type("two")
    bot.until("  said: two")
    bot.close_input()
    assert bot.end() == 0
    assert place.service.open_streams == 0
    assert len(place.texts_with("one")) == len(place.texts_with("two")) == 1


def test_the_shell_closes_sessions_through_the_running_bot_and_by_itself_after_its_end(place: Place) -> None:
    settings = place.settings()
    bot = place.bot(place.provider())
    bot.type("/avatar start")
    bot.until("The avatar is live.")
    assert run(place.folder, "sessions", "stop-all", **settings).output.startswith("Closed ")
    assert place.service.open_streams == 0
    bot.type("/avatar start")
    wait_until(lambda: place.service.open_streams == 1)
    # Its row says so, too.
    bot.type("hello")
    bot.until("  said: hello")
    bot.send(signal.SIGKILL)
    stopped = run(place.folder, "sessions", "stop-all", **settings)
    assert (stopped.code, stopped.errors) == (0, "")
    assert stopped.output.startswith("Closed ")
    assert place.service.open_streams == 0
    assert place.rows("SELECT * FROM processes") == []
