"""What the parts of a speaking loop stand on: a session's utterances in a real database, and what is told of them."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bot.core.errors import StoreUnavailable
from bot.core.models import UtteranceState
from bot.speaking.item import SpeechItem, StateRecorder
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults


class SpeakingHarness:
    """One session that can speak. `told` are the texts and states that were published, `posted` is the work for its
    task."""

    def __init__(self, store: Store, file: Path, clock: ManualClock, faults: WriteFaults) -> None:
        self.store = store
        self.clock = clock
        self.told: list[tuple[str, UtteranceState]] = []
        self.posted: list[Callable[[], Awaitable[None]]] = []
        self.states = StateRecorder(store, clock, self.tell)
        self._file = file
        self._faults = faults
        self._session = a_session()

    async def open(self) -> None:
        """Write the session's row."""
        await self.store.open_session(self._session)

    def tell(self, line: SpeechItem) -> None:
        self.told.append((line.utterance.text, line.utterance.state))

    def post(self, work: Callable[[], Awaitable[None]]) -> None:
        self.posted.append(work)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and do what it brings."""
        await self.clock.advance(seconds)
        while self.posted:
            await self.posted.pop(0)()

    async def line(self, text: str = "Hello there.", **fields: Any) -> SpeechItem:
        """A line whose utterance has a row."""
        utterance = an_utterance(self._session, text=text, **fields)
        assert await self.store.accept((), utterance)
        return SpeechItem(utterance)

    def break_down(self) -> None:
        """From now on nothing can be written."""
        self._faults.failure = StoreUnavailable("the test's database cannot grow")

    def row(self, line: SpeechItem) -> tuple[str, str]:
        """Text and state as they are written."""
        with closing(sqlite3.connect(self._file)) as connection:
            query = "SELECT text, state FROM utterances WHERE id = ?"
            text, state = connection.execute(query, (line.utterance.id,)).fetchone()
        return text, state
