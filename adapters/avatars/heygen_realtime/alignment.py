"""Finds in the words an avatar says where each utterance begins and ends.

The word timestamps of v3 name no message: what was sent and what is heard must be matched. Heard and sent differ
(speech turns "5" into "five", splits "don't", skips an emoji), so letters are compared instead of words, a little
further ahead than expected, and what cannot be found is passed over. Where the last words never match, an utterance
ends by estimate.

Pure bookkeeping: times come in as arguments, seconds of `Clock.monotonic`; nothing waits, and nothing is awaited.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bot.core.models import Word
from bot.core.ports import SpeechEnded, SpeechStarted

WINDOW = 6
"""Words (characters, in scripts without spaces) that are looked at beyond the next expected one. Enough for a number
written in digits or a skipped name; few enough that a frequent word does not pull everything forward."""

GRACE = 2.0
"""Seconds added to an estimated end, so that an estimate does not cut off a slow voice."""

START_PATIENCE = 8.0
"""Seconds an utterance is given to begin; 2.5 to 3.6 s from text to speech were reported for the vendor's older API."""

SLACK = 0.002
"""Seconds by which a timer may fire early and still count as on time."""

MAX_EXPECTED = 64
"""Utterances kept per stream; the core sends one ahead, so only a reader that went away lets them pile up."""

MAX_CAPTIONS = 4096

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Han: no spaces between words, so every character may begin one."""

_APOSTROPHES = "'\u2019\u02bc"


class HeardWord(NamedTuple):
    """A word as the provider reports it; seconds from the start of the streamed audio."""

    text: str
    start: float
    end: float


def letters_of(text: str) -> str:
    """What is compared: letters and digits without case, accents and punctuation."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LN")


@dataclass(slots=True)
class _Utterance:
    id: str
    ready_at: float
    """When its last fragment was sent, or the utterance before it ended."""
    letters: str = ""
    starts: list[int] = field(default_factory=list)
    """Where in `letters` words begin."""
    inside_word: bool = False
    heard: int = 0
    """How many of `letters` have been said, or were passed over."""
    seconds: float = 0.0
    """How long it takes to say, by estimate."""
    final: bool = False
    began_at: float | None = None
    last_heard: float | None = None
    over_at: float | None = None
    started: bool = False

    def add(self, text: str) -> None:
        for character in unicodedata.normalize("NFKD", text).casefold():
            match unicodedata.category(character)[0]:
                case "L" | "N":
                    unspaced = _UNSPACED.match(character) is not None
                    if unspaced or not self.inside_word:
                        self.starts.append(len(self.letters))
                    self.letters += character
                    self.inside_word = True
                    # About 14 letters, 4 Han characters or 3 digits a second, at an ordinary pace of speech.
                    self.seconds += 0.25 if unspaced else 0.35 if character.isdigit() else 0.07
                case "M":
                    pass
                case _:
                    self.inside_word = self.inside_word and character in _APOSTROPHES

    def find(self, letters: str) -> int | None:
        """Where `letters` end, if they come next or a little later; None otherwise."""
        if self.letters.startswith(letters, self.heard):
            return self.heard + len(letters)
        first = bisect_right(self.starts, self.heard)
        for start in self.starts[first : first + WINDOW]:
            end = start + len(letters)
            if self.letters.startswith(letters, start) and self._is_border(end):
                return end
        return None

    def is_nearly_over(self, at: float) -> bool:
        """Whether the next utterance may be heard at `at` although words of this one are missing."""
        missing = len(self.starts) - bisect_left(self.starts, self.heard)
        late = self.began_at is not None and at > self.began_at + 1.5 * self.seconds
        return self.final and (missing <= WINDOW or late)

    def remaining(self) -> float:
        return self.seconds * (1 - self.heard / len(self.letters)) if self.letters else 0.0

    def _is_border(self, position: int) -> bool:
        if position == len(self.letters):
            return True
        index = bisect_left(self.starts, position)
        return index < len(self.starts) and self.starts[index] == position


