"""Encodes a picture's time line in parts of one length, and puts the sound of the same moments to them.

A part always begins with a picture and each segment with a key frame; where nothing new is there, the last picture is
shown again. Runs in the encoder's process alone.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av

from adapters.media.room import codecs
from adapters.media.room.codecs import LEAD_IN, TICKS, Letterbox, PictureEncoder, SoundEncoder
from adapters.media.room.playlist import PART, SEGMENT
from adapters.media.room.quality import QualityLadder
from adapters.media.room.sound import RATE

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.stream import VideoStream

SNAP = 0.012
"""Seconds: a picture that is so close to the beginning of a part is shown at it."""


@dataclass(frozen=True, slots=True)
class InitSegment:
    """Which the parts after it need. width, height: pixels of their pictures."""

    body: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class EncodedPart:
    """A part: moof and mdat. start, duration: seconds of our time. begins_segment: with a key frame, too."""

    body: bytes
    start: float
    duration: float
    begins_segment: bool


Emit = Callable[[InitSegment | EncodedPart], None]


@dataclass(slots=True)
class _Part:
    """One that is being made."""

    begin: float
    begins_segment: bool
    encoder: PictureEncoder
    needs_init: bool
    shown: "list[Packet[VideoStream]]" = field(default_factory=list)


class Segmenter:
    """Makes the parts from one moment on."""

    def __init__(
        self,
        begin: float,
        picture: av.VideoFrame | None,
        ladder: QualityLadder,
        emit: Emit,
        stopwatch: Callable[[], float],
    ) -> None:
        """begin: when the first part does, seconds of our time. picture: what is to be seen until the first `show`;
        None is black. stopwatch: measures how long pictures take, which decides the quality."""
        self._begin = begin
        self._ladder = ladder
        self._emit = emit
        self._stopwatch = stopwatch
        self._picture = picture
        self._fitted: av.VideoFrame | None = None
        self._encoder = PictureEncoder(ladder.quality)
        self._letterbox = Letterbox(ladder.quality)
        self._sound = SoundEncoder()
        self._heard: deque[Packet[AudioStream]] = deque()
        self._work = 0.0
        self._begun = 1
        self._emitted = 0
        self._waiting: deque[_Part] = deque()
        self._open = _Part(begin, begins_segment=True, encoder=self._encoder, needs_init=True)
        self._encode(begin, is_key=True)

    def show(self, moment: float, picture: av.VideoFrame) -> None:
        """A new picture from `moment` on, which is later than that of the one before."""
        self.fill(moment - SNAP)
        self._picture, self._fitted = picture, None
        self._ladder.fit(picture.height)
        if self._next <= moment + SNAP:
            self._begin_part()
        elif moment > self._open.begin + SNAP:
            self._encode(moment, is_key=False)

    def fill(self, until: float) -> None:
        """Nothing new is there before `until`: show what there is."""
        while self._next < until:
            self._begin_part()

    def hear(self, pcm: bytes) -> None:
        """The next samples of the sound. Emits the parts that are whole with them."""
        self._heard.extend(self._sound.encode(pcm))
        while self._waiting and self._heard:
            end = self._line(self._waiting[0].begin + PART)
            if _seconds(self._heard[-1]) < end:
                return
            heard: list[Packet[AudioStream]] = []
            while _seconds(self._heard[0]) < end:
                heard.append(self._heard.popleft())
            self._finish(self._waiting.popleft(), heard)

    @property
    def _next(self) -> float:
        """When the next part begins."""
        return self._begin + self._begun * PART

    def _begin_part(self) -> None:
        """Close the part that is open, and begin the next one with the picture there is."""
        begin = self._next
        begins_segment = self._begun % round(SEGMENT / PART) == 0
        needs_init = begins_segment and self._choose_encoder()
        self._begun += 1
        self._waiting.append(self._open)
        self._open = _Part(begin, begins_segment, self._encoder, needs_init)
        self._encode(begin, is_key=begins_segment)

    def _choose_encoder(self) -> bool:
        """For the next segment. Whether it is another than for the last one."""
        self._ladder.observe(self._work / SEGMENT)
        self._work = 0.0
        quality = self._ladder.quality
        if self._encoder.quality == quality:
            return False
        self._encoder, self._letterbox, self._fitted = PictureEncoder(quality), Letterbox(quality), None
        return True

    def _encode(self, moment: float, *, is_key: bool) -> None:
        begun = self._stopwatch()
        if self._fitted is None:
            picture = codecs.black(self._encoder.quality) if self._picture is None else self._picture
            self._fitted = self._letterbox.fit(picture)
        self._open.shown.append(self._encoder.encode(self._fitted, self._ticks(moment), is_key=is_key))
        self._work += self._stopwatch() - begun

    def _finish(self, part: _Part, heard: "list[Packet[AudioStream]]") -> None:
        if part.needs_init:
            quality = part.encoder.quality
            init = codecs.init_segment(part.encoder, self._sound)
            self._emit(InitSegment(init, quality.width, quality.height))
        # Each picture stays until the next one, or until the end of its part.
        ends = [*(packet.pts or 0 for packet in part.shown[1:]), self._ticks(part.begin + PART)]
        for packet, end in zip(part.shown, ends, strict=True):
            packet.duration = end - (packet.pts or 0)
        self._emitted += 1
        body = codecs.part(part.encoder, self._sound, part.shown, heard, self._emitted)
        self._emit(EncodedPart(body, part.begin, PART, part.begins_segment))

    def _line(self, moment: float) -> float:
        """Our time on the media's line."""
        return moment - self._begin + LEAD_IN

    def _ticks(self, moment: float) -> int:
        return round(self._line(moment) * TICKS)


def _seconds(packet: "Packet[AudioStream]") -> float:
    return (packet.pts or 0) / RATE
