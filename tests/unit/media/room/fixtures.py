"""What an avatar would send, made at once, and fed to an encoder in the order in which it would arrive."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapters.media.room.codecs import picture_of
from adapters.media.room.encoder import Encoder
from adapters.media.room.quality import Quality, QualityLadder
from adapters.media.room.segmenter import EncodedPart, InitSegment
from tests.harness import marked_avatar

TINY = Quality(96, 54, 100_000)
"""For what shall be fast: large enough for an avatar's marks."""


@dataclass
class Encoded:
    """Where an encoder puts what it makes."""

    made: list[InitSegment | EncodedPart] = field(default_factory=list)

    @property
    def parts(self) -> list[EncodedPart]:
        return [one for one in self.made if isinstance(one, EncodedPart)]

    @property
    def inits(self) -> list[InitSegment]:
        return [one for one in self.made if isinstance(one, InitSegment)]

    def media(self) -> list[bytes]:
        """What can be played, one for each init segment."""
        files: list[bytes] = []
        for one in self.made:
            if isinstance(one, InitSegment):
                files.append(b"")
            files[-1] += one.body
        return files


def encoder(encoded: Encoded, *qualities: Quality) -> Encoder:
    """One that takes no time to encode."""
    return Encoder(encoded.made.append, QualityLadder(qualities or (TINY,)), stopwatch=lambda: 0.0)


@dataclass(frozen=True)
class Picture:
    at: float
    timestamp: float
    size: tuple[int, int]
    planes: bytes
    track: int = 1

    def feed(self, encoder: Encoder) -> None:
        encoder.picture(self.at, self.timestamp, picture_of(self.planes, *self.size), self.track)


@dataclass(frozen=True)
class Sound:
    at: float
    pcm: bytes
    track: int = 1

    def feed(self, encoder: Encoder) -> None:
        encoder.sound(self.at, self.pcm, self.track)


def pictures(
    begin: float, end: float, *, fps: int = 25, size: tuple[int, int] = (96, 54), drift: float = 0.0, track: int = 1
) -> Iterator[Picture]:
    """Of a marked avatar, from `begin` to `end` of our time. drift: how much faster than ours its clock runs."""
    cached = {bright: marked_avatar.picture(*size, 0, is_bright=bright) for bright in (False, True)}
    for step in range(round(begin * fps), round(end * fps)):
        moment = step / fps
        bright = moment % 1 < marked_avatar.FLASH
        yield Picture(moment, moment * (1 + drift) + 5_000, size, cached[bright], track)


def sound(begin: float, end: float, *, drift: float = 0.0, track: int = 1) -> Iterator[Sound]:
    """Of a marked avatar. drift: how many more samples it sends in a second of ours than there should be."""
    rate = marked_avatar.RATE * (1 + drift)
    piece = marked_avatar.RATE // 50
    for step in range(round(begin * rate / piece), round(end * rate / piece)):
        samples = marked_avatar.sound(step * piece / rate, piece, rate)
        yield Sound((step + 1) * piece / rate, samples.tobytes(), track)


def feed(encoder: Encoder, *sources: Iterator[Picture] | Iterator[Sound], until: float | None = None) -> None:
    """Everything in the order in which it arrives, and the time as it passes until `until`."""
    now = 0.0
    merged: Iterator[Picture | Sound] = heapq.merge(*sources, key=lambda arrival: arrival.at)
    for arrival in merged:
        now = arrival.at
        arrival.feed(encoder)
    while until is not None and now < until:
        now += 0.1
        encoder.advance(now)
