"""How a line gets from one state to the next: written into its row, noted in the line, then told.

Knows nothing of order or of the provider. A line without a row (the greeting) changes its state silently, and so does
one that people already know to wait: it is tried again every few seconds while nobody watches, and waits all the same.
"""

from collections.abc import Callable
from dataclasses import replace

from bot.core.models import UtteranceState
from bot.core.ports import Clock
from bot.speaking.lines import Line
from bot.store.store import Store
from bot.telemetry import metrics


class LineStates:
    """Changes the states of lines. finished_at: when one came to its end last, seconds on the clock."""

    def __init__(self, store: Store, clock: Clock, tell: Callable[[Line], None]) -> None:
        """`tell` publishes what became of a line."""
        self._store = store
        self._clock = clock
        self._tell = tell
        self.finished_at = clock.monotonic()

    async def advance(self, line: Line, state: UtteranceState) -> None:
        """Bring a line into a state that is not its last. Raises `StoreError`; then it has not changed."""
        if line.stored:
            await self._store.advance_utterance(line.utterance.id, state)
        line.utterance = replace(line.utterance, state=state)
        still_waits = line.told is UtteranceState.QUEUED and state in (UtteranceState.QUEUED, UtteranceState.SENDING)
        if line.stored and not still_waits:
            line.told = state
            self._tell(line)

    async def finish(self, line: Line, state: UtteranceState, detail: str | None = None) -> None:
        """Bring a line into its last state. Raises `StoreError`.

        The line must be out of its owner's hands already: its end is told also where the session is asked to end in
        just this moment (what was handed to the store is written all the same) or where the store fails.
        """
        self.finished_at = self._clock.monotonic()
        try:
            if line.stored:
                await self._store.advance_utterance(line.utterance.id, state, detail=detail)
        finally:
            line.utterance = replace(line.utterance, state=state)
            if line.stored:
                metrics.utterances.labels(state=state.value).inc()
                self._tell(line)
