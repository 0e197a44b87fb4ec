"""How much longer sound is held back than the picture, before either comes out of WebRTC.

Each track has a jitter buffer of its own, whose delay follows the network: some 10 ms for pictures and 50 to 200 ms for
sound. LiveKit does not tell receivers that two tracks belong together (`sync_streams` is off), so nothing levels that
out. The buffers' own counters tell it. Pure computation.
"""

MAX_LAG = 0.25
"""Seconds; more is no jitter but a mistake."""

STEP = 0.06
"""Seconds by which what is known changes at a look: a leap would be seen and heard."""


class JitterLag:
    """Follows the counters of both buffers."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """By how much sound is later; below 0 the picture is."""
        self._is_known = False
        self._counted: dict[bool, tuple[float, int]] = {}
        self._delays: dict[bool, float] = {}

    def note(self, is_picture: bool, held_back: float, count: int) -> None:
        """What a buffer has counted since its track began: seconds that all of its `count` pieces were held back."""
        before = self._counted.get(is_picture, (0.0, 0))
        self._counted[is_picture] = (held_back, count)
        if count > before[1] and held_back >= before[0]:
            self._delays[is_picture] = (held_back - before[0]) / (count - before[1])
        if len(self._delays) == 2:
            lag = max(-MAX_LAG, min(MAX_LAG, self._delays[False] - self._delays[True]))
            step = STEP if self._is_known else MAX_LAG
            self.seconds += max(-step, min(step, lag - self.seconds))
            self._is_known = True
