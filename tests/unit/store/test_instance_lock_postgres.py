"""One bot per PostgreSQL database, on a real server, over connections that are cut, muted and left behind."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from bot.core.clock import SystemClock
from bot.core.errors import StoreUnavailable
from bot.core.tasks import cancel_and_wait
from bot.store.lock import postgres as advisory_lock
from bot.store.lock.instance import InstanceLock, owner_of
from tests.unit.store.test_instance_lock import another_process

pytestmark = pytest.mark.postgres

PATIENCE = 20.0
"""Seconds of real time that something may take to come true; only a failing test waits so long."""

LOCKED_BY = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
MYSELF = f"process {os.getpid()} on {socket.gethostname()}"


@pytest.fixture
def url(new_postgres_url: Callable[[], str]) -> str:
    return new_postgres_url()


@pytest.fixture
def another_url(new_postgres_url: Callable[[], str]) -> str:
    return new_postgres_url()


@asynccontextmanager
async def session(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database, of somebody who is no bot."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await is_so():  # noqa: ASYNC110  there is nothing to wait for but the server
            await asyncio.sleep(0.02)


async def nobody_owns(url: str) -> None:
    """Wait until the server has noticed the end of a connection."""

    async def is_free() -> bool:
        return await owner_of(url) is None

    await eventually(is_free)


def at_once(url: str, speed: float = 1.0) -> InstanceLock:
    """The ownership of somebody who does not wait."""
    return InstanceLock(url, SystemClock(speed), patience=0)


@asynccontextmanager
async def kept(ownership: InstanceLock) -> AsyncIterator[asyncio.Task[None]]:
    """Have the database owned, and the task that sees to it."""
    async with ownership:
        keeping = asyncio.create_task(ownership.hold())
        try:
            yield keeping
        finally:
            await cancel_and_wait(keeping)


async def test_a_second_process_is_refused_and_told_which_one_runs(url: str) -> None:
    with another_process(url) as other:
        whom = f"process {other.pid} on {socket.gethostname()}"
        with pytest.raises(StoreUnavailable) as refusal:
            async with at_once(url):
                pytest.fail("two processes own the database")
        assert str(refusal.value).startswith(f"another avatar-relay ({whom}, connected since 20")
        assert str(refusal.value).endswith(
            " UTC) already runs on this database: stop it, or set DATABASE_URL to another database"
        )
        assert (await owner_of(url) or "").startswith(whom)
        other.kill()
        other.wait()
        await nobody_owns(url)
    async with at_once(url):
        assert (await owner_of(url) or "").startswith(MYSELF)


async def test_it_is_free_once_it_was_given_back(url: str) -> None:
    for _ in range(2):
        async with at_once(url):
            assert await owner_of(url) is not None
        await nobody_owns(url)


async def test_a_newcomer_gets_the_database_when_its_owner_ends_in_time(url: str) -> None:
    async with at_once(url):
        newcomer = InstanceLock(url, SystemClock())
        entering = asyncio.create_task(newcomer.__aenter__())
        await asyncio.wait([entering], timeout=1)
        assert not entering.done()
    assert await entering is newcomer
    await newcomer.__aexit__(None, None, None)


async def test_another_database_and_another_schema_are_free(url: str, another_url: str) -> None:
    async with at_once(url), at_once(another_url), session(url) as other:
        await other.execute("CREATE SCHEMA apart")
        await other.execute(
            f"ALTER DATABASE {await other.fetchval('SELECT current_database()')} SET search_path = apart"
        )
        assert await owner_of(url) is None
        async with at_once(url):
            assert len(await other.fetch(LOCKED_BY)) == 2


async def test_a_lock_whose_connection_was_cut_is_taken_again(url: str) -> None:
    async with kept(at_once(url)) as keeping, session(url) as other:
        first = await other.fetchval(LOCKED_BY)
        await other.execute("SELECT pg_terminate_backend($1)", first)

        async def is_taken_again() -> bool:
            return await other.fetchval(LOCKED_BY) not in (None, first)

        await eventually(is_taken_again)
        assert not keeping.done()


async def test_whoever_finds_it_taken_meanwhile_says_so_and_ends(url: str) -> None:
    name = urlsplit(url).path[1:]
    ownership = at_once(url)
    async with kept(ownership) as keeping, session(url) as rival, session(url.replace(name, "postgres", 1)) as operator:
        keys = await rival.fetchrow(LOCKED_BY.replace("pid", "classid, objid"))
        await rival.execute("SET application_name = 'avatar-relay, process 1 on elsewhere'")
        await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await rival.execute("SELECT pg_terminate_backend($1)", await rival.fetchval(LOCKED_BY))

        async def is_noticed() -> bool:
            return ownership.unhealthy_reason is not None

        await eventually(is_noticed)
        await rival.execute("SELECT pg_advisory_lock($1::bigint::int, $2::bigint::int)", *keys)
        assert not keeping.done()
        await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await asyncio.wait([keeping], timeout=PATIENCE)
        with pytest.raises(
            StoreUnavailable, match=r"avatar-relay \(process 1 on elsewhere.*\) has taken this database"
        ):
            await keeping
        assert ownership.is_lost


class Wire:
    """A relay before the server that can cut or mute its connections, without the server hearing of it."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = f"{parse_qs(address.query)['host'][0]}/.s.PGSQL.5432"
        self._database = address.path
        self._clients: list[asyncio.StreamWriter] = []
        self._answers: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{port}{self._database}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in (*self._answers, *self._others):
            await cancel_and_wait(task)

    def cut(self) -> None:
        """End every connection on this side."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    async def mute(self) -> None:
        """Pass on no answer of the connections there are now."""
        for task in self._answers:
            await cancel_and_wait(task)

    async def _link(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        server_reader, server = await asyncio.open_unix_connection(self._socket)
        self._clients.append(client)
        self._answers.append(asyncio.create_task(self._answer(server_reader, client)))
        self._others.append(asyncio.create_task(self._ask(reader, server)))

    async def _ask(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        try:
            await self._pass_on(reader, server)
            # The client has gone, and the server is left in its belief.
            await asyncio.Event().wait()
        finally:
            server.close()

    async def _answer(self, server_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        await self._pass_on(server_reader, client)
        client.close()

    @staticmethod
    async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)


@pytest.mark.parametrize("harm", ["cut", "mute"])
async def test_a_connection_that_only_the_server_believes_in_is_replaced(
    url: str, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advisory_lock, "CHECK_TIMEOUT", 0.2)
    async with Wire(url) as wire, session(url) as other:
        ownership = at_once(wire.url, speed=20)
        async with kept(ownership) as keeping:
            first = await other.fetchval(LOCKED_BY)
            if harm == "cut":
                wire.cut()
            else:
                await wire.mute()

            async def is_replaced() -> bool:
                return ownership.unhealthy_reason is None and await other.fetchval(LOCKED_BY) not in (None, first)

            await eventually(is_replaced)
            assert not keeping.done()
            assert await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", first) == 0


async def test_the_sentence_names_no_password() -> None:
    wrong = "postgresql://postgres:swordfish@127.0.0.1:1/relay"
    with pytest.raises(StoreUnavailable, match="cannot be reached") as told:
        await at_once(wrong).__aenter__()
    assert "swordfish" not in str(told.value)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await owner_of(wrong)
