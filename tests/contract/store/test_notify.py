"""LISTEN and NOTIFY on a real server, and the bus over them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from bot.cluster.bus import PostgresBus
from bot.core.clock import SystemClock
from bot.core.errors import ProcessUnreachable, StoreUnavailable
from bot.store.notify import MAX_PAYLOAD, Listener, Notifier
from bot.store.processes import ProcessRows, bus_name
from bot.store.url import DatabaseUrl, parse_url
from tests.harness.cluster import a_process

pytestmark = pytest.mark.postgres

PATIENCE = 20.0
"""Seconds of real time; only a failing test waits so long."""


@pytest.fixture
def address(postgres_url: str) -> DatabaseUrl:
    return parse_url(postgres_url)


@pytest.fixture
def buses(address: DatabaseUrl) -> Callable[[str], PostgresBus]:
    """Makes the bus of a process that is not entered yet."""
    return lambda name: PostgresBus(address, name, "group", SystemClock())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a server in another process
            await asyncio.sleep(0.01)


async def test_what_is_sent_together_arrives_in_its_order_and_only_where_it_goes(address: DatabaseUrl) -> None:
    heard: list[str] = []
    listener = Listener(address, "listener", ("one", "two"), heard.append)
    notifier = Notifier(address, "notifier")
    await listener.listen()
    longest = "x" * (MAX_PAYLOAD - 1)
    await notifier.notify([("one", "1"), ("three", "no"), ("two", "2"), ("one", "3"), ("two", longest)])
    await notifier.notify([("one", "4")])
    await until(lambda: len(heard) == 5)
    assert heard == ["1", "2", "3", longest, "4"]
    await listener.check()
    notifier.close()
    listener.close()


async def test_a_payload_that_is_too_long_is_refused_and_the_next_one_is_sent(address: DatabaseUrl) -> None:
    heard: list[str] = []
    listener, notifier = Listener(address, "listener", ("one",), heard.append), Notifier(address, "notifier")
    await listener.listen()
    with pytest.raises(Exception, match="refused a statement"):
        await notifier.notify([("one", "x" * (MAX_PAYLOAD + 1))])
    await notifier.notify([("one", "short")])
    await until(lambda: heard)
    assert heard == ["short"]
    notifier.close()
    listener.close()


async def test_a_server_that_cannot_be_reached_is_told_as_every_trouble_of_the_database() -> None:
    nowhere = parse_url("postgresql://relay@127.0.0.1:1/relay")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await Listener(nowhere, "listener", ("one",), print).listen()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await Notifier(nowhere, "notifier").notify([("one", "1")])


async def test_questions_of_any_length_are_answered_many_at_once(buses: Callable[[str], PostgresBus]) -> None:
    async def echo(sender: str, body: str) -> str:
        return f"{sender}: {body}"

    async with buses("a") as a, buses("b") as b:
        b.handle("echo", echo)
        bodies = [f"{number} " + "ä€\0😀\n" * (number * 50) for number in range(60)]
        answers = await asyncio.gather(*(a.ask("b", "echo", body, timeout=PATIENCE) for body in bodies))
        assert answers == [f"a: {body}" for body in bodies]


async def test_a_listener_whose_backend_is_ended_listens_again(
    buses: Callable[[str], PostgresBus], postgres_url: str
) -> None:
    async def echo(_sender: str, body: str) -> str:
        return body

    told: list[str] = []
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(buses(name)) for name in "ab"]
        b.handle("echo", echo)
        b.when_listening(lambda: told.append("listens"))
        connection = await asyncpg.connect(postgres_url)
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", bus_name("b")
        )
        await connection.close()
        assert ended
        await until(lambda: len(told) == 2)
        # Its sending connection was ended, too.
        for _ in range(2):
            try:
                assert await a.ask("b", "echo", "hello") == "hello"
            except ProcessUnreachable:
                continue
            break
        else:
            raise AssertionError("it is not heard any more")


async def test_a_process_that_is_ended_hears_no_more(buses: Callable[[str], PostgresBus], address: DatabaseUrl) -> None:
    """One that is stopped would keep at the server what is sent to it."""
    rows = ProcessRows(address)
    dead, living = a_process("dead"), a_process("living")
    await rows.join(dead)
    await rows.join(living)
    async with buses("dead") as bus, buses("living") as other:
        assert await rows.end(dead)
        await until(lambda: not bus.is_listening)
        assert other.is_listening
    await rows.close()


async def test_a_process_without_a_listener_is_unreachable(buses: Callable[[str], PostgresBus]) -> None:
    async with buses("a") as a:
        with pytest.raises(ProcessUnreachable, match="did not answer"):
            await a.ask("nobody", "echo", "hello", timeout=0.05)
