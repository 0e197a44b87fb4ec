"""Waits until nothing can happen any more unless a clock moves, so that tests own the order of time and of sockets.

Everything in these tests lives in one event loop: both ends of every connection, and the threads of aiosqlite and of
the loop, whose work is counted here, as are the requests to a PostgreSQL server. Where no callback is ready, no socket
has something to read, nobody else works and nothing that was sent is still on its way, only a clock can go on. Real
timeouts of libraries are left out: they are tens of seconds away.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import aiosqlite
from sqlalchemy.dialects.postgresql import asyncpg

T = TypeVar("T")

_BUSY = "_futures_of_others"

_ROUNDS = 3
"""How often in a row nothing must have come, once something was sent that nobody saw arrive; a packet within this
machine is there before `send` returns, nearly always."""

KERNEL_TIME = 0.0001
"""Seconds that a round takes at least."""

UNANSWERED = 60.0
"""Seconds of real time for which nobody elsewhere may get anything done. Where the time limit of a test strikes within
a callback, asyncio logs that, goes on, and the answer that was being read is lost: who waits for it waits for ever."""

_SENDERS = ("send", "sendmsg")
_READERS = ("recv", "recv_into")
_OTHER_SENDERS = ("connect", "connect_ex", "sendall", "sendto", "shutdown", "_real_close")
"""What of a socket makes a packet: its other end hears of a close, too."""

Route = tuple[Any, Any]
"""From which address to which."""

_unread: dict[Route, int] = {}
"""Bytes that were sent, and that the other end has not read, as far as it is in this process."""
_routes: WeakKeyDictionary[socket.socket, Route] = WeakKeyDictionary()
"""From the address of a socket to that of its other end."""
_wakers: WeakSet[socket.socket] = WeakSet()
"""The sockets by which threads wake a loop. Who does that is counted by what they do."""

_sent = 0
_arrived = 0
"""How many times something else was sent, and how many of them are known to be where they were sent to."""


def watch_work_elsewhere() -> None:
    """Count from now on what the running loop and the drivers of databases hand to others."""
    loop: Any = asyncio.get_running_loop()
    if hasattr(loop, _BUSY):
        return
    _wakers.add(loop._csock)
    busy: set[asyncio.Future[Any]] = set()
    hand_over = loop.run_in_executor

    def counted(executor: Any, work: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = hand_over(executor, work, *arguments)
        busy.add(future)
        future.add_done_callback(busy.discard)
        return future

    loop.run_in_executor = counted
    setattr(loop, _BUSY, busy)


def _count_calls_of_aiosqlite() -> None:
    connection: Any = aiosqlite.Connection
    execute = connection._execute
    connection._execute = lambda self, *call, **arguments: _counted(execute(self, *call, **arguments))


def _count_calls_of_asyncpg() -> None:
    driver: Any = asyncpg
    await_ = driver.await_
    driver.await_ = lambda call: await_(_counted(call))


async def _counted(call: Awaitable[T]) -> T:
    loop = asyncio.get_running_loop()
    busy: set[asyncio.Future[Any]] = getattr(loop, _BUSY, set())
    done = loop.create_future()
    busy.add(done)
    try:
        return await call
    finally:
        busy.discard(done)
        done.cancel()


_count_calls_of_aiosqlite()
_count_calls_of_asyncpg()


def _count_what_is_sent() -> None:
    for name in _SENDERS:
        _wrap(name, _count_sent)
    for name in _READERS:
        _wrap(name, _count_read)
    for name in _OTHER_SENDERS:
        _wrap(name, _count_packet)


def _wrap(name: str, count: Callable[[socket.socket, Any], None]) -> None:
    make: Callable[..., Any] = getattr(socket.socket, name)

    def counted(self: socket.socket, *arguments: Any) -> Any:
        if name == "_real_close":
            _forget(self)
        result = make(self, *arguments)
        count(self, result)
        return result

    setattr(socket.socket, name, counted)


def _count_sent(sender: socket.socket, size: int) -> None:
    if sender in _wakers:
        return
    route = _route_of(sender)
    _unread[route] = _unread.get(route, 0) + size


def _count_read(reader: socket.socket, read: bytes | int) -> None:
    here, there = _route_of(reader)
    if (route := (there, here)) in _unread:
        _unread[route] -= read if isinstance(read, int) else len(read)
        if _unread[route] <= 0:
            del _unread[route]


def _count_packet(_: socket.socket, __: Any) -> None:
    global _sent  # Counted for the process, as sockets have no loop.
    _sent += 1


def _route_of(connected: socket.socket) -> Route:
    route = _routes.get(connected)
    if route is None:
        try:
            route = _routes[connected] = (connected.getsockname(), connected.getpeername())
        except OSError:
            return None, None  # the other end is gone
    return route


def _forget(closed: socket.socket) -> None:
    """What is under way to and from a socket that is closed is read by nobody, or by an end that hears of the close."""
    here, there = _routes.pop(closed, (None, None))
    _unread.pop((here, there), None)
    _unread.pop((there, here), None)


_count_what_is_sent()


async def wait_loop_idle() -> None:
    """Wait until only a clock can go on. Raises `AssertionError` where somebody else is at work and does not get on."""
    global _arrived
    loop: Any = asyncio.get_running_loop()
    busy: set[asyncio.Future[Any]] = getattr(loop, _BUSY)
    still, got_on = 0, loop.time()
    while True:
        await asyncio.sleep(0)
        if loop._ready or loop._selector.select(0):
            still, got_on = 0, loop.time()
        elif busy:
            still = 0
            at_work = set(busy)
            await asyncio.wait(at_work, timeout=1)
            if busy != at_work:
                got_on = loop.time()
            assert loop.time() - got_on < UNANSWERED, f"{len(busy)} statements or calls are not answered"
        elif _arrived == _sent and not _unread:
            return
        elif still == _ROUNDS:
            _arrived = _sent
            _unread.clear()
            return
        else:
            still += 1
            # On a busy machine the kernel needs a moment of its own to carry a packet from one end to the other.
            time.sleep(KERNEL_TIME)  # noqa: ASYNC251 - nothing in this loop is ready to run
