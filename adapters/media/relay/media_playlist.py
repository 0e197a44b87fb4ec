"""Playlists that list segments (RFC 8216, 4.3.2 and 4.3.3)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adapters.media.relay.syntax import (
    MAX_DURATION,
    ByteRange,
    Kind,
    NameOf,
    Playlist,
    PlaylistRefused,
    Reference,
    address_of,
    attributes_of,
    seconds_of,
    whole_number,
)

MAX_SEGMENTS = 32
"""The newest so many are handed on: a playlist that only ever grows costs no more than one with a window."""

MOST_DISCONTINUITIES = 4096
"""They are counted up to here, and from 0 again: hls.js 1.7.4 makes a list as long as the number, and hangs on a huge
one. That it starts anew costs a player at most a moment."""

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_RANGE = re.compile(r"([0-9]{1,12})(?:@([0-9]{1,15}))?")
_VECTOR = re.compile(r"0[xX][0-9A-Fa-f]{1,32}")
_ORDINARY_KEY = "identity"


@dataclass(frozen=True, slots=True)
class _Segment:
    reference: Reference
    duration: float
    date: str | None
    is_discontinuous: bool
    is_gap: bool
    map: Reference | None
    key: tuple[Reference, str | None] | None


@dataclass(slots=True)
class _Tags:
    """What stands before a segment and is about it alone."""

    duration: float | None = None
    date: str | None = None
    byte_range: str | None = None
    is_discontinuous: bool = False
    is_gap: bool = False


class MediaPlaylist:
    """One of them, while it is read."""

    def __init__(self, base: str, name_of: NameOf) -> None:
        self._base = base
        self._name_of = name_of
        self._segments: list[_Segment] = []
        self._target = self._sequence = self._discontinuities = 0
        self._version = 3
        self._is_over = False
        self._are_independent = False
        self._map: Reference | None = None
        self._key: tuple[Reference, str | None] | None = None
        self._next_byte = ("", 0)
        self._tags = _Tags()

    def rewrite(self, lines: list[str]) -> Playlist:
        """It as ours. Raises `PlaylistRefused`."""
        for line in lines[1:]:
            self._read(line)
        if not self._target:
            raise PlaylistRefused("it names no target duration")
        count = len(self._segments)
        dropped, kept = self._segments[:-MAX_SEGMENTS], self._segments[-MAX_SEGMENTS:]
        references: dict[str, Reference] = {}
        text = "\n".join((*self._head(dropped), *self._body(kept, references), *self._tail())) + "\n"
        newest = kept[-1].duration if kept else 0.0
        return Playlist(text, references, self._target, newest, self._sequence + count, self._is_over)

    def _read(self, line: str) -> None:
        tag, _, value = line.partition(":")
        match tag:
            case "#EXTINF":
                self._tags.duration = seconds_of(value.partition(",")[0])
            case "#EXT-X-TARGETDURATION":
                self._target = max(1, min(whole_number(value), int(MAX_DURATION)))
            case "#EXT-X-MEDIA-SEQUENCE":
                self._sequence = whole_number(value)
            case "#EXT-X-DISCONTINUITY-SEQUENCE":
                self._discontinuities = whole_number(value)
            case "#EXT-X-VERSION":
                self._version = min(whole_number(value), 12)
            case "#EXT-X-INDEPENDENT-SEGMENTS":
                self._are_independent = True
            case "#EXT-X-ENDLIST":
                self._is_over = True
            case "#EXT-X-DISCONTINUITY":
                self._tags.is_discontinuous = True
            case "#EXT-X-GAP":
                self._tags.is_gap = True
            case "#EXT-X-PROGRAM-DATE-TIME":
                self._tags.date = value if _DATE.fullmatch(value) else None
            case "#EXT-X-BYTERANGE":
                self._tags.byte_range = value
            case "#EXT-X-MAP":
                self._map = self._read_map(attributes_of(value))
            case "#EXT-X-KEY":
                self._key = self._read_key(attributes_of(value))
            case "#EXT-X-SKIP" | "#EXT-X-DEFINE" | "#EXT-X-I-FRAMES-ONLY":
                raise PlaylistRefused(f"it needs {tag.removeprefix('#')}, which is not handed on")
            case _ if not line.startswith("#"):
                self._add(line)

    def _add(self, uri: str) -> None:
        tags = self._tags
        if tags.duration is None:
            raise PlaylistRefused("a segment has no duration")
        url = address_of(self._base, uri)
        number, byte_range = self._sequence + len(self._segments), self._range_of(url, tags.byte_range)
        reference = Reference(Kind.SEGMENT, url, byte_range, number, self._map is not None)
        self._segments.append(
            _Segment(reference, tags.duration, tags.date, tags.is_discontinuous, tags.is_gap, self._map, self._key)
        )
        self._tags = _Tags()

    def _range_of(self, url: str, text: str | None) -> ByteRange | None:
        if text is None:
            return None
        if (match := _RANGE.fullmatch(text)) is None:
            raise PlaylistRefused("a byte range is malformed")
        if match[2] is None and self._next_byte[0] != url:
            raise PlaylistRefused("a byte range has no beginning")
        found = ByteRange(int(match[1]), int(match[2]) if match[2] is not None else self._next_byte[1])
        self._next_byte = (url, found.offset + found.length)
        return found

    def _read_map(self, attributes: Mapping[str, str]) -> Reference:
        url = address_of(self._base, attributes.get("URI", ""))
        text = attributes.get("BYTERANGE")
        # In a map a range without an offset begins with the file.
        byte_range = None if text is None else self._range_of(url, text if "@" in text else f"{text}@0")
        return Reference(Kind.MAP, url, byte_range, is_fragmented=True)

    def _read_key(self, attributes: Mapping[str, str]) -> tuple[Reference, str | None] | None:
        method = attributes.get("METHOD")
        if method == "NONE":
            return None
        if method != "AES-128" or attributes.get("KEYFORMAT", _ORDINARY_KEY) != _ORDINARY_KEY:
            raise PlaylistRefused("it is encrypted in a way that is not handed on")
        vector = attributes.get("IV")
        if vector is not None and _VECTOR.fullmatch(vector) is None:
            raise PlaylistRefused("the vector of a key is malformed")
        return Reference(Kind.KEY, address_of(self._base, attributes.get("URI", ""))), vector

    def _head(self, dropped: list[_Segment]) -> Iterator[str]:
        discontinuities = self._discontinuities + sum(segment.is_discontinuous for segment in dropped)
        yield "#EXTM3U"
        yield f"#EXT-X-VERSION:{self._version}"
        yield f"#EXT-X-TARGETDURATION:{self._target}"
        yield f"#EXT-X-MEDIA-SEQUENCE:{self._sequence + len(dropped)}"
        if discontinuities % MOST_DISCONTINUITIES:
            yield f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities % MOST_DISCONTINUITIES}"
        if self._are_independent:
            yield "#EXT-X-INDEPENDENT-SEGMENTS"

    def _body(self, segments: list[_Segment], references: dict[str, Reference]) -> Iterator[str]:
        def name(reference: Reference) -> str:
            found = self._name_of(reference)
            references[found] = reference
            return found

        current_map: Reference | None = None
        current_key: tuple[Reference, str | None] | None = None
        for segment in segments:
            if segment.is_discontinuous:
                yield "#EXT-X-DISCONTINUITY"
            if segment.key != current_key:
                current_key = segment.key
                yield _key_line(current_key, name)
            if segment.map is not None and segment.map != current_map:
                current_map = segment.map
                yield f'#EXT-X-MAP:URI="{name(current_map)}"'
            if segment.date is not None:
                yield f"#EXT-X-PROGRAM-DATE-TIME:{segment.date}"
            if segment.is_gap:
                yield "#EXT-X-GAP"
            yield f"#EXTINF:{segment.duration:.5f},"
            yield name(segment.reference)

    def _tail(self) -> Iterator[str]:
        if self._is_over:
            yield "#EXT-X-ENDLIST"


def _key_line(key: tuple[Reference, str | None] | None, name: NameOf) -> str:
    if key is None:
        return "#EXT-X-KEY:METHOD=NONE"
    reference, vector = key
    return f'#EXT-X-KEY:METHOD=AES-128,URI="{name(reference)}"' + ("" if vector is None else f",IV={vector}")
