"""Two programs on one PostgreSQL database: one is the bot, the other stands by or ends, and nothing is done twice."""

import asyncio
import contextlib
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.harness.programs import PATIENCE, Program, Service, run, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

T = TypeVar("T")

LOCK = (
    "FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Server:
    """What an operator does to the database of `url` beside the bots."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._name = urlsplit(url).path[1:]

    @property
    def locked_by(self) -> int | None:
        """The backend that holds the lock."""
        pid: int | None = self.over(lambda connection: connection.fetchval(f"SELECT pid {LOCK}"))
        return pid

    def cut_the_lock(self) -> None:
        """End the connection that holds the lock."""
        self.over(lambda connection: connection.execute(f"SELECT pg_terminate_backend(pid) {LOCK}"))

    def over(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run `work` over a connection of its own."""

        async def connected() -> T:
            connection = await asyncpg.connect(self.url)
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    @contextlib.contextmanager
    def closed_to_newcomers(self) -> Iterator[None]:
        """Let connections that exist go on, and nobody connect, inside the block."""
        operator = Server(self.url.replace(self._name, "postgres", 1))
        allow = f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS"
        operator.over(lambda connection: connection.execute(f"{allow} false"))
        try:
            yield
        finally:
            operator.over(lambda connection: connection.execute(f"{allow} true"))


@pytest.fixture
def server(new_postgres_url: Callable[[], str]) -> Server:
    return Server(new_postgres_url())


def readiness_of(bot: Program) -> tuple[int, str]:
    """What `/readyz` answers."""
    found = re.search(r"Web: .* (http://[\w.:]+\d)[,.]", bot.output)
    assert found is not None, bot.output
    try:
        with urllib.request.urlopen(f"{found[1]}/readyz", timeout=PATIENCE) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_second_bot_is_refused_and_the_first_one_goes_on(tmp_path: Path, service: Service, server: Server) -> None:
    settings = service.settings(tmp_path, DATABASE_URL=server.url)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        second = run(tmp_path, "run", "--console", **settings)
        assert second.code == 2
        whom = f"process {bot.pid} on {socket.gethostname()}"
        assert second.errors.startswith(f"Another avatar-relay ({whom}, connected since ")
        assert second.errors.endswith(
            ") already runs on this database: stop it, or set DATABASE_URL to another database.\n"
        )
        assert second.errors.count("\n") == 1
        assert "Web: " not in second.output
        bot.type("hello")
        bot.until("  said: hello")
        assert service.open_streams == 1
        bot.close_input()
        assert bot.end() == 0
        assert bot.errors == ""
    assert service.open_streams == 0


def test_a_bot_that_stands_by_goes_on_where_a_killed_one_stopped(
    tmp_path: Path, service: Service, server: Server
) -> None:
    settings = service.settings(tmp_path, DATABASE_URL=server.url)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        with Program(tmp_path, "run", "--console", **(settings | {"LOG_LEVEL": "warning"})) as second:
            wait_until(lambda: second._read(0.1) and "owns the database; waiting" in second.errors)
            assert "Web: " not in second.output
            bot.send(signal.SIGKILL)
            second.until("Recovered: 1 session on, no sessions closing.")
            second.type("hello again")
            second.until("  said: hello again")
            second.close_input()
            assert second.end() == 0
    assert service.open_streams == 0


def test_a_bot_whose_lock_was_cut_takes_it_again_and_goes_on(tmp_path: Path, service: Service, server: Server) -> None:
    with Program(tmp_path, "run", "--console", **service.settings(tmp_path, DATABASE_URL=server.url)) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        first = server.locked_by
        server.cut_the_lock()
        wait_until(lambda: server.locked_by not in (None, first))
        bot.type("still here")
        bot.until("  said: still here")
        bot.close_input()
        assert bot.end() == 0
    assert "the lock on the database was lost; taking it again" in bot.errors
    assert service.open_streams == 0


def test_a_bot_whose_database_was_taken_over_ends_and_leaves_the_streams(
    tmp_path: Path, service: Service, server: Server
) -> None:
    with Program(tmp_path, "run", "--console", **service.settings(tmp_path, DATABASE_URL=server.url)) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        assert readiness_of(bot)[0] == 200

        async def take_over(rival: Any) -> None:
            """Have the lock as soon as the bot has lost it, and keep it until the bot has ended."""
            keys = await rival.fetchrow(f"SELECT classid, objid {LOCK}")
            await rival.execute("SET application_name = 'avatar-relay, process 1 on elsewhere'")
            with contextlib.ExitStack() as closed:
                await asyncio.to_thread(closed.enter_context, server.closed_to_newcomers())
                await rival.execute(f"SELECT pg_terminate_backend(pid) {LOCK}")
                await rival.execute("SELECT pg_advisory_lock($1::bigint::int, $2::bigint::int)", *keys)
                await asyncio.to_thread(wait_until, lambda: readiness_of(bot)[0] == 503)
                assert "may be another bot's by now" in (await asyncio.to_thread(readiness_of, bot))[1]
                await asyncio.to_thread(closed.close)
            assert await asyncio.to_thread(bot.end) == 2

        server.over(take_over)
    sentence = bot.errors.splitlines()[-1]
    assert sentence.startswith("Another avatar-relay (process 1 on elsewhere, connected since ")
    assert ") has taken this database over while the connection to it was lost: " in sentence
    assert "1 session left to the process that owns the database now." in bot.output
    assert service.open_streams == 1


def test_the_shell_closes_sessions_through_the_running_bot_and_by_itself_after_its_end(
    tmp_path: Path, service: Service, server: Server
) -> None:
    settings = service.settings(tmp_path, DATABASE_URL=server.url)
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        assert run(tmp_path, "sessions", "stop-all", **settings).output.startswith("Closed ")
        assert service.open_streams == 0
        bot.close_input()
        assert bot.end() == 0
    with Program(tmp_path, "run", "--console", **settings) as bot:
        bot.type("/avatar start")
        bot.until("The avatar is live.")
        bot.send(signal.SIGKILL)
        wait_until(lambda: server.locked_by is None)
    assert service.open_streams == 1
    assert run(tmp_path, "sessions", "stop-all", **settings).output.startswith("Closed ")
    assert service.open_streams == 0
