"""The lines of a pipe or a file, read to the end. Never blocks the event loop, never leaves a waiting thread behind."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TextIO

MAX_LINE_LENGTH = 1024 * 1024
"""Bytes of a line; the rest of a longer one is left out, and the core refuses what is left as too long."""


async def piped_lines(source: TextIO | None) -> AsyncGenerator[str, None]:
    """The lines of `source`, decoded as UTF-8 with replacement; none where there is no source."""
    if source is None:
        return
    descriptor = source.fileno()
    kind = os.fstat(descriptor).st_mode
    # A regular file or /dev/null never makes a reader wait, and epoll does not take them.
    waits = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(descriptor)
    async with aclosing(_lines_of_pipe(source) if waits else _lines_of_file(source)) as lines:
        async for raw in lines:
            yield raw.decode("utf-8", errors="replace").removeprefix("\ufeff").rstrip("\r\n")


async def _lines_of_file(source: TextIO) -> AsyncGenerator[bytes, None]:
    while line := await asyncio.to_thread(source.buffer.readline, MAX_LINE_LENGTH):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = await asyncio.to_thread(source.buffer.readline, MAX_LINE_LENGTH)
        yield line


async def _lines_of_pipe(source: TextIO) -> AsyncGenerator[bytes, None]:
    reader = asyncio.StreamReader(limit=MAX_LINE_LENGTH)
    protocol = asyncio.StreamReaderProtocol(reader)
    # A descriptor of our own: the transport closes it, and leaves the program's standard input alone.
    pipe = _Pipe(os.dup(source.fileno()))
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    except BaseException:
        pipe.close()
        raise
    try:
        while line := await _read_line(reader):
            yield line
    finally:
        transport.close()
        # Others may hold the same pipe or terminal, the shell for one, and do not expect it to be non-blocking.
        os.set_blocking(source.fileno(), True)


class _Pipe:
    """A descriptor as a loop is given it to read from, closed once, however often `close` is called: Python's own loop
    does so in one of its next turns, also where it was not even connected.

    uvloop closes the descriptor by itself besides, in a later turn of the
    loop (0.23, measured): by then its number may be that of a new connection, which would be closed instead.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_closed = not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    line = b""
    while True:
        try:
            rest = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            return line or end.partial
        except asyncio.LimitOverrunError as overrun:
            start = await reader.readexactly(overrun.consumed)
            line = line or start
        else:
            return line or rest
