"""What the parts of a speaking loop stand on: a session's utterances in a real database, and what is told of them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bot.core.errors import StoreUnavailable
from bot.core.mailbox import Mailbox
from bot.core.models import UtteranceState
from bot.speaking.item import SpeechItem, StateRecorder
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock


class SpeakingHarness:
    """One session that can speak. `told` are the texts and states that were published."""

    def __init__(self, store: Store, file: Path, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.told: list[tuple[str, UtteranceState]] = []
        self.mailbox = Mailbox(clock)
        self.states = StateRecorder(store, clock, self.tell)
        self._file = file
        self._session = a_session()

    async def open(self) -> None:
        """Write the session's row."""
        await self.store.open_session(self._session)

    def tell(self, line: SpeechItem) -> None:
        self.told.append((line.utterance.text, line.utterance.state))

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and do what it brings."""
        await self.clock.advance(seconds)
        while not self.mailbox.is_empty:
            await self.mailbox.serve()

    async def line(self, text: str = "Hello there.", **fields: Any) -> SpeechItem:
        """A line whose utterance has a row."""
        utterance = an_utterance(self._session, text=text, **fields)
        assert await self.store.accept((), utterance)
        return SpeechItem(utterance)

    def break_down(self) -> None:
        """From now on nothing can be written."""

        async def fail(_: Any) -> None:
            raise StoreUnavailable("the test's database cannot grow")

        writer: Any = self.store._writer
        writer._transact = fail

    def row(self, line: SpeechItem) -> tuple[str, str]:
        """Text and state as they are written."""
        with closing(sqlite3.connect(self._file)) as connection:
            query = "SELECT text, state FROM utterances WHERE id = ?"
            text, state = connection.execute(query, (line.utterance.id,)).fetchone()
        return text, state
