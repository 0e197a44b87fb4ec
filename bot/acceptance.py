"""Messages are written down, each once, also where the database is lost over one of them.

The answer to a commit may be lost although what it wrote is there: nobody says that message then, and when the platform
brings it again its keys are known. So what is in doubt is remembered until it comes again.
"""

from collections.abc import Sequence

from cachetools import FIFOCache

from bot.core.errors import StoreUnavailable
from bot.core.models import Utterance, UtteranceState
from bot.sessions.record import SessionRecorder
from bot.store.store import Store

DOUBTS_KEPT = 4096
"""Keys of messages that are remembered; the oldest ones are forgotten first."""


class MessageAcceptance:
    """Writes down the messages that one process takes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._in_doubt: FIFOCache[str, tuple[Utterance, ...]] = FIFOCache(DOUBTS_KEPT)

    async def accept(self, keys: Sequence[str], utterance: Utterance, recorder: SessionRecorder) -> Utterance | None:
        """Write an utterance down with the keys of its message. `recorder` is that of its session.

        Returns what is to be said: this utterance, or that of an earlier delivery which was written down without
        anybody knowing. None if the message was taken before. Raises `StoreError`.
        """
        utterances = self._store.utterances
        try:
            if await utterances.accept(keys, utterance):
                return utterance
            earlier = {doubt.id: doubt for doubt in self._doubts(keys) if doubt.session_id == utterance.session_id}
            found = await utterances.requeue(list(earlier)) if earlier else None
        except StoreUnavailable:
            self._in_doubt.update(dict.fromkeys(keys, (*self._doubts(keys), utterance)))
            # Where it does not come again, its row is to be ended with the session.
            recorder.is_dirty = True
            raise
        # Another delivery may have found it in the same moment.
        are_known = [self._in_doubt.pop(key, None) is None for key in keys]
        return None if found is None or all(are_known) else earlier[found]._replace(state=UtteranceState.QUEUED)

    def _doubts(self, keys: Sequence[str]) -> list[Utterance]:
        return [doubt for key in keys for doubt in self._in_doubt.get(key, ())]
