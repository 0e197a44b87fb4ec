"""The event stream format, in whatever pieces it arrives."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wire.sse import MAX_MESSAGE_LENGTH, Message, SseError, messages


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(*chunks: bytes) -> list[Message]:
    return [message async for message in messages(pieces(*chunks))]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data:a\r\n\r\ndata:  b\r\n\r\n", [("message", "a"), ("message", " b")]),
        (b"data: a\r\rdata: b\r\r", [("message", "a"), ("message", "b")]),
        (b"data: a\ndata: b\n\n", [("message", "a\nb")]),
        (b": comment\n\ndata: a\n\n", [("message", "a")]),
        (b"event: end\ndata: {}\nid: 7\nretry: 10\n\n", [("end", "{}")]),
        (b"event: lonely\n\ndata: a\n\n", [("message", "a")]),
        (b"data\n\n", [("message", "")]),
        (b"data: a", [("message", "a")]),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
async def test_the_format(sent: bytes, expected: list[tuple[str, str]]) -> None:
    assert await read(sent) == [Message(kind, data) for kind, data in expected]


@given(st.lists(st.integers(0, 60), max_size=8))
async def test_it_does_not_matter_how_it_is_cut(cuts: list[int]) -> None:
    sent = "event: x\r\ndata: où\r\n\r\n: c\r\ndata: 1\ndata: 2\r\r\ndata: 3\n\n".encode()
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]

    heard = await read(*(sent[start:end] for start, end in pairwise(places)))

    assert heard == await read(sent)
    assert len(heard) == 3


async def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(SseError):
        await read(b"data: ", *[b"x" * 65_536] * (MAX_MESSAGE_LENGTH // 65_536 + 1))


async def test_a_message_without_end_is_refused() -> None:
    with pytest.raises(SseError):
        await read(*[b"data: " + b"x" * 65_536 + b"\n"] * (MAX_MESSAGE_LENGTH // 65_536 + 1))