class SpeechAligner:
    """What one stream was given to say, and how far it has come."""

    def __init__(self, *, adopted: bool) -> None:
        """`adopted`: another process opened the stream, so words come that nobody here knows, and when the audio began
        must be estimated from the words."""
        self._adopted = adopted
        self._expected: deque[_Utterance] = deque(maxlen=MAX_EXPECTED)
        self._anything_sent = False
        self._zero: float | None = None
        self._zero_is_known = False
        self._epoch = 0.0
        self._newest_start = float("-inf")
        self._newest_texts: set[str] = set()
        self._captions: deque[Word] = deque(maxlen=MAX_CAPTIONS)

    def streaming_since(self, now: float, epoch: float) -> None:
        """The audio was seen to run at `now`, which is `epoch` in UTC seconds. Only the first time counts."""
        if not self._zero_is_known:
            self._set_zero(now if self._zero is None else min(self._zero, now), now, epoch)
            self._zero_is_known = True

    def expect(self, utterance_id: str, text: str, now: float, *, final: bool) -> None:
        """`text` is on its way to the provider. A later call with the same id adds to the utterance."""
        self._anything_sent = True
        newest = self._expected[-1] if self._expected else None
        if newest is None or newest.id != utterance_id:
            if newest is not None:
                self._finish(newest)
            newest = _Utterance(utterance_id, now)
            self._expected.append(newest)
        newest.add(text)
        newest.ready_at = max(newest.ready_at, now)
        newest.over_at = None
        if final:
            self._finish(newest)

    def withdraw(self, utterance_id: str) -> None:
        """The provider surely did not take the newest text of an utterance; what it took before is its end."""
        if self._expected and self._expected[-1].id == utterance_id:
            newest = self._expected[-1]
            if newest.began_at is None and newest.heard == 0:
                self._expected.pop()
            else:
                self._finish(newest)

    def hear(self, words: Sequence[HeardWord], now: float, epoch: float) -> None:
        """Words arrived, at `now` (`epoch` in UTC seconds). Ones that were reported before are passed over."""
        fresh = [word for word in words if self._is_new(word)]
        if not fresh:
            return
        if not self._zero_is_known and (self._zero is None or now - fresh[0].start < self._zero):
            # Words arrive when they are said, or later: the earliest beginning that fits is the best guess.
            self._set_zero(now - fresh[0].start, now, epoch)
        if self._adopted and not self._anything_sent:
            return
        zero = self._zero or 0.0
        for word in fresh:
            start, end = zero + word.start, zero + word.end
            self._captions.append(Word(word.text, self._epoch + word.start, self._epoch + word.end))
            letters = letters_of(word.text)
            if letters:
                self._match(letters, start, end)

    def captions(self) -> tuple[Word, ...]:
        """The words heard since the last call."""
        words = tuple(self._captions)
        self._captions.clear()
        return words

    def due(self, now: float) -> list[SpeechStarted | SpeechEnded]:
        """What has happened by `now` and was not told yet, in order."""
        happened: list[SpeechStarted | SpeechEnded] = []
        while self._expected:
            first = self._expected[0]
            over_at = self._over_at(first)
            is_over = over_at is not None and over_at <= now + SLACK
            if not first.started and (is_over or (first.began_at is not None and first.began_at <= now + SLACK)):
                first.started = True
                began_at = now if first.began_at is None else first.began_at
                happened.append(SpeechStarted(first.id, max(0.0, now - began_at)))
            if over_at is None or not is_over:
                break
            happened.append(SpeechEnded(first.id))
            self._expected.popleft()
            if self._expected:
                self._expected[0].ready_at = max(self._expected[0].ready_at, over_at)
        return happened

    def next_due(self) -> float | None:
        """When `due` will next have something to tell, if nothing else is heard."""
        if not self._expected:
            return None
        first = self._expected[0]
        moments = [self._over_at(first), None if first.started else first.began_at]
        return min((moment for moment in moments if moment is not None), default=None)

    def _set_zero(self, zero: float, now: float, epoch: float) -> None:
        self._zero = zero
        self._epoch = epoch - now + zero

    def _is_new(self, word: HeardWord) -> bool:
        """A stream of words starts again on every connection, so only times tell what was reported already."""
        if word.start < self._newest_start or (word.start == self._newest_start and word.text in self._newest_texts):
            return False
        if word.start > self._newest_start:
            self._newest_start = word.start
            self._newest_texts.clear()
        self._newest_texts.add(word.text)
        return True

    def _match(self, letters: str, start: float, end: float) -> None:
        for position, utterance in enumerate(self._expected):
            found = utterance.find(letters) if utterance.over_at is None else None
            if found is not None:
                for earlier in list(self._expected)[:position]:
                    earlier.over_at = start if earlier.over_at is None else min(earlier.over_at, start)
                utterance.heard = found
                utterance.began_at = start if utterance.began_at is None else utterance.began_at
                utterance.last_heard = end
                self._complete(utterance)
                return
            if utterance.over_at is None and not utterance.is_nearly_over(start):
                break
        # Nobody's word shows at least that the avatar is still speaking.
        speaking = next((u for u in self._expected if u.over_at is None and u.began_at is not None), None)
        if speaking is not None:
            speaking.last_heard = end

    def _finish(self, utterance: _Utterance) -> None:
        utterance.final = True
        self._complete(utterance)

    def _complete(self, utterance: _Utterance) -> None:
        if utterance.final and utterance.letters and utterance.heard == len(utterance.letters):
            utterance.over_at = utterance.last_heard

    def _over_at(self, utterance: _Utterance) -> float | None:
        """When the utterance ends: the end of its last word, or else an estimate; None while more text is to come."""
        if utterance.over_at is not None:
            return utterance.over_at
        if not utterance.final or (self._zero is None and not self._adopted):
            return None
        if utterance.last_heard is not None:
            return utterance.last_heard + utterance.remaining() + GRACE
        ready_at = utterance.ready_at if self._adopted or self._zero is None else max(utterance.ready_at, self._zero)
        return ready_at + utterance.seconds + GRACE + (START_PATIENCE if utterance.letters else 0.0)
