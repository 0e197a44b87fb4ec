"""Messages that a process left in the middle: in doubt, until people have been told so.

That they have is written down once the platform has shown it. A process that is struck before leaves it to the next
one, so that people are told at least once. Decides nothing about what is in doubt, and shows nothing.
"""

from collections.abc import Sequence

import structlog

from bot.core.errors import StoreError
from bot.core.events import Delivery, EventBus
from bot.core.models import Session, Utterance, UtteranceState
from bot.core.tasks import TaskSet
from bot.store.store import Store
from bot.unsaid import tell_left

log = structlog.get_logger(__name__)


class UntoldDoubts:
    """Tells of what is in doubt, each once in this process."""

    def __init__(self, store: Store, event_bus: EventBus) -> None:
        self._store = store
        self._event_bus = event_bus
        self._tasks = TaskSet()
        self._are_told: set[str] = set()

    async def tell_left_behind(self) -> None:
        """Tell what is in doubt in sessions that are over. Raises `StoreError`."""
        for session, utterances in await self._store.doubts.left_behind():
            self.tell(session, utterances)

    def tell(self, session: Session, utterances: Sequence[Utterance]) -> None:
        """Tell that utterances of a session are in doubt, and note it once people can read that."""
        untold = [utterance for utterance in utterances if utterance.id not in self._are_told]
        if not untold:
            return
        ids = [utterance.id for utterance in untold]
        self._are_told.update(ids)

        def settle() -> None:
            self._tasks.create_task(self._settle(ids), name=f"doubts of {session.id}")

        delivery = Delivery(settle).hold()
        tell_left(session, untold, UtteranceState.UNKNOWN, self._event_bus, delivery)
        delivery.release()

    async def close(self) -> None:
        """Wait for nothing more; what is not noted is told again by the next process."""
        await self._tasks.close()

    async def _settle(self, utterance_ids: Sequence[str]) -> None:
        try:
            await self._store.doubts.settle(utterance_ids)
        except StoreError as error:
            log.error("that people were told of a doubt could not be written", error=str(error))
        else:
            self._are_told.difference_update(utterance_ids)
