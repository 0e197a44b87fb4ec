"""The parts of the measurements of pictures, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.encode import measure_encode
from tests.bench.figures import Figure
from tests.bench.media.relay import measure_relay
from tests.bench.media.scale import Scale


@dataclass(frozen=True)
class Part:
    """One part. `about`: what it measures, for people."""

    about: str
    measure: Callable[[Scale], list[Figure]]


PARTS = {
    "relay": Part("a provider's HLS, handed on", measure_relay),
    "encode": Part("a room, encoded", lambda scale: measure_encode(scale.seconds, scale.settle)),
}
