"""What the bot and its encoder, which is a process of its own, tell each other through two pipes.

Each message is a head of a fixed size and a body. The bot sends what arrived, the encoder answers with what is to be
served. Both ends are this program, so a message that makes no sense is a bug and ends the process.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

HEAD = struct.Struct("<BdddIHHI")
"""Kind, three times in seconds, track, width, height, length of the body in bytes."""


class Kind(IntEnum):
    """What a message is."""

    PICTURE = 1
    """In: I420 planes of `width` times `height`, arrived at `at`, of the source's time `timestamp`."""
    SOUND = 2
    """In: 16 bit samples, mono, 48,000 a second, whose last arrived at `at`."""
    TICK = 3
    """In: it is `at`."""
    MAP = 4
    """Out: an init segment (EXT-X-MAP) that all parts after it need."""
    PART = 5
    """Out: a part from `at`, so many seconds (`timestamp`) long. `track` is 1 where a segment begins with it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before a body. Times are seconds of the bot's clock. later: seconds (`MediaSink`)."""

    kind: Kind
    at: float
    timestamp: float = 0.0
    later: float = 0.0
    track: int = 0
    width: int = 0
    height: int = 0
    length: int = 0

    def pack(self) -> bytes:
        """As bytes."""
        times = (self.at, self.timestamp, self.later)
        return HEAD.pack(self.kind, *times, self.track, self.width, self.height, self.length)

    @classmethod
    def unpack(cls, head: bytes | bytearray) -> "Head":
        """From bytes. Raises `ValueError` and `struct.error` for what is none."""
        kind, *rest = HEAD.unpack(head)
        return cls(Kind(kind), *rest)


class Readable(Protocol):
    """An unbuffered file."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read into `buffer`; 0 at the end."""


def read_exactly(file: Readable, length: int) -> bytearray | None:
    """So many bytes; None where the file ends before."""
    body = bytearray(length)
    rest = memoryview(body)
    while rest:
        count = file.readinto(rest)
        if not count:
            return None
        rest = rest[count:]
    return body


def i420_size(width: int, height: int) -> int:
    """Bytes of an I420 picture without padding."""
    return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
