"""Pictures and sound go in as they arrive, and come out as parts of HLS segments, both at the same moments.

Gaps are no errors: the last picture stays, and the sound is silent. It has no clock: what comes in says when it is.
Runs in the encoder's process alone.
"""

import time
from collections import deque
from collections.abc import Callable

import av

from adapters.media.room.pictures import PictureTimeline
from adapters.media.room.quality import QualityLadder
from adapters.media.room.segmenter import SNAP, Emit, Segmenter
from adapters.media.room.sound import SoundTimeline

DELAY = 0.25
"""Seconds between the arrival of something and its place in the output: how late the other track may be."""

FIRST_PICTURE = 1.0
"""Seconds to wait for a first picture before it begins with black ones."""

LEAP = 10.0
"""Seconds without a message, not even of the time, after which what is made here would be nothing but filling."""

MAX_EARLY = 200
"""Pieces of sound that may arrive before it begins."""


class TimeLeapt(Exception):
    """The bot stood still, as when its machine was suspended. Another encoder begins where time is now."""


class Encoder:
    """Makes the parts of one stream."""

    def __init__(self, emit: Emit, ladder: QualityLadder, stopwatch: Callable[[], float] = time.perf_counter) -> None:
        """`emit` gets what is made. `stopwatch` measures how long encoding takes, which decides the quality."""
        self._emit = emit
        self._ladder = ladder
        self._stopwatch = stopwatch
        self._first: float | None = None
        self._now = 0.0
        self._pictures: PictureTimeline[av.VideoFrame] = PictureTimeline()
        self._early_sound: deque[tuple[float, bytes, int, float]] = deque(maxlen=MAX_EARLY)
        self._running: tuple[SoundTimeline, Segmenter] | None = None

    def picture(self, at: float, timestamp: float, picture: av.VideoFrame, track: int, later: float = 0.0) -> None:
        """A picture has arrived at `at`, of its source's time `timestamp`. track: tells one source from the next.
        later: seconds after `at` at which it is to be shown (`MediaSink`)."""
        self._pictures.put(at, timestamp, picture, track, later)
        self.advance(at)

    def sound(self, at: float, pcm: bytes, track: int, later: float = 0.0) -> None:
        """Sound has arrived, its last sample at `at`."""
        if self._running is None:
            self._early_sound.append((at, pcm, track, later))
        else:
            self._running[0].put(at, pcm, track, later)
        self.advance(at)

    def advance(self, now: float) -> None:
        """It is `now`: make what can be made by now. Raises `TimeLeapt`."""
        if self._first is None:
            self._first = self._now = now
        if now - self._now > LEAP:
            raise TimeLeapt(f"by {now - self._now:.0f} seconds")
        self._now = now
        horizon = now - DELAY
        due = self._pictures.due(horizon)
        if self._running is None:
            if not due and now < self._first + FIRST_PICTURE:
                return
            self._running = self._begin(*due[0]) if due else self._begin(horizon, None)
        sound, segmenter = self._running
        for moment, picture in due:
            segmenter.show(moment, picture)
        segmenter.fill(horizon - SNAP)
        segmenter.hear(sound.take(horizon))

    def _begin(self, moment: float, picture: av.VideoFrame | None) -> tuple[SoundTimeline, Segmenter]:
        if picture is not None:
            self._ladder.fit(picture.height)
        sound = SoundTimeline(moment)
        for piece in self._early_sound:
            sound.put(*piece)
        self._early_sound.clear()
        return sound, Segmenter(moment, picture, self._ladder, self._emit, self._stopwatch)
