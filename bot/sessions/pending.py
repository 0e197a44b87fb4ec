"""Utterances on their way into the queue of one session: their rows are being written, or are written and they have not
got in line yet. Writes nothing; a message that is being taken has its place here before it has an utterance."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from bot.core.models import Utterance


class PendingUtterances:
    """What is coming, in the order in which it was written down.

    expected: how many utterances are being written down.
    """

    def __init__(self) -> None:
        self._arrived: deque[Utterance] = deque()
        self._none_expected = asyncio.Event()
        self._none_expected.set()
        self.expected = 0

    def __len__(self) -> int:
        return len(self._arrived)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self._arrived)

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Keep a place in the queue while the row of an utterance is being written."""
        self.expected += 1
        self._none_expected.clear()
        try:
            yield
        finally:
            self.expected -= 1
            if not self.expected:
                self._none_expected.set()

    async def wait_persisted(self) -> None:
        """Wait until no row of an utterance is being written."""
        await self._none_expected.wait()

    def add(self, utterance: Utterance) -> None:
        """An utterance whose row is written has arrived."""
        self._arrived.append(utterance)

    def take(self) -> Utterance | None:
        """The one that arrived first, which gets in line now; None if none is left."""
        return self._arrived.popleft() if self._arrived else None
