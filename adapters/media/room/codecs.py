"""H264 and AAC through PyAV, as every browser plays them, and pictures brought into the one size that is encoded.

Runs in the encoder's process alone. Times are seconds on the media's own line, which begins at `LEAD_IN`.
"""

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from adapters.media.room.quality import Quality
from adapters.media.room.sound import RATE

LEAD_IN = 10
"""Seconds at which the media's time begins: AAC's first packet is 21 ms before its first sample, and no time may be
negative."""

TICKS = 90_000
"""Of a second: the time base of pictures, as everywhere in video."""

SAMPLES = 1_024
"""Of an AAC packet."""

SOUND_BIT_RATE = 96_000
"""Bits per second; a voice in mono is not told from the original with that."""

CRF = "23"
"""x264's own default of its constant quality, below the bit rate that `Quality` allows."""

MUXER = {
    # A fragment is written where we say so, and says itself at what time it begins.
    "movflags": "frag_custom+empty_moov+default_base_moof+frag_discont+skip_trailer",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}


class PictureEncoder:
    """One H264 stream of one size. A picture goes in, its packet comes out: nothing is held back (zerolatency)."""

    def __init__(self, quality: Quality) -> None:
        self.quality = quality
        container = av.open(io.BytesIO(), "w", format="mp4", options=MUXER)
        options = {
            "preset": "veryfast",
            "tune": "zerolatency",
            "profile": "main",
            "crf": CRF,
            "maxrate": str(quality.bit_rate),
            "bufsize": str(quality.bit_rate),
            # Key frames come when we ask for one.
            "g": "1000",
            "sc_threshold": "0",
            # One session shall not take every core; a core is enough for 720p (`python -m tests.bench.encode`).
            "threads": "1",
        }
        self.stream = container.add_stream("libx264", rate=30, options=options)
        self.stream.width, self.stream.height = quality.width, quality.height
        self.stream.pix_fmt = "yuv420p"
        self.stream.time_base = self.stream.codec_context.time_base = Fraction(1, TICKS)
        # Opens the codec: what it says of itself is needed before the first picture.
        container.start_encoding()
        self._container = container

    def encode(self, picture: av.VideoFrame, ticks: int, *, is_key: bool) -> "Packet[VideoStream]":
        """The packet of a picture of this size, at `ticks`."""
        picture.pts, picture.time_base = ticks, Fraction(1, TICKS)
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        (packet,) = self.stream.codec_context.encode(picture)
        return packet


class SoundEncoder:
    """One AAC stream. Packets come out about three packets after their samples went in."""

    def __init__(self) -> None:
        container = av.open(io.BytesIO(), "w", format="mp4", options=MUXER)
        self.stream = container.add_stream("aac", rate=RATE, layout="mono")
        self.stream.bit_rate = SOUND_BIT_RATE
        container.start_encoding()
        self._container = container
        self._waiting = bytearray()
        self._samples = LEAD_IN * RATE

    def encode(self, pcm: bytes) -> "list[Packet[AudioStream]]":
        """The packets that are ready after these samples too."""
        self._waiting += pcm
        packets: list[Packet[AudioStream]] = []
        while len(self._waiting) >= 2 * SAMPLES:
            frame = av.AudioFrame("s16", "mono", SAMPLES)
            frame.planes[0].update(bytes(self._waiting[: 2 * SAMPLES]))
            del self._waiting[: 2 * SAMPLES]
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), self._samples
            self._samples += SAMPLES
            packets += self.stream.codec_context.encode(frame)
        return packets


class Letterbox:
    """Brings pictures of any size into one size: as large as they fit, with black bars where they do not."""

    def __init__(self, quality: Quality) -> None:
        self._quality = quality
        self._source: tuple[int, int] | None = None
        self._graph: av.filter.Graph | None = None

    def fit(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture in the one size."""
        size = (picture.width, picture.height)
        if size == (self._quality.width, self._quality.height):
            return picture
        if size != self._source or self._graph is None:
            self._graph, self._source = self._make(*size), size
        picture.pts, picture.time_base = 0, Fraction(1, TICKS)
        self._graph.push(picture)
        return cast("av.VideoFrame", self._graph.pull())

    def _make(self, width: int, height: int) -> av.filter.Graph:
        target = self._quality
        inner = f"{target.width}:{target.height}:force_original_aspect_ratio=decrease:force_divisible_by=2"
        graph, i420 = av.filter.Graph(), av.VideoFormat("yuv420p")
        steps = [
            graph.add_buffer(width=width, height=height, format=i420, time_base=Fraction(1, TICKS)),
            graph.add("scale", f"{inner}:flags=bilinear"),
            graph.add("pad", f"{target.width}:{target.height}:-1:-1:black"),
            graph.add("setsar", "1"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*steps).configure()
        return graph


def picture_of(planes: bytes | bytearray, width: int, height: int) -> av.VideoFrame:
    """An I420 picture without padding as PyAV's own."""
    picture = av.VideoFrame(width, height, "yuv420p")
    begin = 0
    halves = ((width + 1) // 2, (height + 1) // 2)
    for plane, (across, down) in zip(picture.planes, ((width, height), halves, halves), strict=True):
        end = begin + across * down
        rows = memoryview(planes)[begin:end]
        # Any buffer is taken, whatever the type says, and is copied once.
        plane.update(cast("bytes", rows) if plane.line_size == across else _padded(rows, across, plane.line_size))
        begin = end
    return picture


def black(quality: Quality) -> av.VideoFrame:
    """A picture of nothing."""
    luma = quality.width * quality.height
    return picture_of(bytes([16]) * luma + bytes([128]) * (luma // 2), quality.width, quality.height)


def _padded(rows: memoryview, across: int, line_size: int) -> bytes:
    padding = bytes(line_size - across)
    return b"".join(bytes(rows[begin : begin + across]) + padding for begin in range(0, len(rows), across))


def init_segment(pictures: PictureEncoder, sound: SoundEncoder) -> bytes:
    """What a player needs before it can play parts of these two encoders (EXT-X-MAP): ftyp and moov."""
    return _file(pictures, sound, [], [], 1)


def part(
    pictures: PictureEncoder,
    sound: SoundEncoder,
    shown: "Sequence[Packet[VideoStream]]",
    heard: "Sequence[Packet[AudioStream]]",
    number: int,
) -> bytes:
    """A part with these packets: moof and mdat. number: of the part, from 1; packets know their time and length."""
    whole = _file(pictures, sound, shown, heard, number)
    begin = 0
    while whole[begin + 4 : begin + 8] != b"moof":
        begin += int.from_bytes(whole[begin : begin + 4])
    return whole[begin:]


def _file(
    pictures: PictureEncoder,
    sound: SoundEncoder,
    shown: "Sequence[Packet[VideoStream]]",
    heard: "Sequence[Packet[AudioStream]]",
    number: int,
) -> bytes:
    file = io.BytesIO()
    container = av.open(file, "w", format="mp4", options={**MUXER, "fragment_index": str(number)})
    to_see = container.add_stream_from_template(pictures.stream, opaque=True)
    to_hear = container.add_stream_from_template(sound.stream, opaque=True)
    for picture in shown:
        picture.stream = to_see
    for piece in heard:
        piece.stream = to_hear
    container.start_encoding()
    packets: list[Packet[VideoStream] | Packet[AudioStream]] = [*shown, *heard]
    packets.sort(key=lambda packet: (packet.dts or 0) * (packet.time_base or 0))
    container.mux(packets)
    container.close()
    return file.getvalue()
