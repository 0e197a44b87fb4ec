"""The sound of a relayed stream, alone: its segments as the relay has them anyway, decoded, and given out evenly.

Begins with the newest segment. A segment is seen when it is over, so it comes at once and is given out over its length;
what is given out says when it was made, as far as the playlist or its arrival tells.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from adapters.media.sound import SoundDecoder
from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, MediaFile
from bot.core.ports import Clock
from bot.core.sound import FRAME, FRAME_BYTES, Sound

LOOK_EVERY = 0.1
"""Seconds between two looks at the playlist; how often the provider is asked is decided in `live_playlist`."""

LEAD = 0.3
"""Seconds by which a segment may come later than the one before let expect: a step of `live_playlist`, and the time to
fetch and decode it."""

AHEAD = 0.2
"""Seconds of sound that are given out before their time, so that a busy event loop makes no gap."""

BATCH = 5
"""Pieces that are given out at a time: one wake-up in 100 ms."""

BEHIND = 1.0
"""Seconds of sound that may wait beyond a segment; more is caught up by giving it out sooner."""

SLACK = 0.05
"""Seconds of that which are left alone; the rest is caught up in pauses."""

OLDEST = 30.0
"""Seconds: the date of a segment that is older than that, or of the future, is by another clock and is not believed."""

SILENT_LIMIT = 20.0
"""Seconds without a new segment after which whoever listens is told that there is none."""

Fetch = Callable[[str], Awaitable[MediaFile | None]]


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a playlist of ours. init: the name of its map. date: when it begins, by the provider's clock."""

    number: int
    name: str
    init: str | None
    date: datetime | None
    is_encrypted: bool


