"""A fault proxy that knows the frames in the fake rooms of the simulator, and lets one of them fail.

A room is a WebSocket (RFC 6455) behind `GET /simulator/rooms/*`, each frame a JSON object that names its kind in
`event_type`. Frames are passed on one by one, in their order; a proxy carries one room at a time. Knows no story.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from tests.harness.fault_proxy import LONG_PATIENCE, FaultProxy
from tests.harness.programs import wait_until

ROOM = "GET /simulator/rooms/*"

WELCOME = "session.state_updated"
"""The first frame that comes to whoever enters a room."""

LATENESS = 1.0
"""Seconds that a late frame takes, and all frames behind it."""

WHOLE_TEXT = 0x81
"""The first byte of a frame that is a whole text message."""

LENGTHS = {126: 2, 127: 8}
"""How many bytes hold the length, where the second byte of a frame says that it does not."""


class Way(StrEnum):
    """How a frame fails."""

    CUT = "cut before"
    """The connection breaks, and the frame is lost with it."""
    CUT_AFTER = "cut after"
    """It goes through, and the connection breaks before anything comes back of what it brings about."""
    SWALLOWED = "swallowed"
    LATE = "late"
    TWICE = "twice"
    GARBAGE = "garbage"
    NOT_TEXT = "not text"
    """A text message that is not UTF-8, which breaks the rules of WebSockets."""
    EMPTY = "empty"
    LIST = "a list"
    NUMBER = "a number for its kind"
    WRONG_DATA = "wrong data"
    WRONG_FIELDS = "wrong fields"
    """Of the right kind; everything it says about it has the wrong type."""


@dataclass(frozen=True)
class Frame:
    """One frame: as it came, and the message in it where it is one."""

    raw: bytes
    message: Any

    @property
    def event_type(self) -> str | None:
        """Its kind."""
        return self.message["data"]["event_type"] if isinstance(self.message, dict) else None


class WebSocketFaultProxy(FaultProxy):
    """A proxy through which the bot is in a room. entries: how often it was let into one so far."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.entries = 0
        self._next: tuple[str, Way, str] | None = None
        self._withheld_until: str | None = None
        self._failed = threading.Event()

    def fail_next(self, event_type: str, way: Way, answer: str = "") -> None:
        """Let the next frame of this kind fail. `answer`: the kind that tells that one from the bot took effect."""
        self._failed.clear()
        self._next = (event_type, way, answer)

    def wait_for_failure(self) -> None:
        """Wait until the frame has come, and has failed."""
        assert self._failed.wait(LONG_PATIENCE), f"never came: {self._next or self._withheld_until}"

    def mend(self) -> None:
        """Let no frame fail any more."""
        self._next = self._withheld_until = None

    def wait_for_entries(self, times: int) -> None:
        """Wait until the bot was let in that often."""
        wait_until(lambda: self.entries >= times)

    async def _pour(self, request: str, reader: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
        if not fnmatchcase(request, ROOM):
            await super()._pour(request, reader, there)
            return
        there.write(await reader.readuntil(b"\r\n\r\n"))
        while True:
            there.write(await self._fate(await next_frame(reader)))
            await there.drain()

    async def _answer(self, status: bytes, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b" 101 " not in status:
            await super()._answer(status, back, writer)
            return
        writer.write(status + await back.readuntil(b"\r\n\r\n"))
        while True:
            frame = await next_frame(back)
            self.entries += frame.event_type == WELCOME
            if self._withheld_until is None:
                writer.write(await self._fate(frame))
            elif frame.event_type == self._withheld_until:
                self._withheld_until = None
                self._break_off()
            await writer.drain()

    async def _fate(self, frame: Frame) -> bytes:
        """What arrives of a frame."""
        if self._next is None or frame.event_type != self._next[0]:
            return frame.raw
        (_, way, answer), self._next = self._next, None
        arriving = frame.raw
        match way:
            case Way.CUT:
                self._break_off()
            case Way.CUT_AFTER:
                self._withheld_until = answer
                return arriving
            case Way.SWALLOWED:
                arriving = b""
            case Way.LATE:
                await asyncio.sleep(LATENESS)
            case Way.TWICE:
                arriving *= 2
            case _:
                arriving = text_frame(GARBLED[way](frame.message))
        self._failed.set()
        return arriving

    def _break_off(self) -> None:
        self._failed.set()
        raise ConnectionAbortedError


def _with(message: Mapping[str, Any], **changes: object) -> bytes:
    return json.dumps({**message, **changes}).encode()


GARBLED: Mapping[Way, Callable[[Any], bytes]] = {
    Way.GARBAGE: lambda message: _with(message)[:-3],
    Way.NOT_TEXT: lambda _: b"\xff\xfe",
    Way.EMPTY: lambda _: b"",
    Way.LIST: lambda message: json.dumps([message]).encode(),
    Way.NUMBER: lambda message: _with(message, data={**message["data"], "event_type": 7}),
    Way.WRONG_DATA: lambda message: _with(message, data=[message["data"]]),
    Way.WRONG_FIELDS: lambda message: _with(
        message, data={name: value if name == "event_type" else {"7": [7]} for name, value in message["data"].items()}
    ),
}
"""What is in the message that comes in the place of another."""


async def next_frame(reader: asyncio.StreamReader) -> Frame:
    """Read a frame (RFC 6455, 5.2). aiohttp sends every message whole. Raises `IncompleteReadError`."""
    raw = await reader.readexactly(2)
    is_text, is_masked, length = raw[0] == WHOLE_TEXT, raw[1] & 0x80, raw[1] & 0x7F
    if length in LENGTHS:
        extended = await reader.readexactly(LENGTHS[length])
        raw, length = raw + extended, int.from_bytes(extended)
    mask = await reader.readexactly(4) if is_masked else bytes(4)
    body = await reader.readexactly(length)
    raw += mask + body if is_masked else body
    text = bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))
    return Frame(raw, json.loads(text) if is_text else None)


def text_frame(text: bytes) -> bytes:
    """A message from the room, which is never masked."""
    size = len(text)
    return bytes([WHOLE_TEXT]) + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)) + text
