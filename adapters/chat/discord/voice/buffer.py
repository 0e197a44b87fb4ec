"""Between the avatar's sound, which comes in the event loop and unevenly, and a player, whose thread wants a piece
every 20 ms and must never wait for one. At most 1.5 s; silence where there is nothing; no click where sound begins or
ends.

Pure but for a lock that is held for microseconds. Knows no Discord.
"""

import array
import threading
from collections import deque

from bot.core.sound import FRAME, RATE, is_quiet

LIMIT = 1.5
"""Seconds of sound that it holds at the most: beyond that the oldest is left out."""

FADE = 0.01
"""Seconds in which sound fades in, and out where it is cut."""

_FADE_SAMPLES = round(FADE * RATE)

WINDOW = 3.0
"""Seconds over which it is seen how much is always waiting: more than the source's own unevenness is only delay."""

SLACK = 0.1
"""Seconds of that which are left alone."""

_LIMIT_PIECES, _WINDOW_PIECES, _SLACK_PIECES = round(LIMIT / FRAME), round(WINDOW / FRAME), round(SLACK / FRAME)


class VoiceBuffer:
    """Pieces of `bot.core.sound` in, pieces out. `put` and `cut` in the event loop, `take` in the player's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: deque[bytes] = deque()
        self._lead = 0
        """Pieces of time for which the first one after silence is held back."""
        self._held = 0
        self._flows = False
        self._jumps = False
        """Whether the next piece does not go on where the last one ended."""
        self._last = 0
        """The last sample that was given out."""
        self._least, self._looks, self._surplus = _LIMIT_PIECES, 0, 0

    def __len__(self) -> int:
        """How many pieces wait."""
        return len(self._pieces)

    def put(self, pcm: bytes, lead: float) -> None:
        """The next piece, and by how many seconds those after it may be late (`Sound.lead`)."""
        with self._lock:
            self._lead = round(lead / FRAME)
            self._pieces.append(pcm)
            if len(self._pieces) > _LIMIT_PIECES:
                self._pieces.popleft()
                self._jumps = True

    def cut(self) -> None:
        """Forget what waits; what is being heard fades out."""
        with self._lock:
            self._pieces.clear()
            self._rest()

    def take(self) -> bytes | None:
        """The next piece to be heard; None is silence."""
        with self._lock:
            if not self._flows and self._pieces:
                self._held += 1
                if self._held > self._lead:
                    self._flows = self._jumps = True
            if not self._flows:
                return self._faded_out()
            self._leave_out_silence()
            if not self._pieces:
                self._rest()
                return self._faded_out()
            piece = self._pieces.popleft()
            if is_quiet(piece):
                return self._faded_out()
            if self._jumps:
                piece = _led_in(piece, self._last)
            self._jumps = False
            self._last = int.from_bytes(piece[-2:], "little", signed=True)
            return piece

    def _rest(self) -> None:
        """Nothing flows: what comes next is held back first."""
        self._flows, self._held = False, 0
        self._least, self._looks, self._surplus = _LIMIT_PIECES, 0, 0

    def _leave_out_silence(self) -> None:
        """Catch up where more waits than has to, in what nobody misses: half of a pause."""
        self._least = min(self._least, len(self._pieces))
        self._looks += 1
        if self._looks >= _WINDOW_PIECES:
            self._surplus = max(0, self._least - self._lead - _SLACK_PIECES)
            self._least, self._looks = _LIMIT_PIECES, 0
        if self._surplus and len(self._pieces) > 1 and is_quiet(self._pieces[0]):
            self._pieces.popleft()
            self._surplus -= 1

    def _faded_out(self) -> bytes | None:
        """Silence; where sound was before, after a piece that leads there."""
        last, self._last = self._last, 0
        self._jumps = True
        if last == 0:
            return None
        samples = array.array("h", bytes(2 * round(RATE * FRAME)))
        for place in range(_FADE_SAMPLES):
            samples[place] = last * (_FADE_SAMPLES - place) // _FADE_SAMPLES
        return samples.tobytes()


def _led_in(piece: bytes, last: int) -> bytes:
    """A piece that begins at the sample before it, and is itself after a moment."""
    samples = array.array("h", piece)
    for place in range(min(_FADE_SAMPLES, len(samples))):
        samples[place] = (samples[place] * place + last * (_FADE_SAMPLES - place)) // _FADE_SAMPLES
    return samples.tobytes()


def in_stereo(piece: bytes) -> bytes:
    """The same in both ears."""
    mono = array.array("h", piece)
    both = array.array("h", bytes(2 * len(piece)))
    both[0::2] = both[1::2] = mono
    return both.tobytes()