class RelaySound:
    """Of one stream, for one listener."""

    def __init__(self, fetch: Fetch, decoder: SoundDecoder, clock: Clock) -> None:
        """`fetch` is the relay's (`PictureSource.fetch`)."""
        self._fetch = fetch
        self._decoder = decoder
        self._clock = clock
        self._due = 0.0
        self._last: int | None = None
        self._inits: dict[str, bytes] = {}

    async def listen(self) -> AsyncGenerator[Sound, None]:
        """Until the stream is over or this is closed. Raises `PictureUnavailable`."""
        playlist = await self._choose()
        seen_at = self._clock.monotonic()
        with self._decoder.line() as line:
            while True:
                text = await self._text(playlist)
                for segment in self._new(text):
                    seen_at = self._clock.monotonic()
                    pcm = await self._samples(line, segment)
                    async for sound in self._evenly(
                        pcm, self._begin_of(segment, seen_at, len(pcm) / FRAME_BYTES * FRAME)
                    ):
                        yield sound
                if "#EXT-X-ENDLIST" in text:
                    return
                if self._clock.monotonic() - seen_at > SILENT_LIMIT:
                    raise PictureUnavailable("its playlist does not go on")
                await self._clock.sleep(LOOK_EVERY)

    async def _choose(self) -> str:
        """The name of the playlist to follow: that with the sound alone, else the smallest picture."""
        text = await self._text(PLAYLIST)
        if "#EXT-X-STREAM-INF" not in text:
            return PLAYLIST
        return smallest(text)

    async def _text(self, name: str) -> str:
        file = await self._fetch(name)
        if file is None:
            raise PictureUnavailable("there is no such playlist any more")
        return file.body.decode()

    def _new(self, text: str) -> list[Segment]:
        """What has not been given out yet; of the first playlist the newest alone."""
        listed = segments_of(text)
        if listed and self._last is not None and listed[-1].number < self._last:
            # Counted anew: another stream at the same address.
            self._last = None
        new = [each for each in listed if self._last is None or each.number > self._last]
        if self._last is None:
            new = new[-1:]
        if new:
            self._last = new[-1].number
        return new

    async def _samples(self, line: int, segment: Segment) -> bytes:
        if segment.is_encrypted:
            raise PictureUnavailable("its segments are encrypted, which is not decoded for its sound")
        if segment.init is not None and segment.init not in self._inits:
            init = await self._fetch(segment.init)
            if init is None:
                return b""
            self._inits = {segment.init: init.body}
        file = await self._fetch(segment.name)
        if file is None:
            return b""
        init_body = self._inits[segment.init] if segment.init is not None else b""
        return await self._decoder.decode(line, init_body, file.body)

    def _begin_of(self, segment: Segment, seen_at: float, length: float) -> float:
        """When a segment began at the source, seconds on our clock. It was over when it was first seen, at the
        latest."""
        latest = seen_at - length
        if segment.date is None:
            return latest
        age = (self._clock.now() - segment.date).total_seconds()
        told = self._clock.monotonic() - age
        return told if latest - OLDEST < told <= latest else latest

    async def _evenly(self, pcm: bytes, begin: float) -> AsyncGenerator[Sound, None]:
        now = self._clock.monotonic()
        # What comes late begins now; what is too far ahead is given out sooner, and its listener makes up for it.
        self._due = min(max(self._due, now), now + BEHIND)
        pieces = self._caught_up(list(_pieces(pcm, begin)), self._due - now)
        for place in range(0, len(pieces), BATCH):
            if (wait := self._due - AHEAD - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            batch = pieces[place : place + BATCH]
            for piece in batch:
                yield piece
            self._due += len(batch) * FRAME

    def _caught_up(self, pieces: list[Sound], waiting: float) -> list[Sound]:
        """The same without some of the silence, where the end of the segment before is still to be given out: it was
        there for a while when somebody began to listen. Half of a pause stays."""
        surplus = round((waiting - SLACK) / FRAME)
        kept: list[Sound] = []
        was_left_out = False
        for piece in pieces:
            was_left_out = surplus > 0 and not was_left_out and piece.is_quiet
            if was_left_out:
                surplus -= 1
            else:
                kept.append(piece)
        return kept


def _pieces(pcm: bytes, begin: float) -> Iterator[Sound]:
    for start in range(0, len(pcm), FRAME_BYTES):
        piece = pcm[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
        yield Sound(piece, begin + start / FRAME_BYTES * FRAME, LEAD)


def segments_of(text: str) -> list[Segment]:
    """The segments of a media playlist of ours (`media_playlist`), in their order."""
    found: list[Segment] = []
    number, init, date, encrypted, gap = 0, None, None, False, False
    for line in text.splitlines():
        tag, _, value = line.partition(":")
        match tag:
            case "#EXT-X-MEDIA-SEQUENCE":
                number = int(value)
            case "#EXT-X-MAP":
                init = _quoted(value)
            case "#EXT-X-KEY":
                encrypted = not value.startswith("METHOD=NONE")
            case "#EXT-X-GAP":
                gap = True
            case "#EXT-X-PROGRAM-DATE-TIME":
                date = _date(value)
            case _ if line and not line.startswith("#"):
                if not gap:
                    found.append(Segment(number, line, init, date, encrypted))
                number, date, gap = number + 1, None, False
    return found


def smallest(text: str) -> str:
    """Of a multivariant playlist of ours the sound alone, else the variant of the least bandwidth."""
    best: tuple[int, str] | None = None
    bandwidth: int | None = None
    for line in text.splitlines():
        if line.startswith("#EXT-X-MEDIA:") and 'URI="' in line:
            return _quoted(line)
        if line.startswith("#EXT-X-STREAM-INF:"):
            told = [part for part in line.partition(":")[2].split(",") if part.startswith("BANDWIDTH=")]
            bandwidth = int(told[0].removeprefix("BANDWIDTH=")) if told else 0
        elif line and not line.startswith("#") and bandwidth is not None:
            if best is None or bandwidth < best[0]:
                best = (bandwidth, line)
            bandwidth = None
    if best is None:
        raise PictureUnavailable("its playlist offers nothing to play")
    return best[1]


def _quoted(value: str) -> str:
    """What stands in the quotation marks of a URI."""
    return value.partition('URI="')[2].partition('"')[0]


def _date(value: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        return None
    return date if date.tzinfo is not None else None
