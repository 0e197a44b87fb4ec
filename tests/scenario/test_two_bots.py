"""Two programs on one PostgreSQL database: where one dies, is stopped or is cut off, the other one goes on with its
session; what the first one does then comes to nothing.

Every program reaches the avatar service through a proxy of its own, which notes what it asks for: so it is known who
said what, and when. `broken` are programs without one of the fences; they must show what it is for.
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

from tests import options
from tests.harness.fault_proxy import FaultProxy
from tests.harness.programs import Program, Service, run, wait_until
from tests.harness.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

ROUNDS = 20 if options.is_every_point() else 2

TEXT = "POST /v3/*/text"
"""The call that has a text said."""

LONG = " ".join(
    f"This is sentence {number} of a message that takes a minute and more to be said." for number in range(30)
)
"""Goes out in pieces, one every few seconds: when the bot goes on after a stop, the next one is due."""

TAKEN_OVER = 75
"""The exit code of a bot whose place another one has taken."""

WITHOUT_DEADLINE = "import bot.cluster.membership as membership\nmembership.MAY_ACT_FOR = 1e9"
WITHOUT_LAST_LOOK = "import bot.core.fence as fence\nfence.check = lambda: None"

STOPS = "import os, pathlib, signal\ndef stop():\n" + (
    "    if (wish := pathlib.Path('stop')).exists():\n"
    "        wish.unlink()\n"
    "        os.kill(os.getpid(), signal.SIGSTOP)\n"
)
STOPS_BEFORE_SENDING = STOPS + (
    "import adapters.network as network\n"
    "connect = network.Connector.connect\n"
    "async def stopping(self, req, traces, timeout):\n"
    "    if req.url.path.endswith('/text'):\n"
    "        stop()\n"
    "    return await connect(self, req, traces, timeout)\n"
    "network.Connector.connect = stopping\n"
)
STOPS_BEFORE_COMMIT = STOPS + (
    "import bot.store.writer as writer\n"
    "write_all = writer.write_all\n"
    "def stopping(connection, writes):\n"
    "    results = write_all(connection, writes)\n"
    "    stop()\n"
    "    return results\n"
    "writer.write_all = stopping\n"
)


@dataclass
class Place:
    """A database, an avatar service, and programs that use both."""

    folder: Path
    service: Service
    url: str
    stack: ExitStack
    earlier: int
    """Streams of other tests."""

    def settings(self, **others: str) -> dict[str, str]:
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

    def bot(self, provider: FaultProxy, *, changed: str | None = None, **settings: str) -> Program:
        settings = self.settings(HEYGEN_API_URL=provider.url, **settings)
        return self.stack.enter_context(Program(self.folder, "run", "--console", changed=changed, **settings))

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


def joins(program: Program, other: Program) -> None:
    program.until(f"Cluster: shares the avatars with process {other.pid} on {socket.gethostname()}; ")
    program.until("Web: ")


def in_a_line(place: Place, first: Program, provider: FaultProxy) -> None:
    """Have `first` say a long message, with another one behind it."""
    first.type("/avatar start")
    first.until("The avatar is live.")
    first.type(LONG, "and then this")
    provider.wait_for(TEXT, 1)
    wait_until(lambda: place.rows("SELECT 1 FROM utterances WHERE state = 'queued'") != [])


def takes_over(second: Program) -> None:
    second.until("Recovered: 1 session on, no sessions closing.")
    second.until("1 message may not have been said before the restart")


def ends_as_a_former_one(first: Program) -> None:
    assert first.end() == TAKEN_OVER
    assert "belongs to another avatar-relay now, which goes on with the avatars." in first.errors
    assert "1 session left to the process that owns the database now." in first.output


def test_a_second_bot_works_beside_the_first_one_and_takes_nothing_of_it(place: Place) -> None:
    provider = place.provider()
    bot = place.bot(provider)
    bot.type("/avatar start")
    bot.until("The avatar is live.")
    second = place.bot(provider)
    joins(second, bot)
    bot.type("hello")
    bot.until("  said: hello")
    second.type("/avatar start")
    second.until("already")
    assert place.service.open_streams == 1
    bot.close_input()
    assert bot.end() == 0
    assert bot.errors == ""
    assert place.service.open_streams == 0
    assert "Recovered" not in second.output
    second.type("/avatar start", "my turn")
    second.until("  said: my turn")
    second.close_input()
    assert second.end() == 0
    assert place.rows("SELECT * FROM processes") == []
    assert second.errors == ""


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("failure", ["kill", "stop", "swallow", "reset"])
def test_the_other_bot_goes_on_and_the_first_one_says_nothing_more(place: Place, failure: str, round_: int) -> None:
    mine, others, wire = place.provider(), place.provider(), place.wire()
    first = place.bot(mine, DATABASE_URL=place.over(wire))
    in_a_line(place, first, mine)
    second = place.bot(others)
    joins(second, first)
    time.sleep(round_ * 0.37)
    match failure:
        case "kill":
            first.send(signal.SIGKILL)
        case "stop":
            first.send(signal.SIGSTOP)
        case "swallow":
            wire.swallow()
        case _:
            wire.reset()
    takes_over(second)
    said_before = place.texts_with("sentence")
    if failure != "kill":
        first.send(signal.SIGCONT)
        if failure != "stop":
            # Cut off, and the next piece is due: it would be said now.
            time.sleep(PIECE_IS_DUE)
            wire.heal()
        ends_as_a_former_one(first)
    second.until("  said: and then this")
    second.type("and mine")
    second.until("  said: and mine")
    assert place.texts_with("sentence") == said_before
    assert len(place.texts_with("and then this")) == len(place.texts_with("and mine")) == 1
    assert place.service.open_streams == 1
    second.close_input()
    assert second.end() == 0
    assert place.service.open_streams == 0
    assert place.rows("SELECT count(*) FROM utterances WHERE state = 'unknown'") == [(1,)]
    assert place.rows("SELECT count(*) FROM sessions WHERE owner IS NOT NULL OR state <> 'closed'") == [(0,)]


PIECE_IS_DUE = 12.0
"""Seconds within which a bot that says a long message sends the next piece of it: one is at most so long."""


def test_without_the_deadline_a_bot_that_is_cut_off_says_more_after_the_takeover(place: Place) -> None:
    """The test above proves something only if this one is so."""
    mine, wire = place.provider(), place.wire()
    first = place.bot(mine, changed=WITHOUT_DEADLINE, DATABASE_URL=place.over(wire))
    in_a_line(place, first, mine)
    second = place.bot(place.provider())
    joins(second, first)
    wire.swallow()
    takes_over(second)
    said_before = len(place.texts_with("sentence"))
    wait_until(lambda: len(place.texts_with("sentence")) > said_before)


@pytest.mark.parametrize("looks_again", [True, False])
def test_a_bot_that_is_stopped_between_its_decision_and_the_request_sends_nothing_when_it_goes_on(
    place: Place, looks_again: bool
) -> None:
    """Where it does not look again right before it sends, it does: so this is what the second look is for."""
    mine = place.provider()
    changed = STOPS_BEFORE_SENDING if looks_again else WITHOUT_LAST_LOOK + "\n" + STOPS_BEFORE_SENDING
    first = place.bot(mine, changed=changed)
    in_a_line(place, first, mine)
    second = place.bot(place.provider())
    joins(second, first)
    (place.folder / "stop").touch()
    takes_over(second)
    said_before = len(place.texts_with("sentence"))
    first.send(signal.SIGCONT)
    ends_as_a_former_one(first)
    assert len(place.texts_with("sentence")) == said_before + (0 if looks_again else 1)


def test_a_bot_that_is_stopped_inside_a_transaction_is_replaced_and_its_write_does_not_come_about(place: Place) -> None:
    mine = place.provider()
    first = place.bot(mine, changed=STOPS_BEFORE_COMMIT)
    in_a_line(place, first, mine)
    second = place.bot(place.provider())
    joins(second, first)
    (place.folder / "stop").touch()
    first.type("nobody has taken this")
    takes_over(second)
    first.send(signal.SIGCONT)
    ends_as_a_former_one(first)
    second.until("  said: and then this")
    assert place.rows("SELECT count(*) FROM utterances WHERE text = 'nobody has taken this'") == [(0,)]
    assert place.texts_with("nobody has taken this") == []


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
    bot.until("The avatar is live.")
    bot.send(signal.SIGKILL)
    stopped = run(place.folder, "sessions", "stop-all", **settings)
    assert (stopped.code, stopped.errors) == (0, "")
    assert stopped.output.startswith("Closed ")
    assert place.service.open_streams == 0
    assert place.rows("SELECT * FROM processes") == []
