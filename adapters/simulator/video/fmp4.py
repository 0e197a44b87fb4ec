"""Moving a prepared media segment to its place in time: ISO base media boxes, read once and patched per request.

ISO/IEC 14496-12: `moof/mfhd` carries the sequence number of a fragment, `moof/traf/tfdt` the decode time of each
track's first sample in units of the track's timescale (`moov/trak/mdia/mdhd`). Everything else stays as it is.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINERS = (b"moov", b"trak", b"mdia", b"moof", b"traf")


class NotFragmented(ValueError):
    """These bytes are not the media they should be."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, the types of the boxes around it, and where its content begins and ends."""

    kind: bytes
    inside: tuple[bytes, ...]
    begin: int
    end: int


def boxes(raw: bytes, begin: int = 0, end: int | None = None, inside: tuple[bytes, ...] = ()) -> Iterator[Box]:
    """Every box in the order of the file, containers before what they contain. Raises `NotFragmented`."""
    limit = len(raw) if end is None else end
    while begin < limit:
        if begin + 8 > limit:
            raise NotFragmented("a box is cut off")
        size, kind = struct.unpack_from(">I4s", raw, begin)
        if size < 8 or begin + size > limit:
            raise NotFragmented(f"the box {kind!r} has no proper size")
        yield Box(kind, inside, begin + 8, begin + size)
        if kind in _CONTAINERS:
            yield from boxes(raw, begin + 8, begin + size, (*inside, kind))
        begin += size


def timescales(init: bytes) -> dict[int, int]:
    """Units per second of each track of an init segment, by track id."""
    scales: dict[int, int] = {}
    track = 0
    for box in boxes(init):
        version = init[box.begin] if box.end > box.begin else 0
        if box.kind == b"tkhd":
            (track,) = struct.unpack_from(">I", init, box.begin + (20 if version else 12))
        elif box.kind == b"mdhd":
            (scales[track],) = struct.unpack_from(">I", init, box.begin + (20 if version else 12))
    return scales


class Segment:
    """A media segment that can be placed anywhere on the timeline."""

    __slots__ = ("_raw", "_sequence_at", "_times_at")

    def __init__(self, raw: bytes) -> None:
        """Find what has to be patched. Raises `NotFragmented` for anything but `moof` with 64-bit `tfdt`s."""
        self._raw = raw
        self._sequence_at = 0
        self._times_at: dict[int, int] = {}
        track = 0
        for box in boxes(raw):
            if box.kind == b"mfhd":
                self._sequence_at = box.begin + 4
            elif box.kind == b"tfhd":
                (track,) = struct.unpack_from(">I", raw, box.begin + 4)
            elif box.kind == b"tfdt":
                if raw[box.begin] != 1:
                    raise NotFragmented("the decode time has only 32 bits")
                self._times_at[track] = box.begin + 4
        if not self._sequence_at or not self._times_at:
            raise NotFragmented("there is no fragment in it")

    def placed(self, sequence: int, decode_times: dict[int, int]) -> bytes:
        """The segment as fragment number `sequence`, its tracks beginning at these times in their own units."""
        patched = bytearray(self._raw)
        struct.pack_into(">I", patched, self._sequence_at, sequence & 0xFFFFFFFF)
        for track, at in self._times_at.items():
            struct.pack_into(">Q", patched, at, decode_times[track])
        return bytes(patched)
