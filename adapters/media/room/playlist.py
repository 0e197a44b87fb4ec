"""The last seconds of a picture as a low-latency HLS playlist, and the files it leads to (RFC 8216bis).

Holds so many segments and no more. Pure data; who waits for what is the business of `source`.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from bot.core.pictures import PlaylistPosition

PART = 0.5
"""Seconds of a part: the shortest that a player loads by itself. A viewer makes two requests for each."""

SEGMENT = 1.0
"""Seconds of a segment."""

LISTED = 8
"""Segments in the playlist, without the one that is being made: a player that stalls may fall so far behind."""

KEPT = 14
"""Segments that can still be fetched: who read the playlist before the last ones has time to get what was in it."""

WITH_PARTS = 3
"""Of the listed segments the last ones whose parts are listed as well (6.2.2: three target durations)."""


@dataclass(slots=True)
class _Segment:
    number: int
    begins: datetime
    init: str
    breaks: int
    """How many discontinuities there were until it, counted like segments."""
    parts: list[bytes] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)

    @property
    def duration(self) -> float:
        return sum(self.durations)


class LivePlaylist:
    """What is to be served. Numbers go up over its whole life, and names are never used for something else."""

    def __init__(self, prefix: str, first: int) -> None:
        """prefix: what all names begin with. first: the number of the first segment."""
        self._prefix = prefix
        self._segments: deque[_Segment] = deque()
        self._open: _Segment | None = None
        self._next = first
        self._breaks = 0
        self._inits: dict[str, bytes] = {}
        self._made_inits = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to play yet."""
        return not self._segments and self._open is None

    @property
    def bytes_held(self) -> int:
        """Of all files together."""
        segments = [*self._segments, *([self._open] if self._open else [])]
        return sum(map(len, self._inits.values())) + sum(len(part) for each in segments for part in each.parts)

    def add_init(self, body: bytes) -> None:
        """An init segment for what follows, which is another stream of bytes than before."""
        self._close()
        self._made_inits += 1
        self._breaks += 1
        self._inits[f"{self._prefix}i{self._made_inits}.mp4"] = body

    def add_part(self, body: bytes, begins: datetime, duration: float, *, begins_segment: bool) -> None:
        """The next part. begins: UTC; duration: seconds."""
        if begins_segment:
            self._close()
        if self._open is None:
            self._open = _Segment(self._next, begins, next(reversed(self._inits)), self._breaks)
            self._next += 1
        self._open.parts.append(body)
        self._open.durations.append(duration)
        if self._open.duration > SEGMENT - PART / 2:
            self._close()

    def has(self, position: PlaylistPosition) -> bool:
        """Whether it has got so far."""
        part = -1 if position.part is None else position.part
        if self._open is not None and position.segment == self._open.number:
            return 0 <= part < len(self._open.parts)
        if self._segments and position.segment == self._segments[-1].number:
            # The part after the last one of a segment is the first of the next one.
            return part < len(self._segments[-1].parts) or self._open is not None
        return position.segment < self._next

    def announces(self, name: str) -> bool:
        """Whether a file of this name comes next."""
        return name == self._next_part()

    def file(self, name: str) -> bytes | None:
        """An init segment, a segment or a part; None if there is none of this name, or no longer."""
        if name in self._inits:
            return self._inits[name]
        for segment in self._segments:
            if name == self._segment_name(segment.number):
                return b"".join(segment.parts)
        for segment in reversed([*self._segments, *([self._open] if self._open else [])]):
            for index, part in enumerate(segment.parts):
                if name == self._part_name(segment.number, index):
                    return part
        return None

    def render(self) -> str:
        """The playlist."""
        listed = list(self._segments)[-LISTED:]
        first = listed[0] if listed else self._open
        number = first.number if first else self._next
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:9",
            f"#EXT-X-TARGETDURATION:{round(SEGMENT)}",
            f"#EXT-X-PART-INF:PART-TARGET={PART:g}",
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={3 * PART:g},HOLD-BACK={3 * SEGMENT:g}",
            f"#EXT-X-MEDIA-SEQUENCE:{number}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.breaks if first else self._breaks}",
            "#EXT-X-INDEPENDENT-SEGMENTS",
        ]
        before: _Segment | None = None
        for index, segment in enumerate(listed):
            lines += self._head(segment, before)
            if index >= len(listed) - WITH_PARTS:
                lines += self._parts(segment)
            lines += [f"#EXTINF:{segment.duration:.5f},", self._segment_name(segment.number)]
            before = segment
        if self._open is not None:
            lines += [*self._head(self._open, before), *self._parts(self._open)]
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{self._next_part()}"')
        return "\n".join(lines) + "\n"

    @staticmethod
    def _head(segment: _Segment, before: _Segment | None) -> list[str]:
        head = []
        if before is None or before.init != segment.init:
            head = [f'#EXT-X-MAP:URI="{segment.init}"']
        if before is not None and before.breaks != segment.breaks:
            head.insert(0, "#EXT-X-DISCONTINUITY")
        begins = segment.begins.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return [*head, f"#EXT-X-PROGRAM-DATE-TIME:{begins}"]

    def _parts(self, segment: _Segment) -> list[str]:
        return [
            f'#EXT-X-PART:DURATION={duration:.5f},URI="{self._part_name(segment.number, index)}"'
            + (",INDEPENDENT=YES" if index == 0 else "")
            for index, duration in enumerate(segment.durations)
        ]

    def _next_part(self) -> str:
        if self._open is not None:
            return self._part_name(self._open.number, len(self._open.parts))
        return self._part_name(self._next, 0)

    def _segment_name(self, number: int) -> str:
        return f"{self._prefix}{number}.mp4"

    def _part_name(self, number: int, index: int) -> str:
        return f"{self._prefix}{number}.{index}.mp4"

    def _close(self) -> None:
        """What was being made is whole."""
        if self._open is None:
            return
        self._segments.append(self._open)
        self._open = None
        while len(self._segments) > KEPT:
            self._segments.popleft()
        used = {segment.init for segment in self._segments}
        newest = next(reversed(self._inits))
        self._inits = {name: body for name, body in self._inits.items() if name in used or name == newest}
