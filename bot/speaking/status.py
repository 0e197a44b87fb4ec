"""How a session's speech is doing, for those who decide how long its stream and the session stay, and for what people
are shown. Only looks at the parts of a speaker, which alone writes the marks here; says and sends nothing.
"""

from collections import deque

from bot.core.audience import Audience
from bot.core.models import Mode
from bot.core.ports import Capabilities, Clock
from bot.speaking.chunks import Chunker
from bot.speaking.item import SpeechItem, StateRecorder
from bot.speaking.playout import Playout
from bot.speaking.queue import SpeechQueue
from bot.streams.streams import SessionStream

LATE_ANSWER = 2.0
"""Seconds after its last word in which the avatar's own answer may still be told (`AnswerHeard`). Our choice; nobody
says how late it may be."""


class SpeechStatus:
    """What may be known of one speaker.

    arrived: items that are not in the queue yet. is_paused: what waits is held after an interrupt. is_backing_off: it
    is, until the next attempt. lacks_viewer: the provider said that nobody watches. refusals: how often in a row it
    opened no stream. wanted_at: when somebody last wanted the avatar to stay, seconds on the clock.
    """

    def __init__(
        self,
        clock: Clock,
        capabilities: Capabilities,
        stream: SessionStream,
        queue: SpeechQueue,
        playout: Playout,
        chunker: Chunker,
        states: StateRecorder,
        audience: Audience,
    ) -> None:
        self._capabilities = capabilities
        self._stream = stream
        self._queue = queue
        self._playout = playout
        self._chunker = chunker
        self._states = states
        self._audience = audience
        self.arrived: deque[SpeechItem] = deque()
        self.is_paused = False
        self.is_backing_off = False
        self.lacks_viewer = False
        self.refusals = 0
        self.wanted_at = clock.monotonic()

    @property
    def is_busy(self) -> bool:
        """Whether something is being said, or is about to be, or waits for a viewer or a stream; an answer that is only
        being waited for is not."""
        current = self._playout.current
        if current is None:
            return self.is_blocked and bool(self._queue)
        return current.sent or not current.waits_for_answer

    @property
    def is_blocked(self) -> bool:
        """Whether nothing can be said now that waits: nobody is there to hear it, or no stream can be opened."""
        return not self.is_paused and (self._audience.is_missing or self.is_refused)

    @property
    def is_refused(self) -> bool:
        """Whether what waits does so because the provider opens no stream now."""
        return self.refusals > 0

    @property
    def is_cut_short(self) -> bool:
        """Whether the rest of what is being said waits for somebody who hears it."""
        current = self._playout.current
        return self._audience.is_missing and current is not None and current.sent and not current.is_complete

    @property
    def waits_for_viewer(self) -> bool:
        """Whether something is said as soon as somebody watches."""
        has_unsaid = bool(self._queue or self.arrived) or self.is_cut_short
        return self.lacks_viewer or (self._audience.is_missing and not self.is_paused and has_unsaid)

    @property
    def is_talking_on(self) -> bool:
        """Whether the avatar is heard although all was to be cut: an interrupt failed."""
        return self._playout.current is None and self._playout.unsaid > 0

    @property
    def waiting(self) -> int:
        """How many utterances have not begun to be said."""
        return len(self.arrived) + len(self._queue) + (self._playout.ahead is not None)

    @property
    def last_activity(self) -> float:
        """When an utterance last came or ended, or somebody wanted the avatar to stay; seconds on the clock."""
        return max(self.wanted_at, self._states.finished_at)

    @property
    def silent_since(self) -> float | None:
        """From when on there is nothing to say, seconds on the clock; later than now while the avatar talks on although
        it was to be cut, or its answer may still be told. None while something is being said, waits, is being answered,
        or is held after an interrupt: whoever holds it is about to go on, and the idle time bounds what that costs."""
        if self._playout.current is not None or self.waiting:
            return None
        silent_since = max(self._states.finished_at, self._playout.silent_at)
        said = self._playout.last_said
        if said is not None and said.utterance.mode is Mode.CHAT and self._capabilities.chat and said.answer is None:
            silent_since += LATE_ANSWER
        return silent_since

    @property
    def unheard_since(self) -> float | None:
        """From when on nothing is said to nobody, seconds on the clock, where it is not known to be later; None while
        what the provider has is said to its end."""
        current = self._playout.current
        if current is not None and current.sent and current.is_complete:
            return None
        return self._playout.silent_at

    def may_begin_at_once(self, mode: Mode) -> bool:
        """Whether nothing is before an utterance that is taken now: no other one, no pause after an attempt, no answer
        that has to be written first, no voice that could not be cut, no stream that is to be opened without it, nobody
        to wait for."""
        if self._audience.is_missing:
            return False
        if self._stream.current is None and not self._capabilities.requires_initial_text:
            return False
        is_free = self._playout.current is None and not (self._queue or self.arrived)
        return is_free and not (self.is_backing_off or self.is_talking_on or self._chunker.needs_answer(mode))
