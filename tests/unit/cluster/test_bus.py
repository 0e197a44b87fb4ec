"""Questions, messages and news between processes, on a clock that the test moves, over a server in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.cluster.alone import LoopBack
from bot.cluster.bus import CHECK_EVERY, DEAF, DEAF_AFTER, ECHO, MAX_TOGETHER, PostgresBus
from bot.core.bus import ASK_TIMEOUT, NOBODY
from bot.core.errors import ProcessSilent, ProcessUnreachable, StoreError
from bot.store.url import parse_url
from bot.telemetry import metrics
from tests.fakes.notifications import FakeListener, FakeNotifier, NotifyingServer
from tests.harness.clock import ManualClock, settle

ADDRESS = parse_url("postgresql://relay@nowhere/relay")


class Buses:
    """Processes that share a server."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.clock = ManualClock()
        self.server = NotifyingServer()
        self._stack = stack

    async def bus(self, name: str) -> PostgresBus:
        made = PostgresBus(ADDRESS, name, "group", self.clock, self.server.wire)
        return await self._stack.enter_async_context(made)

    def listener_of(self, bus: PostgresBus) -> FakeListener:
        assert isinstance(bus._listener, FakeListener)
        return bus._listener


@pytest.fixture
async def buses() -> AsyncIterator[Buses]:
    async with AsyncExitStack() as stack:
        yield Buses(stack)


@pytest.fixture
def log() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


