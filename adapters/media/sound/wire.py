"""What the bot and its decoder say to each other through the pipes: a head of fixed size, then bytes.

Knows neither side. Runs in both processes.
"""

import struct
from typing import Protocol

QUESTION = struct.Struct(">BIII")
"""What is asked (`DECODE`, `FORGET`), the number of the line of sound, bytes of the init segment, bytes of the
segment."""

ANSWER = struct.Struct(">BI")
"""Whether it worked (1, 0), and bytes of what follows: samples, or why not."""

DECODE, FORGET = 1, 2

MAX_BODY = 16 << 20
"""Bytes of samples: 2 minutes and a half, more than the longest segment has."""


class Readable(Protocol):
    """A raw file: it may give less than was asked for."""

    def read(self, size: int, /) -> bytes | None:
        """At most so many bytes; none at the end."""


def read_exactly(source: Readable, size: int) -> bytes | None:
    """So many bytes; None where the file ends before."""
    data = bytearray()
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            return None
        data += more
    return bytes(data)
