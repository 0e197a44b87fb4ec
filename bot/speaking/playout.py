"""What the provider was given to say, in its order: the item being said, the one sent ahead, and how far the voice is.

Pure state on the clock: nothing here waits, sends, or writes anything down.
"""

from bot.core.ports import Clock
from bot.speaking.item import SpeechItem
from bot.streams.spoken_time import SpokenTime


class PlaybackEstimate:
    """The voice of one session, whatever stream it speaks through.

    talking: it has something to say. said_until: when it has said everything, seconds on the clock. spoken: counts
    what was really said.
    """

    def __init__(self, clock: Clock, spoken: SpokenTime) -> None:
        self._clock = clock
        self.spoken = spoken
        self._given = 0
        self._heard = 0
        self._seconds = 0.0
        self.talking = False
        self.said_until = 0.0

    @property
    def remaining(self) -> float:
        """Seconds until it has said everything; below 0 where that is over."""
        return self.said_until - self._clock.monotonic()

    def give(self, characters: int, seconds: float) -> None:
        """It was given so much more to say, which takes it `seconds`."""
        self.talking = True
        self.said_until = max(self._clock.monotonic(), self.said_until) + seconds
        self._given += characters
        self._seconds += seconds
        self.spoken.expect(self.said_until)

    def advance(self, characters: int) -> None:
        """It has said so much more. An estimate that is off by a little in each sentence would leave gaps in a long
        speech, or run away from it."""
        self._heard = min(self._given, self._heard + characters)
        if self._given:
            self.said_until = self._clock.monotonic() + self._seconds * (1 - self._heard / self._given)
            self.spoken.correct(self.said_until)

    def switch_to(self, characters: int, seconds: float) -> None:
        """It begins with what it was given last; everything before is said."""
        self._given, self._heard, self._seconds = characters, 0, seconds
        self.said_until = self._clock.monotonic() + seconds
        self.spoken.expect(self.said_until)

    def talk_until(self, moment: float) -> None:
        """It says what it has to say until `moment`, seconds on the clock, at least."""
        self.said_until = max(moment, self.said_until)
        self.spoken.expect(self.said_until, is_surely_heard=True)

    def reset(self) -> None:
        """It says nothing more."""
        self.spoken.cut()
        self._given, self._heard, self._seconds = 0, 0, 0.0
        self.talking = False
        self.said_until = self._clock.monotonic()


class Playout:
    """The items whose turn has come.

    current: it is being said, or about to be. ahead: sent while `current` is being said, so that no dead air follows.
    in_doubt: it was sent ahead, and when all was cut, nothing told whether it had begun; it must not be said again.
    """

    def __init__(self, clock: Clock, spoken: SpokenTime) -> None:
        """`spoken` is told what the voice does."""
        self._clock = clock
        self._voice = PlaybackEstimate(clock, spoken)
        self._last_said: SpeechItem | None = None
        self.current: SpeechItem | None = None
        self.ahead: SpeechItem | None = None
        self.in_doubt: SpeechItem | None = None

    @property
    def unsaid(self) -> float:
        """Seconds until the voice has said all it was given, by estimate; below 0 where that is over."""
        return self._voice.remaining

    @property
    def silent_at(self) -> float:
        """When the voice has said all it was given, by estimate; seconds on the clock."""
        return self._voice.said_until

    @property
    def last_said(self) -> SpeechItem | None:
        """The item that was said last, to its end."""
        return self._last_said

    @property
    def is_talking(self) -> bool:
        """Whether the voice still has something to say of what it was given."""
        return self._voice.talking

    def begin(self, item: SpeechItem) -> None:
        """An item's turn has come; there must be no current one."""
        self.current = item

    def follow_with(self, item: SpeechItem) -> None:
        """An item is sent ahead; the current one must be complete."""
        self.ahead = item

    def find(self, utterance_id: str) -> SpeechItem | None:
        """The item of an utterance that was given to the provider, the one said last included."""
        for item in (self.current, self.ahead, self._last_said):
            if item is not None and item.utterance.id == utterance_id:
                return item
        return None

    def give(self, item: SpeechItem, text: str, seconds: float) -> None:
        """The provider has taken `text` of an item, which it says for `seconds`."""
        if item is self.current:
            self._voice.spoken.pause()
        self._voice.give(len(text), seconds)
        item.characters += len(text)
        item.seconds += seconds
        item.said_until = self._voice.said_until

    def hear_begin(self, ago: float = 0.0) -> None:
        """The first word of the current item is heard, or was so many seconds ago."""
        self._voice.spoken.begin(ago)

    def hear_end(self) -> None:
        """The last word of what was said is heard."""
        self._voice.spoken.end_as_told()

    def hear(self, characters: int) -> None:
        """The voice has said so much more of the current item."""
        self._voice.advance(characters)

    def end_chunk(self) -> bool:
        """All that was given of the current item is said. Returns whether that was the whole item."""
        self._voice.talking = False
        self._voice.spoken.end()
        return self.current is not None and self.current.is_complete and self.current.sent

    def end_current(self) -> SpeechItem | None:
        """The current item is said, and the one sent ahead begins. Returns what is said."""
        item, self.current, self.ahead = self.current, self.ahead, None
        self._voice.spoken.end()
        if self.current is None:
            self._voice.reset()
        else:
            self._voice.switch_to(self.current.characters, self.current.seconds)
            self._voice.talking = True
        if item is not None:
            self._last_said = item
        return item

    def cut(self) -> SpeechItem:
        """Nothing more is said of the current item, which is returned; there must be one. The one sent ahead stays to
        be taken back, or is in doubt."""
        assert self.current is not None  # noqa: S101 - the callers have looked
        item, self.current = self.current, None
        # Without a word from the provider only time tells where its voice was.
        if self.ahead is not None and not item.heard and item.said_until <= self._clock.monotonic():
            self.in_doubt, self.ahead = self.ahead, None
        self._voice.reset()
        return item

    def talk_until(self, moment: float) -> None:
        """The voice was not cut after all: it is silent at `moment`, seconds on the clock."""
        self._voice.talk_until(moment)

    def reset(self) -> None:
        """The voice was cut."""
        self._voice.reset()

    def take_back(self) -> SpeechItem | None:
        """The item sent ahead, as if it had never been sent; it is no longer here."""
        item, self.ahead = self.ahead, None
        if item is not None:
            item.chunks.clear()
            item.sent = False
        return item

    def take_doubtful(self) -> SpeechItem | None:
        """The item in doubt; it is no longer here."""
        item, self.in_doubt = self.in_doubt, None
        return item

    def remove(self, item: SpeechItem) -> None:
        """Have no more to do with an item that was not taken, wherever it is."""
        if item is self.ahead:
            self.ahead = None
        elif item is self.current:
            self.current = None
            self._voice.spoken.lose()
