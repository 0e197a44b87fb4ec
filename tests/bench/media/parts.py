"""The parts of the measurements of pictures, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.encode import measure_encode
from tests.bench.figures import Figure
from tests.bench.media.relay import measure_relay
from tests.bench.media.room import measure_room
from tests.bench.media.scale import Scale
from tests.bench.media.voice import measure_voice


@dataclass(frozen=True)
class Part:
    """One part. `about`: what it measures, for people."""

    about: str
    measure: Callable[[Scale], list[Figure]]


PARTS = {
    "relay": Part("a provider's HLS, handed on", measure_relay),
    "room": Part("a room, encoded, and served to many", measure_room),
    "voice": Part("a voice channel", measure_voice),
    "encode": Part("a room, encoded", lambda scale: measure_encode(scale.seconds, scale.settle)),
}
