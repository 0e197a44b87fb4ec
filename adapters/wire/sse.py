"""Reads a `text/event-stream` as it arrives: for the word timestamps of an avatar and the fragments of a chat answer.

Only the format (WHATWG HTML, section 9.2.6), no connection: bytes in, messages out. What it keeps is bounded.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

MAX_MESSAGE_LENGTH = 1 << 20
"""Bytes of one message that are kept; a frame of words or a fragment of an answer has a few hundred."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


class SseError(ValueError):
    """The other side sends something that no event stream looks like."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event; `kind` is `message` unless the other side named it."""

    kind: str
    data: str


async def messages(chunks: AsyncIterable[bytes]) -> AsyncIterator[Message]:
    """Yield the events of a stream as they are complete; comments, ids and retry hints are left out.

    A last event without its empty line is yielded too: several servers end that way. Raises `SseError` if one
    message is longer than `MAX_MESSAGE_LENGTH`.
    """
    kind, data, size = "", list[str](), 0
    async for line in _lines(chunks):
        if not line:
            if data:
                yield Message(kind or "message", "\n".join(data))
            kind, data, size = "", [], 0
            continue
        size += len(line)
        if size > MAX_MESSAGE_LENGTH:
            raise SseError("a message in the event stream is too long")
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
    if data:
        yield Message(kind or "message", "\n".join(data))


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        rest += chunk
        # A carriage return at the very end may be half of a line end.
        held = b"\r" if rest.endswith(b"\r") else b""
        *complete, rest = _LINE_END.split(rest[: len(rest) - len(held)])
        rest += held
        if len(rest) > MAX_MESSAGE_LENGTH:
            raise SseError("a line in the event stream is too long")
        for line in complete:
            yield line
    for line in _LINE_END.split(rest):
        if line:
            yield line
