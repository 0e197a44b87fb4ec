"""An utterance on its way to the avatar, and what is known of its way so far."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.announcer import Announcer
from bot.core import ids
from bot.core.errors import AnswerError
from bot.core.models import Mode, Utterance, UtteranceState
from bot.core.ports import Clock
from bot.speaking.answers import AnswerStream
from bot.store.store import Store
from bot.telemetry import metrics


@dataclass(slots=True)
class SpeechItem:
    """An utterance on its way to the avatar.

    chunks: text the provider has not got yet. answering: the answer being written for it, if one is.
    in_flight: the provider was sent a piece and has not answered. sent: the provider has some of it.
    characters, seconds: how much of it was handed over, and how long that takes to say by estimate.
    said_until: when it is said to its end by estimate, on the clock. heard: the provider told that it began.
    stored: whether it has a row (the greeting has none).
    attempts: how often the provider did not take it. heard_answer: what the avatar answered by itself.
    told: the state that was told last.
    waits_since: since when there is nothing to say although the answer is not done, on the clock.
    told_of_break: people have read that its answer broke off.
    """

    utterance: Utterance
    chunks: deque[str] = field(default_factory=deque)
    answering: AnswerStream | None = None
    in_flight: bool = False
    sent: bool = False
    characters: int = 0
    seconds: float = 0.0
    said_until: float = 0.0
    heard: bool = False
    stored: bool = True
    attempts: int = 0
    heard_answer: str | None = None
    told: UtteranceState | None = None
    waits_since: float | None = None
    told_of_break: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the provider has all of it."""
        return not self.chunks and (self.answering is None or self.answering.done)

    @property
    def is_last_chunk(self) -> bool:
        """Whether nothing follows the next piece."""
        return len(self.chunks) == 1 and (self.answering is None or self.answering.done)

    @property
    def waits_for_answer(self) -> bool:
        """Whether there is nothing to say of it now because the chat model still writes."""
        return self.answering is not None and not self.answering.done and not self.chunks

    @property
    def answer_error(self) -> AnswerError | None:
        """Why the answer to it is not whole, or not there."""
        return self.answering.error if self.answering else None

    @property
    def answer(self) -> str | None:
        """What the avatar answers, as far as it is written, or was heard to answer by itself."""
        return self.answering.whole if self.answering else self.heard_answer

    def edit(self, text: str) -> None:
        """Its message says `text` now. Nothing may have been handed over, and no answer to it may be under way."""
        self.answering = None
        self.waits_since = None
        self.chunks.clear()
        self.utterance = self.utterance._replace(text=text)


def greeting(session_id: str, text: str, clock: Clock) -> SpeechItem:
    """The item a stream is opened with where it cannot be opened in silence. It has no row."""
    utterance = Utterance(
        id=ids.new_utterance_id(clock),
        session_id=session_id,
        mode=Mode.REPEAT,
        text=text,
        author="",
        author_name="",
        state=UtteranceState.SPEAKING,
        accepted_at=clock.now(),
    )
    return SpeechItem(utterance, sent=True, stored=False)


RIDES_ALONG = (UtteranceState.SPEAKING, UtteranceState.SPOKEN)
"""States that nothing waits for: no call follows them, and a crash that forgets one leaves what was in flight
`unknown`."""


_ENDED = {state: metrics.utterances.labels(state=state.value) for state in UtteranceState if state.is_final}
"""The counter of each last state."""


class StateRecorder:
    """Changes the states of items, and tells them. finished_at: when one came to its end last, seconds on the clock."""

    def __init__(
        self, store: Store, clock: Clock, announcer: Announcer, on_error: Callable[[BaseException], None]
    ) -> None:
        """`on_error`: called where a state could not be written that nothing waits for (`RIDES_ALONG`)."""
        self._store = store
        self._clock = clock
        self._announcer = announcer
        self._on_error = on_error
        self.finished_at = clock.monotonic()

    def publish(self, item: SpeechItem) -> None:
        """Tell what became of an item."""
        self._announcer.utterance_changed(item.utterance, item.answer)

    async def advance(self, item: SpeechItem, state: UtteranceState) -> None:
        """Bring an item into a state that is not its last. Raises `StoreError`; then it has not changed.

        Where its row says so already, as that of a message which was accepted as `sending`, it is only told.
        """
        if state is not item.utterance.state:
            await self._write(item, state)
            item.utterance = item.utterance._replace(state=state)
        still_waits = item.told is UtteranceState.QUEUED and state in (UtteranceState.QUEUED, UtteranceState.SENDING)
        if item.stored and not still_waits:
            item.told = state
            self.publish(item)

    async def finish(self, item: SpeechItem, state: UtteranceState, detail: str | None = None) -> None:
        """Bring an item into its last state. Raises `StoreError`.

        The item must be out of its owner's hands already: its end is told also where the session is asked to end in
        just this moment (what was handed to the store is written all the same) or where the store fails.
        """
        self.finished_at = self._clock.monotonic()
        try:
            await self._write(item, state, detail)
        finally:
            item.utterance = item.utterance._replace(state=state)
            if item.stored:
                _ENDED[state].inc()
                self.publish(item)

    async def _write(self, item: SpeechItem, state: UtteranceState, detail: str | None = None) -> None:
        if not item.stored:
            return
        if state in RIDES_ALONG:
            self._store.utterances.advance_soon(item.utterance.id, state, self._on_error)
        else:
            await self._store.utterances.advance(item.utterance.id, state, detail=detail)
