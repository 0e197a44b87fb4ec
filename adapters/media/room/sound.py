"""The avatar's sound as one line of samples without a break: what is missing is silence, and drift is stretched away.

16 bit numbers, mono, 48,000 a second. Pure computation.
"""

import array
from collections import deque
from dataclasses import dataclass

from adapters.media.room.source_clock import Epoch, SourceClock

RATE = 48_000
"""Samples per second: what WebRTC's sound is, what AAC takes, and what a Discord voice channel wants."""

FARTHEST = round(0.06 * RATE)
"""Samples by which sound may be off its moment and is led back gently; beyond that it is cut or silence is put in."""

LEAD = 25
"""A 25th of the error is corrected in a piece of sound, and at most a 25th of the piece is added or left out."""

MAX_WAITING = 500
"""Pieces of sound that may wait for their moment: 10 seconds of 20 ms. More means that nobody takes them."""


@dataclass(slots=True)
class _Piece:
    epoch: Epoch
    begins: float
    samples: "array.array[int]"


class SoundTimeline:
    """Takes sound as it arrives, and gives it out in time."""

    def __init__(self, start: float) -> None:
        """`start`: the moment of the first sample that is given out, seconds of our time."""
        self._start = start
        self._given = 0
        self._placed: array.array[int] = array.array("h")
        self._is_silent = True
        self._waiting: deque[_Piece] = deque(maxlen=MAX_WAITING)
        self._clock = SourceClock()
        self._track: int | None = None
        self._heard = 0

    def put(self, at: float, pcm: bytes, track: int, later: float = 0.0) -> None:
        """Sound that has arrived at `at`; half a sample at its end is left out. track: tells one source from the next.
        later: seconds by which its moment is after its arrival."""
        samples = array.array("h", pcm[: len(pcm) // 2 * 2])
        if track != self._track:
            self._track, self._clock = track, SourceClock()
        begins = self._heard / RATE + later
        self._heard += len(samples)
        # It arrives once its last sample is there.
        epoch = self._clock.note(at, self._heard / RATE)
        self._waiting.append(_Piece(epoch, begins, samples))

    def take(self, until: float) -> bytes:
        """Everything from where the last call ended to `until`, by our time."""
        wanted = round((until - self._start) * RATE) - self._given
        if wanted <= 0:
            return b""
        while self._waiting and len(self._placed) < wanted:
            piece = self._waiting[0]
            begins = round((piece.begins + piece.epoch.offset - self._start) * RATE) - self._given
            if begins >= wanted and begins - len(self._placed) > FARTHEST:
                break
            self._waiting.popleft()
            self._place(piece.samples, begins - len(self._placed))
        if (missing := wanted - len(self._placed)) > 0:
            self._be_silent(missing)
        taken, self._placed = self._placed[:wanted], self._placed[wanted:]
        self._given += wanted
        return taken.tobytes()

    def _place(self, samples: "array.array[int]", error: int) -> None:
        """Put samples behind those before; `error`: how many samples later than that their moment is."""
        if error > FARTHEST or (error > 0 and self._is_silent):
            self._be_silent(error)
        elif error < -FARTHEST or (error < 0 and self._is_silent):
            samples = samples[-error:]
        else:
            most = len(samples) // LEAD
            samples = stretched(samples, len(samples) + max(-most, min(most, round(error / LEAD))))
        self._placed.extend(samples)
        self._is_silent = self._is_silent and not samples

    def _be_silent(self, samples: int) -> None:
        self._placed.frombytes(bytes(2 * samples))
        self._is_silent = True


def stretched(samples: "array.array[int]", length: int) -> "array.array[int]":
    """The same sound in so many samples, each between two of the original ones."""
    if length == len(samples) or length < 2 or len(samples) < 2:
        return samples
    step = (len(samples) - 1) / (length - 1)
    result = array.array("h", bytes(2 * length))
    for index in range(length - 1):
        before = int(index * step)
        share = index * step - before
        result[index] = round(samples[before] * (1 - share) + samples[before + 1] * share)
    result[length - 1] = samples[-1]
    return result
