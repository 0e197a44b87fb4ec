"""The sound of an avatar apart from its picture: what a source gives, and what an outlet takes.

Values and protocols only. There is one form of sound: 16 bit samples, little endian, mono, 48,000 a second, in pieces
of 20 ms. That is what WebRTC brings and what voice channels want.
"""

import array
from dataclasses import dataclass
from typing import Protocol

RATE = 48_000
"""Samples per second."""
FRAME = 0.02
"""Seconds of one piece."""
FRAME_BYTES = round(RATE * FRAME) * 2

QUIET = 64
"""The largest sample of what counts as silence, of 32,767: 54 dB below the loudest. Our choice; the noise floor that
AAC leaves of silence is below 20."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of sound.

    at: when it was made at the source, seconds on the clock, as far as anybody knows; never later than now.
    lead: seconds by which the next pieces may be late, so who plays them waits so long before the first.
    """

    pcm: bytes
    at: float
    lead: float

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to hear in it."""
        return is_quiet(self.pcm)


class Listener(Protocol):
    """Somebody who hears a session: an outlet. Called in the event loop; must not wait and must not raise."""

    def hear(self, sound: Sound) -> None:
        """The next piece. Where nothing is heard nothing may come: gaps are silence."""

    def hush(self) -> None:
        """Speech was cut: what was handed over and not played yet is not to be heard any more."""


def is_quiet(pcm: bytes) -> bool:
    """Whether there is nothing to hear in these samples."""
    samples = array.array("h", pcm)
    return not samples or (max(samples) <= QUIET and min(samples) >= -QUIET)
