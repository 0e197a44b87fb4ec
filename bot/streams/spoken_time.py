"""For how long the voice of a stream was heard: as the provider's events tell, by the estimate where they do not.

Pure state on the clock, told by `bot.speaking.playout` what the voice does. What is counted is not exact: an estimate
may be off, and pauses between words count as speech.
"""

from bot.core.ports import Capabilities, Clock


class SpokenTime:
    """The speech of the open stream of one session, however many sentences that is.

    The voice is on from the moment it is expected to speak until it is expected to be silent, or from its first word to
    its last where events tell those.
    """

    def __init__(self, clock: Clock, capabilities: Capabilities) -> None:
        self._clock = clock
        self._reports_speech = capabilities.reports_speech
        self._confirms_text = capabilities.confirms_text
        self._past = 0.0
        self._since: float | None = None
        self._expected_since = 0.0
        self._until = 0.0
        self._silent_since = clock.monotonic()
        self._is_heard = False
        self._end_is_told = False

    @property
    def seconds(self) -> float:
        """Seconds of speech so far."""
        return self._past + (self._running if self._is_heard else 0.0)

    def resume(self, seconds: float) -> None:
        """The stream is one that an earlier process opened, which has noted so many seconds."""
        self._past += seconds

    def expect(self, until: float, *, is_surely_heard: bool = False) -> None:
        """The voice has something to say from now on, and is silent at `until` by estimate, seconds on the clock.
        `is_surely_heard`: no event is waited for that would say that it has begun."""
        if self._since is None:
            self._since = self._expected_since = self._clock.monotonic()
            self._is_heard = is_surely_heard or not self._reports_speech
            self._end_is_told = False
        self._until = until

    def correct(self, until: float) -> None:
        """The voice is silent at `until`, as far as one knows now."""
        self._until = until

    def begin(self, ago: float = 0.0) -> None:
        """The first word is heard, or was `ago` seconds before: what was expected until then was the wait for it."""
        if self._since is None or not self._end_is_told:
            self._since = max(self._silent_since, self._clock.monotonic() - ago)
        self._is_heard = self._end_is_told = True

    def end(self) -> None:
        """All that was given is said, by estimate, or because the next one is heard. Where nothing confirms that a text
        has arrived and nothing was heard of it, it was not said."""
        self._stop(min(self._clock.monotonic(), self._until), counts=self._is_heard or self._confirms_text)

    def end_as_told(self) -> None:
        """The last word was heard."""
        now = self._clock.monotonic()
        if self._since == now:
            # Beginning and end in one moment: no word was heard, and the provider's client has estimated the end.
            self._since, self._end_is_told = self._expected_since, False
        self._stop(now if self._end_is_told else min(now, self._until), counts=True)

    def cut(self) -> None:
        """The voice is silent from now on. Where events would have told that it had begun, and did not, it had not."""
        now = self._clock.monotonic()
        self._stop(now if self._end_is_told else min(now, self._until), counts=self._is_heard)

    def pause(self) -> None:
        """More of what is being said comes only now: if the voice had run dry, it was silent meanwhile."""
        now = self._clock.monotonic()
        if self._since is not None and self._until < now:
            end_is_told = self._end_is_told
            self._stop(self._until, counts=self._is_heard or self._confirms_text)
            if end_is_told:
                # The events tell of the whole utterance: there is no second beginning.
                self._since = self._expected_since = now
                self._is_heard = self._end_is_told = True

    def lose(self) -> None:
        """What is being said is nobody's any more: from now on only the estimate tells when it ends."""
        self._end_is_told = False

    def take(self) -> float:
        """The stream is over: its seconds of speech. The next stream begins with none."""
        self.cut()
        seconds, self._past = self._past, 0.0
        return seconds

    @property
    def _running(self) -> float:
        if self._since is None:
            return 0.0
        now = self._clock.monotonic()
        return max(0.0, (now if self._end_is_told else min(now, self._until)) - self._since)

    def _stop(self, at: float, *, counts: bool) -> None:
        if self._since is not None and counts:
            self._past += max(0.0, at - self._since)
            self._silent_since = at
        self._since = None
        self._is_heard = self._end_is_told = False
