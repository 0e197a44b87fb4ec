"""How far the avatar's voice is behind the text it was given: an estimate, put right by the words that are heard.

Pure reckoning on the clock: nothing waits, nothing is sent, no timer is set.
"""

from bot.core.ports import Clock


class Voice:
    """The voice of one session, whatever stream it speaks through.

    talking: it has something to say. said_until: when it has said everything, seconds on the clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given = 0
        self._heard = 0
        self._seconds = 0.0
        self.talking = False
        self.said_until = 0.0

    @property
    def unsaid(self) -> float:
        """Seconds until it has said everything; below 0 where that is over."""
        return self.said_until - self._clock.monotonic()

    def give(self, characters: int, seconds: float) -> None:
        """It was given so much more to say, which takes it `seconds`."""
        self.talking = True
        self.said_until = max(self._clock.monotonic(), self.said_until) + seconds
        self._given += characters
        self._seconds += seconds

    def hear(self, characters: int) -> None:
        """It has said so much more. An estimate that is off by a little in each sentence would leave gaps in a long
        speech, or run away from it."""
        self._heard = min(self._given, self._heard + characters)
        if self._given:
            self.said_until = self._clock.monotonic() + self._seconds * (1 - self._heard / self._given)

    def go_on_with(self, characters: int, seconds: float) -> None:
        """It begins with what it was given last; everything before is said."""
        self._given, self._heard, self._seconds = characters, 0, seconds
        self.said_until = self._clock.monotonic() + seconds

    def fall_silent(self) -> None:
        """It says nothing more."""
        self._given, self._heard, self._seconds = 0, 0, 0.0
        self.talking = False
        self.said_until = self._clock.monotonic()
