"""What waits to be said in one session: its order, and what people do to it before it is said. Sends nothing."""

from collections import deque
from collections.abc import Callable, Iterator

from bot.core.models import UtteranceState
from bot.speaking.chunks import Chunker
from bot.speaking.item import SpeechItem, StateRecorder
from bot.store.store import Store
from bot.telemetry import metrics


class SpeechQueue:
    """The lines that wait, in the order in which they were accepted. The metric of what waits counts each of them."""

    def __init__(self, store: Store, pieces: Chunker, states: StateRecorder) -> None:
        """`pieces` stops writing answers that nobody will hear."""
        self._store = store
        self._pieces = pieces
        self._states = states
        self._lines: deque[SpeechItem] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[SpeechItem]:
        return iter(self._lines)

    @property
    def first(self) -> SpeechItem | None:
        """The line whose turn is next."""
        return self._lines[0] if self._lines else None

    def add(self, line: SpeechItem) -> None:
        """Put a new line in its place: the order of acceptance, whoever's database answer came first."""
        later: list[SpeechItem] = []
        while self._lines and self._lines[-1].utterance.id > line.utterance.id:
            later.append(self._lines.pop())
        self._lines.append(line)
        self._lines.extend(reversed(later))
        metrics.waiting_utterances.inc()

    def requeue(self, line: SpeechItem) -> None:
        """Put a line whose turn had come before all others."""
        self._lines.appendleft(line)
        metrics.waiting_utterances.inc()

    def take(self) -> SpeechItem:
        """Take the line whose turn is next. There must be one."""
        line = self._lines.popleft()
        metrics.waiting_utterances.dec()
        return line

    def take_first(self, is_meant: Callable[[SpeechItem], bool]) -> SpeechItem | None:
        """Take the first line that is meant, past those before it."""
        line = next((line for line in self._lines if is_meant(line)), None)
        if line is not None:
            self._remove(line)
        return line

    async def edit(self, message_id: str, text: str) -> None:
        """Say what a message says now, where it still waits. Raises `StoreError`."""
        for line in self._of_message(message_id):
            if await self._store.reword(line.utterance.id, text):
                await self._pieces.stop(line)
                line.edit(text)
                self._states.publish(line)

    async def delete(self, message_id: str) -> None:
        """Drop a message that still waits. Raises `StoreError`."""
        for line in self._of_message(message_id):
            await self._drop(line)

    async def clear(self) -> None:
        """Drop everything that waits. Raises `StoreError`; what follows the line that could not be written waits still.

        One by one: a message that is being accepted meanwhile has its row already and is not one of these.
        """
        while self._lines:
            await self._drop(self._lines[0])

    async def _drop(self, line: SpeechItem) -> None:
        # It stays until its answer is stopped: a session that is asked to end in that moment must find it here.
        await self._pieces.stop(line)
        self._remove(line)
        await self._states.finish(line, UtteranceState.DROPPED)

    def _remove(self, line: SpeechItem) -> None:
        self._lines.remove(line)
        metrics.waiting_utterances.dec()

    def _of_message(self, message_id: str) -> list[SpeechItem]:
        return [line for line in self._lines if line.utterance.message_id == message_id]
