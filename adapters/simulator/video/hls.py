"""Live HLS of a simulated stream: the playlist and its segments, made when somebody asks for them.

Segment n shows what happened in its 0.96 s, talking or idle, and exists once that time is over, so it never changes
and nothing is stored. A few idle segments before the start of the audio let a player begin at once.
`EXT-X-PROGRAM-DATE-TIME` tells the simulator's time of day for every segment. RFC 8216.
"""

from datetime import timedelta
from functools import cache
from math import floor
from pathlib import Path

from aiohttp import web

from adapters.simulator.heygen_v3.wire import refusal
from adapters.simulator.service import Service
from adapters.simulator.streams import LiveStream
from adapters.simulator.video.fmp4 import Segment, timescales
from adapters.simulator.wire import Refused

SEGMENT_SECONDS = 0.96
"""24 pictures at 25 per second, 45 AAC frames at 48 kHz: no remainder in either track."""
PREROLL = 3
"""Idle segments before the audio starts; three are what players want before they begin."""
WINDOW = 6
"""Segments in the playlist."""
IDLES, TALKS = 4, 8
"""How many of each ship. Both follow the breathing loop of four segments, so any may follow any."""

_LEAST_TALK = 0.15
"""Seconds of speech that make a segment a talking one."""
_ROUNDING = 1e-6
_MEDIA = Path(__file__).parent / "media"
_HEADERS = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
_LIST = {**_HEADERS, "Content-Type": "application/vnd.apple.mpegurl", "Cache-Control": "no-store"}
_PART = {**_HEADERS, "Content-Type": "video/mp4", "Cache-Control": "max-age=3600"}
_MAX_DIGITS = 9


class Hls:
    """`/simulator/hls/<stream id>/stream.m3u8`, `init.mp4` and `<number>.m4s`, for everybody who knows the id."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def serve(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer for one file. Fetching the playlist counts as watching the stream."""
        stream_id, _, name = path.partition("/")
        stream = self._service.streams.get(stream_id)
        if stream is None:
            raise _not_found("No such stream.")
        if stream.audio_from is None:
            raise _not_found("The stream has not started yet.")
        if name == "stream.m3u8":
            if request.method == "GET":
                stream.watched()
            return web.Response(body=playlist(stream).encode(), headers=_LIST)
        if name == "init.mp4":
            return web.Response(body=init_segment(), headers=_PART)
        number = name.removesuffix(".m4s")
        if not name.endswith(".m4s") or not number.isascii() or not number.isdecimal() or len(number) > _MAX_DIGITS:
            raise _not_found("No such file.")
        if int(number) >= complete_segments(stream):
            raise _not_found("No such segment yet.")
        return web.Response(body=segment(stream, int(number)), headers=_PART)


def complete_segments(stream: LiveStream) -> int:
    """How many segments are over, once the audio runs. The last one of an ended stream is filled up."""
    length = stream.position / SEGMENT_SECONDS
    return PREROLL + (floor(length + _ROUNDING) if stream.is_open else -floor(-length + _ROUNDING))


def playlist(stream: LiveStream) -> str:
    """The live playlist now; it ends with `EXT-X-ENDLIST` once the stream is over."""
    complete = complete_segments(stream)
    first = max(0, complete - WINDOW)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:1",
        f"#EXT-X-MEDIA-SEQUENCE:{first}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MAP:URI="init.mp4"',
    ]
    for number in range(first, complete):
        lines += [
            f"#EXT-X-PROGRAM-DATE-TIME:{_date_of(stream, number)}",
            f"#EXTINF:{SEGMENT_SECONDS:.5f},",
            f"{number}.m4s",
        ]
    if not stream.is_open:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def segment(stream: LiveStream, number: int) -> bytes:
    """Segment `number` in its place on the timeline."""
    begin = (number - PREROLL) * SEGMENT_SECONDS
    talks = stream.timeline.talk_within(begin, begin + SEGMENT_SECONDS) >= _LEAST_TALK
    name = f"talk-{number % TALKS}" if talks else f"idle-{number % IDLES}"
    times = {track: number * duration for track, duration in _durations().items()}
    return _prepared(name).placed(number + 1, times)


def _date_of(stream: LiveStream, number: int) -> str:
    if stream.audio_from_utc is None:
        raise ValueError("a stream without audio has no segments")
    date = stream.audio_from_utc + timedelta(seconds=(number - PREROLL) * SEGMENT_SECONDS)
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def init_segment() -> bytes:
    """The init segment, the same for all."""
    return (_MEDIA / "init.mp4").read_bytes()


@cache
def _durations() -> dict[int, int]:
    """How long a segment is in each track, in the track's own units."""
    return {track: round(SEGMENT_SECONDS * scale) for track, scale in timescales(init_segment()).items()}


@cache
def _prepared(name: str) -> Segment:
    return Segment((_MEDIA / f"{name}.m4s").read_bytes())


def _not_found(message: str) -> Refused:
    return refusal(404, "not_found", message)
