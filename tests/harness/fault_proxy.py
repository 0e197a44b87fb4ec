"""The real program at one end, a simulator at the other, and a proxy that fails between them: for calls of the program
that fail.

The proxy passes on what it gets, writes down each request, and can be shut, so that connections are refused, or cut, so
that those there are break. The simulator produces all other ways to fail. A worker has programs of its own and lives
through its failures beside others, since all of them mostly wait. Knows no story; that is the business of the tests.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from tests import options
from tests.harness.programs import KEY, PATIENCE, Program, Service

Result = TypeVar("Result")

LONG_PATIENCE = 100.0
"""Seconds that a line may take to come: a call that is never answered takes the program 30 s."""

CHUNK = 1 << 16


def stride() -> int:
    """Of so many ways to fail one is lived through now."""
    return 1 if options.is_every_point() else 2


class FaultProxy:
    """A local address in front of the server at `url`. Every request gets a connection of its own, so that each can be
    refused."""

    def __init__(self, url: str, *, host: str = "127.0.0.1") -> None:
        """`host`: the address of this machine to listen at."""
        self._own_host = host
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None
        self._own_port = 0
        self._passing: set[asyncio.Task[None]] = set()
        self._last: str | None = None
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The address of the proxy, which stays the same."""
        return f"http://{self._own_host}:{self._own_port}"

    def requests_of(self, call: str) -> int:
        """How many requests have matched `METHOD PATH` so far."""
        return sum(fnmatchcase(request, call) for request in tuple(self.requests))

    def wait_for(self, call: str, times: int) -> None:
        """Wait until that many requests have matched `METHOD PATH`."""
        deadline = time.monotonic() + LONG_PATIENCE
        while self.requests_of(call) < times:
            assert time.monotonic() < deadline, f"never asked for {call}"
            time.sleep(0.02)

    def open(self) -> None:
        """Let everybody in."""
        self._do(self._open)

    def shut(self) -> None:
        """Refuse connections from now on; those there are stay."""
        self._do(self._shut)

    def shut_after(self, call: str) -> None:
        """Refuse connections once a request matches `METHOD PATH`, which is still answered."""
        self._last = call

    def cut(self) -> None:
        """Break every connection."""
        self._do(self._cut)

    def _do(self, work: Callable[[], Awaitable[Result]]) -> Result:
        async def done() -> Result:
            return await work()

        future: Future[Result] = asyncio.run_coroutine_threadsafe(done(), self._loop)
        return future.result(PATIENCE)

    async def _open(self) -> None:
        self._last = None
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, self._own_host, self._own_port)
            self._own_port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _cut(self) -> None:
        for task in tuple(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _end(self) -> None:
        await self._shut()
        await self._cut()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\n")
            method, path, _ = request.decode().split(" ", 2)
            asked = f"{method} {path.partition('?')[0]}"
            self.requests.append(asked)
            if self._last is not None and fnmatchcase(asked, self._last):
                await self._shut()
            back, there = await asyncio.open_connection(self._host, self._port)
            try:
                there.write(request)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pour(asked, reader, there))
                    await self._answer(await back.readuntil(b"\n"), back, writer)
            finally:
                there.transport.abort()
        except* (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _answer(self, status: bytes, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what is answered, of which `status` is the first line."""
        # The next request takes another connection. One that becomes a WebSocket stays what it is.
        writer.write(status if b" 101 " in status else status + b"Connection: close\r\n")
        while data := await back.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _pour(self, request: str, reader: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
        """Pass on what is asked with `METHOD PATH`. Who hangs up hangs up at the other end, too."""
        while data := await reader.read(CHUNK):
            there.write(data)
            await there.drain()
        there.transport.abort()


@dataclass
class Worker:
    """The programs of some failures, in `folder`. starting: how many programs of all workers may start at once."""

    folder: Path
    starting: threading.Semaphore

    @contextmanager
    def service(self, *, speed: float, auto_viewer: bool = True) -> Iterator[Service]:
        """An avatar service for this worker alone, so many times as fast as a real one."""
        folder = self.folder / "service"
        folder.mkdir(parents=True)
        watched = ["--auto-viewer"] if auto_viewer else []
        arguments = ("simulator", "--port", "0", "--concurrency", "50", "--speed", f"{speed}", *watched)
        with ExitStack() as stack:
            with self.starting:
                program = stack.enter_context(Program(folder, *arguments))
                program.until("The simulator runs at")
            yield Service.found_in(program.output)

    @contextmanager
    def bot(self, proxy: FaultProxy, folder: Path, **settings: str) -> Iterator["Talk"]:
        """A bot with a console that talks to the service behind the proxy; it owns the key and is in no hurry."""
        folder.mkdir()
        settings = {
            "AVATAR_KEY_EXCLUSIVE": "true",
            "SESSION_IDLE_TIMEOUT": "900",
            "LIVEAVATAR_API_URL": proxy.url,
            "LIVEAVATAR_API_KEY": KEY,
            **settings,
        }
        with ExitStack() as stack:
            with self.starting:
                bot = stack.enter_context(
                    Talk(folder, "run", "--console", **Service(proxy.url).settings(folder, **settings))
                )
                bot.until("Web: ")
            yield bot


class Talk(Program):
    """A program whose answers are read turn by turn."""

    def __init__(self, folder: Path, *arguments: str, **settings: Any) -> None:
        super().__init__(folder, *arguments, **settings)
        self._read_to = 0

    @property
    def new(self) -> str:
        """What it has printed since the last `turn`."""
        return self._written["stdout"].decode(errors="replace")[self._read_to :]

    def turn(self) -> None:
        """Listen from here on."""
        self._read_to += len(self.new)

    def hear(self, *texts: str) -> str:
        """Wait until a line with one of `texts` is printed in this turn; returns which."""
        deadline = time.monotonic() + LONG_PATIENCE
        while True:
            for text in texts:
                _, found, rest = self.new.partition(text)
                if found and "\n" in rest:
                    return text
            assert time.monotonic() < deadline, f"never printed any of {texts}:\n{self._all()}"
            assert self._read(0.5), f"ended without any of {texts}:\n{self._all()}"
