"""What the parts of a speaking loop stand on: a session's utterances in a real database, and what is told of them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bot.announcer import Announcer
from bot.core.errors import StoreUnavailable
from bot.core.events import EventBus, SessionEvent, UtteranceChanged
from bot.core.mailbox import Mailbox
from bot.core.models import UtteranceState
from bot.speaking.item import SpeechItem, StateRecorder
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults


class RecordingEventBus(EventBus):
    """An event bus that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[SessionEvent] = []

    def publish(self, event: SessionEvent) -> None:
        self.published.append(event)
        super().publish(event)


class SpeakingHarness:
    """One session that can speak. `told` are the texts and states that were published."""

    def __init__(self, store: Store, file: Path, clock: ManualClock, faults: WriteFaults) -> None:
        self.store = store
        self.clock = clock
        self.mailbox = Mailbox(clock)
        self._file = file
        self._faults = faults
        self._session = a_session()
        self._event_bus = RecordingEventBus()
        self.unwritten: list[BaseException] = []
        announcer = Announcer(self._session.id, self._session.channel, self._event_bus)
        self.states = StateRecorder(store, clock, announcer, self.unwritten.append)

    async def open(self) -> None:
        """Write the session's row."""
        await self.store.sessions.open(self._session)

    @property
    def told(self) -> list[tuple[str, UtteranceState]]:
        changes = [event.utterance for event in self._event_bus.published if isinstance(event, UtteranceChanged)]
        return [(utterance.text, utterance.state) for utterance in changes]

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and do what it brings."""
        await self.clock.advance(seconds)
        while not self.mailbox.is_empty:
            await self.mailbox.serve()

    async def line(self, text: str = "Hello there.", **fields: Any) -> SpeechItem:
        """A line whose utterance has a row."""
        utterance = an_utterance(self._session, text=text, **fields)
        assert await self.store.utterances.accept((), utterance)
        return SpeechItem(utterance)

    def break_down(self) -> None:
        """From now on nothing can be written."""
        self._faults.failure = StoreUnavailable("the test's database cannot grow")

    async def flush(self) -> None:
        """Wait until everything is written that was handed over before."""
        await self.store.sessions.request_stop("no session", by="nobody")

    def row(self, line: SpeechItem) -> tuple[str, str]:
        """Text and state as they are written."""
        with closing(sqlite3.connect(self._file)) as connection:
            query = "SELECT text, state FROM utterances WHERE id = ?"
            text, state = connection.execute(query, (line.utterance.id,)).fetchone()
        return text, state
