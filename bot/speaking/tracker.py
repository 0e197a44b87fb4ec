"""How far the avatar has come with what it was given: as the provider's events tell, by the clock where they do not.

Ends each item that is said, so that the one sent ahead begins. Sends nothing; decides nothing about what is said next.
"""

from collections.abc import Awaitable, Callable

import structlog

from bot.core.mailbox import Mailbox
from bot.core.models import UtteranceState
from bot.core.ports import AnswerHeard, SpeechEnded, SpeechStarted
from bot.speaking.item import SpeechItem, StateRecorder
from bot.speaking.playout import Playout

log = structlog.get_logger(__name__)

LOST_EVENT = 15.0
"""Seconds after the estimated end at which speech counts as ended although no event said so."""

TIMER_IS_EARLY = 0.05
"""Seconds by which a timer may fire before its time."""


class PlaybackTracker:
    """Follows the voice through the items of a playout."""

    def __init__(
        self,
        playout: Playout,
        states: StateRecorder,
        mailbox: Mailbox,
        *,
        reports_speech: bool,
        doubt: Callable[[SpeechItem], Awaitable[None]] | None = None,
    ) -> None:
        """`reports_speech` as in `Capabilities`. `doubt` ends an item of which nothing ever told that it began;
        without it, it counts as said."""
        self._playout = playout
        self._states = states
        self._mailbox = mailbox
        self._grace = LOST_EVENT if reports_speech else 0.0
        self._reports_speech = reports_speech
        self._doubt = doubt

    @property
    def has_more_to_send(self) -> bool:
        """Whether more of what is being said is to come, so that it matters how far the voice is."""
        current = self._playout.current
        return current is not None and not current.is_complete

    def track(self, item: SpeechItem, text: str, seconds: float) -> None:
        """The provider has taken `text` of an item, which it says for `seconds`."""
        self._playout.give(item, text, seconds)
        self._check_end()

    async def heard(self, event: SpeechStarted | SpeechEnded | AnswerHeard) -> None:
        """Take note of speech that started or ended, and of an answer, which may come after its speech has ended.

        Raises `StoreError` if the state of an item could not be written.
        """
        match event:
            case SpeechStarted(utterance_id, ago):
                if (item := await self._reached(utterance_id)) is not None:
                    item.heard = True
                    self._playout.hear_begin(ago)
            case SpeechEnded(utterance_id):
                if (item := await self._reached(utterance_id)) is not None:
                    item.heard = True
                    self._playout.hear_end()
                    await self._end_of_chunk()
            case AnswerHeard(utterance_id, text):
                if (item := self._playout.find(utterance_id)) is not None:
                    item.heard_answer = text
                    self._states.publish(item)

    async def words_heard(self, characters: int) -> None:
        """Take note of how far the voice is."""
        if self.has_more_to_send:
            self._playout.hear(characters)
            self._check_end()

    def cancel_end(self) -> None:
        """What was expected was cut: no end is to come."""
        self._mailbox.cancel("end")

    async def _reached(self, utterance_id: str) -> SpeechItem | None:
        """The current item, where it is this utterance. Hearing the one sent ahead means that the current one is
        over."""
        if (ahead := self._playout.ahead) is not None and ahead.utterance.id == utterance_id:
            await self._end_of_current()
        current = self._playout.current
        return current if current is not None and current.utterance.id == utterance_id else None

    def _check_end(self) -> None:
        self._mailbox.call_later("end", self._playout.unsaid + self._grace, self._end_of_time)

    async def _end_of_time(self) -> None:
        current = self._playout.current
        if current is None or self._playout.unsaid > TIMER_IS_EARLY:
            # Meant for speech that was cut; more has been sent since.
            return
        if self._reports_speech:
            log.warning("no event told the end of speech", utterance=current.utterance.id)
        # The time was for everything that was sent, also ahead.
        while await self._end_of_chunk():
            pass

    async def _end_of_chunk(self) -> bool:
        """Whether that was the end of the utterance."""
        if not self._playout.end_chunk():
            return False
        await self._end_of_current()
        return True

    async def _end_of_current(self) -> None:
        said = self._playout.end_current()
        begun = self._playout.current
        if begun is None:
            self._mailbox.cancel("end")
        else:
            self._check_end()
        if said is not None and self._doubt is not None and said.stored and not said.heard:
            await self._doubt(said)
        elif said is not None and (error := said.answer_error) is not None:
            await self._states.finish(said, UtteranceState.FAILED, detail=str(error))
        elif said is not None:
            await self._states.finish(said, UtteranceState.SPOKEN)
        if begun is not None:
            await self._states.advance(begun, UtteranceState.SPEAKING)
