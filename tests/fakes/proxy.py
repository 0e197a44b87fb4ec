"""A local HTTP proxy: tunnels (`CONNECT`) and plain requests to names that only it knows, and a list of what came.

Not an open one: it leads to the ports of `names` and nowhere else.
"""

import asyncio
import base64
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from bot.core.tasks import cancel_and_wait


class FakeProxy:
    """A proxy on a port of its own, from `async with` to its end.

    names: the ports of this machine behind host names. login: `user:password` that it wants. status: what it answers
    to everything, instead of doing it.
    """

    def __init__(self, *, login: str | None = None, status: int | None = None) -> None:
        self.names: dict[str, int] = {}
        self.hosts: list[str] = []
        """Where requests went, in their order."""
        self._authorization = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()
        self._status = status
        self._login = login
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            await cancel_and_wait(task)

    @property
    def url(self) -> str:
        """What to set `HTTPS_PROXY` to."""
        return f"http://{f'{self._login}@' if self._login else ''}127.0.0.1:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, OSError):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, *_ = head.decode("latin-1").split(" ", 2)
                host = target.rpartition(":")[0] if method == "CONNECT" else urlsplit(target).hostname or ""
                self.hosts.append(host)
                status = self._status or self._refusal(head, host)
                if status is not None:
                    writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                    await writer.drain()
                    return
                there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.names[host])
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    there_writer.write(head)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pipe(reader, there_writer))
                    group.create_task(_pipe(there_reader, writer))
        finally:
            writer.close()

    def _refusal(self, head: bytes, host: str) -> int | None:
        if self._authorization is not None and self._authorization.encode() not in head:
            return 407
        return None if host in self.names else 502


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
