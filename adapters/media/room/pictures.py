"""The avatar's pictures, each at its moment: in order, not too close to each other, and never too many. Pure
computation; it knows nothing of what a picture is made of."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.media.room.source_clock import Epoch, SourceClock

CLOSEST = 0.025
"""Seconds between two pictures: 30 a second pass with the unevenness of their arrival, of 60 every second one."""

MAX_WAITING = 20
"""Pictures that may wait for their moment: two thirds of a second at 30 a second. The oldest are left out."""

Picture = TypeVar("Picture")


@dataclass(slots=True)
class _Waiting(Generic[Picture]):
    epoch: Epoch
    timestamp: float
    picture: Picture


class PictureTimeline(Generic[Picture]):
    """Takes pictures as they arrive, and gives them out in time."""

    def __init__(self) -> None:
        self._clock = SourceClock()
        self._track: int | None = None
        self._waiting: deque[_Waiting[Picture]] = deque(maxlen=MAX_WAITING)
        self._last_put = self._last = float("-inf")

    def put(self, at: float, timestamp: float, picture: Picture, track: int, later: float = 0.0) -> None:
        """A picture that has arrived at `at`, with its source's own `timestamp`, both in seconds. track: tells one
        source from the next. later: seconds by which its moment is after its arrival."""
        if track != self._track:
            self._track, self._clock, self._last_put = track, SourceClock(), float("-inf")
        epoch = self._clock.note(at, timestamp)
        if not 0 <= timestamp - self._last_put < CLOSEST:
            self._last_put = timestamp
            self._waiting.append(_Waiting(epoch, timestamp + later, picture))

    def due(self, until: float) -> list[tuple[float, Picture]]:
        """The pictures from where the last call ended to `until`, each with its moment, in order."""
        found: list[tuple[float, Picture]] = []
        while self._waiting:
            first = self._waiting[0]
            moment = first.timestamp + first.epoch.offset
            if moment > until:
                break
            self._waiting.popleft()
            # One that comes too late is shown now, if nothing was shown just before.
            if moment >= self._last + CLOSEST:
                self._last = moment
                found.append((moment, first.picture))
        return found
