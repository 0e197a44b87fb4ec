"""Where the console's lines come from: a terminal with line editing and history, or a pipe or file read to its end.

Never blocks the event loop and never leaves a thread behind that waits for a key.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TextIO

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

LONGEST_LINE = 1024 * 1024
"""Bytes of a piped line; what is longer is cut there, and refused by the core as too long anyway."""

STATUS_EVERY = 0.5
"""Seconds between redraws of the status line, which counts down."""


async def piped_lines(source: TextIO) -> AsyncIterator[str]:
    """The lines of a pipe or a file, decoded as UTF-8 with replacement."""
    kind = os.fstat(source.fileno()).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        # A regular file or /dev/null never makes a reader wait, and epoll does not take them.
        for raw in await asyncio.to_thread(source.buffer.readlines):
            yield _decode(raw)
        return
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, source)
    try:
        while raw := await _read_line(reader):
            yield _decode(raw)
    finally:
        transport.close()


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as rest:
        return rest.partial
    except asyncio.LimitOverrunError as overrun:
        return await reader.readexactly(overrun.consumed)


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace").rstrip("\r\n")


async def terminal_lines(status: Callable[[], str], words: Sequence[str]) -> AsyncIterator[str]:
    """The lines a person types, until Ctrl-D or Ctrl-C. `status` is drawn at the bottom, `words` complete with Tab."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=WordCompleter(list(words), sentence=True),
        complete_while_typing=False,
        bottom_toolbar=status,
        refresh_interval=STATUS_EVERY,
    )
    with patch_stdout():
        while True:
            try:
                yield await session.prompt_async("> ")
            except (EOFError, KeyboardInterrupt):
                return


def _history() -> History:
    folder = user_state_path("avatar-relay")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileHistory(str(Path(folder) / "console-history"))
    except OSError:
        # A read-only home is no reason not to talk; the history just ends with the program.
        return InMemoryHistory()
