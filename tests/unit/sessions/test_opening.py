"""The first stream of a session is worth a wait; no other trouble is."""

import asyncio

import pytest

from bot.core.errors import ConcurrencyReached, ProviderError, StreamGone, Sunset
from bot.streams.streams import OPEN_BACKOFF, open_with_retry
from tests.harness.clock import ManualClock


class Account:
    """Refuses to open a stream for the first few times, and notes when it was asked."""

    def __init__(self, clock: ManualClock, *refusals: ProviderError) -> None:
        self._clock = clock
        self._refusals = list(refusals)
        self.asked_at: list[float] = []

    async def open(self) -> None:
        self.asked_at.append(self._clock.monotonic())
        if self._refusals:
            raise self._refusals.pop(0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def opened(account: Account, clock: ManualClock) -> None:
    opening = asyncio.create_task(open_with_retry(account.open, clock))
    await clock.advance(sum(OPEN_BACKOFF))
    await opening


async def test_a_full_account_and_a_stream_that_ends_at_once_are_tried_again(clock: ManualClock) -> None:
    account = Account(clock, ConcurrencyReached("full"), StreamGone("ended"))
    await opened(account, clock)
    assert account.asked_at == [0.0, 1.0, 3.0]


async def test_patience_has_an_end(clock: ManualClock) -> None:
    account = Account(clock, *(ConcurrencyReached("full") for _ in range(10)))
    with pytest.raises(ConcurrencyReached):
        await opened(account, clock)
    assert account.asked_at == [0.0, 1.0, 3.0, 6.0, 10.0]


async def test_other_trouble_is_not_waited_out(clock: ManualClock) -> None:
    account = Account(clock, Sunset("switched off"))
    with pytest.raises(Sunset):
        await opened(account, clock)
    assert account.asked_at == [0.0]
