"""What is sent next, and when: the order of a session's items, how far text may be ahead of the voice, and how long an
answer that is still being written keeps its turn.

An answer that is only being waited for holds nobody up: it gives its turn to messages that need no answer, and does not
count as activity that keeps a session, and its paid stream, open (`bot.sessions.timeouts`). Where a viewer is needed,
nothing is sent while nobody is there. Sends nothing; it wakes the session's task when something may be sent that may
not be sent now.
"""

from bot import sentences
from bot.announcer import Announcer
from bot.core.audience import Audience
from bot.core.errors import AnswerError, AnswerTrouble
from bot.core.mailbox import Mailbox
from bot.core.models import UtteranceState
from bot.core.ports import Capabilities, Clock
from bot.speaking.chunks import Chunker
from bot.speaking.item import SpeechItem, StateRecorder
from bot.speaking.playout import Playout
from bot.speaking.queue import SpeechQueue
from bot.speaking.tracker import TIMER_IS_EARLY

CHUNK_BUFFER = 8.0
"""Seconds of an utterance that may still be unsaid when its next piece goes out."""

SEND_AHEAD = 3.0
"""Seconds of speech that may still be unsaid when the next utterance goes out. Enough to bridge the 2.5 to 3.6 s from
text to speech that were reported; what has been sent ahead can only be taken back by a cut, so it is no more than
needed."""

TURN = 5.0
"""Seconds for which the order of messages is kept although nothing of an answer has come: most begin within 1 to 3."""

FIRST_WORD = 60.0
"""Seconds until the first word. A model that thinks before it answers may need most of them."""

NEXT_WORDS = 30.0
"""Seconds without another word in the middle of an answer. Our choice: v3 ends a stream after as long without text."""


class SpeechScheduler:
    """Takes items from the queue into the playout when their turn has come.

    is_held: nothing begins any more, as another process is to say what waits; what is being said is said to the end.
    """

    def __init__(
        self,
        capabilities: Capabilities,
        clock: Clock,
        mailbox: Mailbox,
        announcer: Announcer,
        queue: SpeechQueue,
        playout: Playout,
        chunker: Chunker,
        states: StateRecorder,
        audience: Audience,
    ) -> None:
        self._capabilities = capabilities
        self._clock = clock
        self._mailbox = mailbox
        self._announcer = announcer
        self._queue = queue
        self._playout = playout
        self._chunker = chunker
        self._states = states
        self._audience = audience
        self.is_held = False

    async def next(self) -> SpeechItem | None:
        """The item whose next piece goes out now; None where none may until the task is woken. Raises `StoreError`."""
        item = self._playout.current
        if self._audience.is_missing or (self.is_held and (item is None or not item.sent)):
            if item is not None and not item.sent:
                self._put_back(item)
            return None
        if item is None:
            if not self._queue:
                return None
            item = self._queue.take()
            self._playout.begin(item)
        self._chunker.load(item)
        if item.waits_for_answer:
            return await self._wait_for_answer(item)
        item.waits_since = None
        if item.chunks:
            return item if self._may_send_more(item) else None
        error = item.answer_error
        if error is not None and not item.sent:
            self._playout.remove(item)
            await self._states.finish(item, UtteranceState.FAILED, detail=str(error))
            self._announcer.report_error(sentences.failure(error), error)
            return await self.next()
        if error is not None and not item.told_of_break:
            item.told_of_break = True
            self._announcer.report_error(sentences.answer_broke_off(error), error)
        if self._may_send_ahead(item):
            following = self._queue.take()
            self._playout.follow_with(following)
            self._chunker.load(following)
            return following
        return None

    async def _wait_for_answer(self, item: SpeechItem) -> SpeechItem | None:
        """Wait until the chat model has written more, as long as that may take, and let others speak meanwhile."""
        now = self._clock.monotonic()
        item.waits_since = now if item.waits_since is None else item.waits_since
        waited = now - item.waits_since
        if waited >= _longest_wait(item) - TIMER_IS_EARLY:
            await self._chunker.break_off(item, _took_too_long(item))
            return await self.next()
        if item.sent or waited < TURN - TIMER_IS_EARLY:
            self._mailbox.wake_later("answer", (_longest_wait(item) if item.sent else TURN) - waited)
            return None
        other = self._queue.take_first(lambda waiting: not self._chunker.needs_answer(waiting.utterance.mode))
        if other is None:
            self._mailbox.wake_later("answer", _longest_wait(item) - waited)
            return None
        self._put_back(item)
        self._playout.begin(other)
        return await self.next()

    def _put_back(self, item: SpeechItem) -> None:
        self._playout.remove(item)
        self._queue.requeue(item)

    def _may_send_more(self, item: SpeechItem) -> bool:
        if not item.sent:
            return True
        return self._has_headroom(CHUNK_BUFFER) if self._capabilities.appends else not self._playout.is_talking

    def _may_send_ahead(self, current: SpeechItem) -> bool:
        following, is_free = self._queue.first, self._playout.ahead is None and not self.is_held
        if not (self._capabilities.sends_ahead and current.is_complete and is_free) or following is None:
            return False
        return not self._chunker.needs_answer(following.utterance.mode) and self._has_headroom(SEND_AHEAD)

    def _has_headroom(self, ahead: float) -> bool:
        """Whether no more than `ahead` seconds are unsaid; wakes the loop when that becomes true."""
        if self._playout.unsaid > ahead:
            self._mailbox.wake_later("room", self._playout.unsaid - ahead)
            return False
        return True


def _longest_wait(item: SpeechItem) -> float:
    """Seconds that an item may wait for more of its answer."""
    return NEXT_WORDS if item.sent else FIRST_WORD


def _took_too_long(item: SpeechItem) -> AnswerError:
    """The error of an item that has waited so long."""
    what = "another word" if item.sent else "a first word"
    return AnswerError(f"the chat model wrote not {what} in {_longest_wait(item):.0f} s", why=AnswerTrouble.TIME)
