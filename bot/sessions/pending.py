"""Utterances of one session whose rows are being written: each has its place already, though it is no utterance yet."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class PendingUtterances:
    """How many rows are being written."""

    def __init__(self) -> None:
        self._expected = 0
        self._none_expected = asyncio.Event()
        self._none_expected.set()

    def __len__(self) -> int:
        return self._expected

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Keep a place in the queue while the row of an utterance is being written."""
        self._expected += 1
        self._none_expected.clear()
        try:
            yield
        finally:
            self._expected -= 1
            if not self._expected:
                self._none_expected.set()

    async def wait_persisted(self) -> None:
        """Wait until no row of an utterance is being written."""
        await self._none_expected.wait()
