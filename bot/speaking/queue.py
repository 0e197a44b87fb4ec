"""What waits to be said in one session: its order, and what people do to it before it is said. Sends nothing."""

from collections import deque
from collections.abc import Callable, Iterator

from bot.core.models import UtteranceState
from bot.speaking.chunks import Chunker
from bot.speaking.item import SpeechItem, StateRecorder
from bot.store.store import Store
from bot.telemetry import metrics


class SpeechQueue:
    """The items that wait, in the order in which they were accepted. The metric of what waits counts each of them."""

    def __init__(self, store: Store, chunker: Chunker, states: StateRecorder) -> None:
        """`chunker` stops writing answers that nobody will hear."""
        self._store = store
        self._chunker = chunker
        self._states = states
        self._items: deque[SpeechItem] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[SpeechItem]:
        return iter(self._items)

    @property
    def first(self) -> SpeechItem | None:
        """The item whose turn is next."""
        return self._items[0] if self._items else None

    def add(self, item: SpeechItem) -> None:
        """Put a new item in its place: the order of acceptance, whoever's database answer came first."""
        later: list[SpeechItem] = []
        while self._items and self._items[-1].utterance.id > item.utterance.id:
            later.append(self._items.pop())
        self._items.append(item)
        self._items.extend(reversed(later))
        metrics.waiting_utterances.inc()

    def requeue(self, item: SpeechItem) -> None:
        """Put an item whose turn had come before all others."""
        self._items.appendleft(item)
        metrics.waiting_utterances.inc()

    def take(self) -> SpeechItem:
        """Take the item whose turn is next. There must be one."""
        item = self._items.popleft()
        metrics.waiting_utterances.dec()
        return item

    def take_first(self, is_meant: Callable[[SpeechItem], bool]) -> SpeechItem | None:
        """Take the first item that is meant, past those before it."""
        item = next((item for item in self._items if is_meant(item)), None)
        if item is not None:
            self._remove(item)
        return item

    async def edit(self, message_id: str, text: str) -> None:
        """Say what a message says now, where it still waits. What has begun is said as it was. Raises `StoreError`."""
        for item in self._of_message(message_id):
            if await self._store.utterances.reword(item.utterance.id, text):
                await self._chunker.stop(item)
                item.edit(text)
                self._states.publish(item)

    async def delete(self, message_id: str) -> None:
        """Drop a message that still waits. Raises `StoreError`."""
        for item in self._of_message(message_id):
            await self.drop(item)

    async def clear(self) -> None:
        """Drop everything that waits. Raises `StoreError`; what follows the item that could not be written waits still.

        One by one: a message that is being accepted meanwhile has its row already and is not one of these.
        """
        while self._items:
            await self.drop(self._items[0])

    async def drop(self, item: SpeechItem) -> None:
        """Drop an item that waits. Raises `StoreError`."""
        # It stays until its answer is stopped: a session that is asked to end in that moment must find it here.
        await self._chunker.stop(item)
        self._remove(item)
        await self._states.finish(item, UtteranceState.DROPPED)

    def _remove(self, item: SpeechItem) -> None:
        self._items.remove(item)
        metrics.waiting_utterances.dec()

    def _of_message(self, message_id: str) -> list[SpeechItem]:
        return [item for item in self._items if item.utterance.message_id == message_id]
