"""Utterances of one session whose rows are being written: each has its place already, though it is no utterance yet."""

import asyncio
from contextlib import AbstractContextManager

from bot.core.block_count import BlockCount


class PendingUtterances:
    """How many rows are being written."""

    def __init__(self) -> None:
        self._none_expected = asyncio.Event()
        self._none_expected.set()
        self._expected = BlockCount(on_first=self._none_expected.clear, on_none=self._none_expected.set)

    def __len__(self) -> int:
        return self._expected.value

    def reserve(self) -> AbstractContextManager[None]:
        """Keep a place in the queue while the row of an utterance is being written, which is the block."""
        return self._expected

    async def wait_persisted(self) -> None:
        """Wait until no row of an utterance is being written."""
        await self._none_expected.wait()
