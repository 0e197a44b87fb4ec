"""How long a message waits that cannot be said, since nobody watches, no stream can be opened, or no process was there:
then it is dropped, and told. Sends nothing, and decides nothing about what is said.
"""

from collections.abc import Sequence
from datetime import timedelta

from bot.announcer import Announcer
from bot.core.mailbox import Mailbox
from bot.core.models import Utterance
from bot.core.ports import Clock
from bot.core.tasks import ROUNDING
from bot.speaking.queue import SpeechQueue


class QueueExpiry:
    """Drops what has waited too long in the queue of one session."""

    def __init__(
        self, queue: SpeechQueue, max_age: float, clock: Clock, mailbox: Mailbox, announcer: Announcer
    ) -> None:
        """`max_age`: seconds since a message was accepted."""
        self._queue = queue
        self._max_age = max_age
        self._clock = clock
        self._mailbox = mailbox
        self._announcer = announcer
        self._was_told = False

    async def drop_stale(self) -> None:
        """Drop every message that is too old, and look again when the next one is. Raises `StoreError`."""
        stale = [item for item in self._queue if self._seconds_left(item.utterance) <= ROUNDING]
        if stale:
            self.tell_dropped([item.utterance for item in stale])
        for item in stale:
            await self._queue.drop(item)
        if (oldest := self._queue.first) is not None:
            self._mailbox.wake_later("stale", self._seconds_left(oldest.utterance))

    async def drop_all(self) -> None:
        """Drop every message, whatever its age. Raises `StoreError`."""
        if len(self._queue):
            self.tell_dropped([item.utterance for item in self._queue])
            await self._queue.clear()

    def start_anew(self) -> None:
        """Nothing waits in vain now: the next that does is told to the channel again."""
        self._was_told = False

    def has_waited_since(self, moment: float) -> bool:
        """Whether what was cut short at `moment`, seconds on the clock, has waited too long for its rest; else looks
        again when it will have."""
        left = moment + self._max_age - self._clock.monotonic()
        if left > ROUNDING:
            self._mailbox.wake_later("stale rest", left)
        return left <= ROUNDING

    def _seconds_left(self, utterance: Utterance) -> float:
        waited: timedelta = self._clock.now() - utterance.accepted_at
        return self._max_age - waited.total_seconds()

    def tell_dropped(self, dropped: Sequence[Utterance]) -> None:
        """Tell whose messages are not said any more; before they are dropped."""
        self._announcer.tell_waited_in_vain(dropped, self._max_age, is_first=not self._was_told)
        self._was_told = True
