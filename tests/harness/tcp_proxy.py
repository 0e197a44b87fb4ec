"""A local port in front of a server that can fall silent, as a network does that is gone: nothing is refused, nothing
is answered, and neither end hears of it; and that can lead to another server from one moment to the next. Knows no
protocol.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

CHUNK = 1 << 16
PATIENCE = 30.0


class TcpProxy:
    """Passes on what it gets between its own port and the server at a socket of this machine, or at a port of it."""

    def __init__(self, *, path: str | None = None, port: int | None = None, host: str = "127.0.0.1") -> None:
        """`host`: the address of this machine to listen at."""
        self._host = host
        self._path, self._server_port = path, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passes: asyncio.Event
        self._server: asyncio.Server
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def swallow(self) -> None:
        """From now on nothing gets through, in neither direction; what is sent meanwhile waits."""
        self._do(self._swallow)

    def heal(self) -> None:
        """Let everything through again, what has waited first."""
        self._do(self._heal)

    def reset(self) -> None:
        """Break every connection, and swallow what comes over new ones."""
        self._do(self._reset)

    def turn(self, path: str) -> None:
        """Break every connection, and pass new ones on to the server at another socket."""
        self._path = path
        self._do(self._break)

    def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        async def done() -> None:
            await work()

        future: Future[None] = asyncio.run_coroutine_threadsafe(done(), self._loop)
        future.result(PATIENCE)

    async def _open(self) -> None:
        self._passes = asyncio.Event()
        self._passes.set()
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _swallow(self) -> None:
        self._passes.clear()

    async def _heal(self) -> None:
        self._passes.set()

    async def _reset(self) -> None:
        self._passes.clear()
        await self._break()

    async def _break(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._pass(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._passes.wait()
            if self._path is not None:
                back, there = await asyncio.open_unix_connection(self._path)
            else:
                back, there = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._writers.add(there)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pour(reader, there))
                    group.create_task(self._pour(back, writer))
            finally:
                self._writers.discard(there)
                there.transport.abort()
        except* OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pour(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._passes.wait()
            target.write(data)
            await target.drain()
        # Whoever hangs up hangs up at the other end, but nobody hears of it through a silence.
        await self._passes.wait()
        target.close()