class Heard:
    """A handler that remembers, and answers with what it got."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.senders: set[str] = set()

    async def __call__(self, sender: str, body: str) -> str:
        self.senders.add(sender)
        self.bodies.append(body)
        return f"{body}!"


async def test_a_question_is_answered_however_long_it_is(buses: Buses) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    b.handle("greet", heard := Heard())
    for body in ("hello", "x" * 100_000, "a zero \0 byte"):
        assert await a.ask("b", "greet", body) == f"{body}!"
    assert heard.senders == {"a"}


async def test_who_asks_itself_is_answered_without_a_server(buses: Buses) -> None:
    a = await buses.bus("a")
    a.handle("greet", Heard())
    buses.server.is_away = True
    assert await a.ask("a", "greet", "me") == "me!"
    with pytest.raises(ProcessUnreachable, match="nobody handles it"):
        await a.ask("a", "shout", "me")


async def test_a_process_that_is_not_there_is_unreachable_after_the_time_for_an_answer(buses: Buses) -> None:
    a = await buses.bus("a")
    asking = asyncio.create_task(a.ask("gone", "greet", "hello"))
    await buses.clock.advance(ASK_TIMEOUT - 0.1)
    assert not asking.done()
    await buses.clock.advance(0.1)
    with pytest.raises(ProcessUnreachable, match=r"did not answer greet within 0\.8 s"):
        await asking


async def test_a_process_that_has_ended_is_waited_for_no_longer(buses: Buses) -> None:
    a = await buses.bus("a")
    asking, another = [asyncio.create_task(a.ask(process, "greet", "hello")) for process in ("gone", "slow")]
    await settle()
    a.process_gone("gone")
    await settle()
    with pytest.raises(ProcessUnreachable, match="it has ended"):
        await asking
    assert not another.done()
    await buses.clock.advance(ASK_TIMEOUT)
    with pytest.raises(ProcessUnreachable):
        await another


async def test_nobody_is_unreachable_at_once(buses: Buses) -> None:
    a = await buses.bus("a")
    with pytest.raises(ProcessUnreachable):
        await a.ask(NOBODY, "greet", "hello")
    with pytest.raises(ProcessUnreachable):
        await a.tell(NOBODY, "greet", "hello")


async def test_a_kind_that_nobody_knows_there_is_refused_at_once(buses: Buses) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    b.handle("greet", Heard())
    b.unhandle("greet")
    with pytest.raises(ProcessUnreachable, match="nobody handles it there"):
        await a.ask("b", "greet", "hello")


@pytest.mark.parametrize(("error", "is_logged_whole"), [(StoreError("trouble"), False), (KeyError("a mistake"), True)])
async def test_a_handler_that_fails_is_logged_where_it_is_and_told_to_who_asked(
    buses: Buses, error: Exception, is_logged_whole: bool, log: list[MutableMapping[str, Any]]
) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")

    async def fail(_sender: str, _body: str) -> str:
        raise error

    b.handle("greet", fail)
    with pytest.raises(ProcessUnreachable, match="it failed there"):
        await a.ask("b", "greet", "hello")
    assert any(("exc_info" in line) == is_logged_whole and line["kind"] == "greet" for line in log)
    # What is told is handled all the same.
    b.handle("news", heard := Heard())
    await a.tell("b", "greet", "hello")
    await a.tell("b", "news", "1")
    await settle()
    assert heard.bodies == ["1"]


async def test_news_of_one_sender_are_handled_in_order_and_questions_do_not_wait_for_them(buses: Buses) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    go_on, done = asyncio.Event(), []

    async def slow(_sender: str, body: str) -> str:
        if body == "0":
            await go_on.wait()
        done.append(body)
        return ""

    b.handle("news", slow)
    b.handle("greet", Heard())
    for number in range(5):
        await a.tell("b", "news", str(number))
    assert await a.ask("b", "greet", "hello") == "hello!"
    assert done == []
    go_on.set()
    await settle()
    assert done == ["0", "1", "2", "3", "4"]


async def test_all_others_hear_what_is_shouted_and_who_shouts_does_not(buses: Buses) -> None:
    everybody = [await buses.bus(name) for name in "abc"]
    heard = [Heard() for _ in everybody]
    for bus, handler in zip(everybody, heard, strict=True):
        bus.handle("news", handler)
    await everybody[0].shout("news", "x" * 20_000)
    await settle()
    assert [handler.bodies for handler in heard] == [[], ["x" * 20_000], ["x" * 20_000]]


async def test_what_waits_goes_together_in_its_order(buses: Buses) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    b.handle("news", heard := Heard())
    bodies = [str(number) for number in range(MAX_TOGETHER + 100)]
    await asyncio.gather(*(a.tell("b", "news", body) for body in bodies))
    await settle()
    assert heard.bodies == bodies
    news = [[payload for _, payload in statement if ECHO not in payload] for statement in buses.server.statements]
    assert [len(statement) for statement in news if statement] == [MAX_TOGETHER, 100]


async def test_while_the_database_is_away_nothing_is_sent_and_who_sends_is_told(
    buses: Buses, log: list[MutableMapping[str, Any]]
) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    b.handle("news", heard := Heard())
    buses.server.is_away = True
    for sending in (a.tell("b", "news", "1"), a.ask("b", "news", "2")):
        with pytest.raises(ProcessUnreachable, match="could not be sent"):
            await sending
    await a.shout("news", "3")
    assert any(line["event"] == "the other processes could not be told" for line in log)
    buses.server.is_away = False
    await a.tell("b", "news", "4")
    await settle()
    assert heard.bodies == ["4"]


async def test_who_has_given_up_is_not_sent_later(buses: Buses) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    b.handle("news", heard := Heard())
    asking = asyncio.create_task(a.ask("b", "news", "1"))
    await asyncio.sleep(0)
    asking.cancel()
    await a.tell("b", "news", "2")
    await settle()
    assert heard.bodies == ["2"]


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_listening_connection_that_is_lost_is_opened_again_and_the_hooks_are_told(
    buses: Buses, is_silent: bool
) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    told: list[str] = []
    b.when_listening(lambda: told.append("listens"))
    assert told == ["listens"]
    b.handle("greet", Heard())
    if is_silent:
        buses.listener_of(b).is_silent = True
        await buses.clock.advance(CHECK_EVERY)
    else:
        buses.listener_of(b).lose()
        await settle()
    assert not b.is_listening
    await buses.clock.advance(1.0)
    assert b.is_listening
    assert told == ["listens", "listens"]
    assert await a.ask("b", "greet", "hello") == "hello!"


async def test_a_process_that_cannot_listen_at_first_does_so_as_soon_as_it_can(buses: Buses) -> None:
    buses.server.is_away = True
    b = await buses.bus("b")
    told: list[str] = []
    b.when_listening(lambda: told.append("listens"))
    await buses.clock.advance(60)
    assert (b.is_listening, told) == (False, [])
    buses.server.is_away = False
    await buses.clock.advance(6)
    assert (b.is_listening, told) == (True, ["listens"])


async def test_a_process_that_hears_nothing_over_a_connection_that_stands_is_deaf_until_it_does(
    buses: Buses,
) -> None:
    b = await buses.bus("b")
    told: list[str] = []
    b.when_listening(lambda: told.append("listens"))
    await buses.clock.advance(100 * DEAF_AFTER)
    # Nobody else is there, and it hears itself.
    assert (b.is_listening, b.unhealthy_reason, told) == (True, None, ["listens"])
    assert next(iter(metrics.bus_seconds.collect())).samples[0].value <= CHECK_EVERY
    buses.server.loses = lambda _: True
    await buses.clock.advance(DEAF_AFTER + CHECK_EVERY)
    assert (b.is_listening, b.unhealthy_reason) == (False, DEAF)
    assert next(iter(metrics.bus_seconds.collect())).samples[0].value >= DEAF_AFTER
    # It connects anew, which helps where the connection had lost what it listens to.
    await buses.clock.advance(10 * DEAF_AFTER)
    assert len(told) > 2
    assert not b.is_listening
    buses.server.loses = lambda _: False
    await buses.clock.advance(DEAF_AFTER + CHECK_EVERY)
    assert (b.is_listening, b.unhealthy_reason) == (True, None)


async def test_a_process_that_cannot_send_is_as_deaf(buses: Buses) -> None:
    b = await buses.bus("b")
    assert isinstance(b._notifier, FakeNotifier)
    b._notifier.is_away = True
    await buses.clock.advance(DEAF_AFTER + CHECK_EVERY)
    assert b.unhealthy_reason == DEAF


async def test_what_was_asked_and_not_answered_may_be_done_and_what_was_not_sent_is_not(buses: Buses) -> None:
    a = await buses.bus("a")
    await buses.bus("b")
    asking, another = [asyncio.create_task(a.ask(process, "greet", "hello")) for process in ("slow", "gone")]
    await settle()
    a.process_gone("gone")
    await buses.clock.advance(ASK_TIMEOUT)
    for silent in (asking, another):
        with pytest.raises(ProcessSilent):
            await silent
    for process in ("b", NOBODY):
        with pytest.raises(ProcessUnreachable) as unreachable:
            await a.ask(process, "greet", "hello")
        assert not isinstance(unreachable.value, ProcessSilent)
    buses.server.is_away = True
    with pytest.raises(ProcessUnreachable) as unreachable:
        await a.ask("b", "greet", "hello")
    assert not isinstance(unreachable.value, ProcessSilent)


async def test_an_answer_that_is_lost_is_no_answer(buses: Buses) -> None:
    a, b = await buses.bus("a"), await buses.bus("b")
    b.handle("greet", Heard())
    buses.server.loses = lambda payload: payload.split(" ")[1] == "answer"
    asking = asyncio.create_task(a.ask("b", "greet", "hello"))
    await buses.clock.advance(ASK_TIMEOUT)
    with pytest.raises(ProcessUnreachable):
        await asking
    buses.server.loses = lambda _: False
    assert await a.ask("b", "greet", "again") == "again!"


async def test_at_the_end_no_task_is_left_and_who_waits_is_told() -> None:
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        buses = Buses(stack)
        a, b = await buses.bus("a"), await buses.bus("b")
        never = asyncio.Event()

        async def wait(_sender: str, _body: str) -> str:
            await never.wait()
            return ""

        b.handle("greet", wait)
        asking = asyncio.create_task(a.ask("b", "greet", "hello"))
        await settle()
    with pytest.raises(ProcessUnreachable, match="ending"):
        await asking
    with pytest.raises(ProcessUnreachable, match="ending"):
        await a.tell("b", "greet", "hello")
    assert asyncio.all_tasks() == before


async def test_two_handlers_of_one_kind_are_a_mistake(buses: Buses) -> None:
    a = await buses.bus("a")
    a.handle("greet", Heard())
    for kind in ("greet", "two words", ""):
        with pytest.raises(ValueError, match=r"handles greet already|is no kind"):
            a.handle(kind, Heard())


async def test_who_is_alone_can_ask_itself_and_nobody_else() -> None:
    async with LoopBack("a") as bus:
        bus.handle("greet", heard := Heard())
        assert await bus.ask("a", "greet", "hello") == "hello!"
        await bus.shout("greet", "everybody")
        for sending in (bus.ask("b", "greet", "hello"), bus.tell("b", "greet", "hello")):
            with pytest.raises(ProcessUnreachable):
                await sending
        await bus.tell("a", "greet", "me")
        await settle()
        assert heard.bodies == ["hello", "me"]
        told: list[str] = []
        bus.when_listening(lambda: told.append("listens"))
        assert told == ["listens"]
