"""When the provider's playlist is asked for again: as often as the stream needs it, however many watch."""

import asyncio

import pytest

from adapters.media.relay.live_playlist import (
    CHOICE_AGE,
    FAILURE_PAUSE,
    MIN_MAX_AGE,
    PATIENCE,
    STEP,
    LivePlaylist,
)
from adapters.media.relay.syntax import Playlist
from bot.core.errors import PictureUnavailable
from tests.harness.clock import ManualClock, settle

SEGMENT = 1.0


class Source:
    """A live playlist that has one more segment each second; `failure` is what comes instead."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.asked: list[float] = []
        self.failure: Exception | None = None
        self.is_gone = False
        self.is_over = False
        self.target: float | None = 1.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> Playlist | None:
        self.asked.append(self.clock.monotonic())
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if self.is_gone:
            return None
        edge = int(self.clock.monotonic() / SEGMENT + 1e-6)
        return Playlist(f"until {edge}", {}, self.target, SEGMENT, edge, self.is_over)


@pytest.fixture
def source(clock: ManualClock) -> Source:
    return Source(clock)


@pytest.fixture
def playlist(source: Source, clock: ManualClock) -> LivePlaylist:
    return LivePlaylist(source.fetch, clock)


async def read(playlist: LivePlaylist) -> str:
    found = await playlist.read()
    assert found is not None
    return found.text


async def watch(playlist: LivePlaylist, clock: ManualClock, seconds: float, every: float) -> list[float]:
    """Read again and again; how old the newest segment was in what came, for each read."""
    late = []
    for _ in range(round(seconds / every)):
        edge = int((await read(playlist)).removeprefix("until "))
        late.append(max(0.0, clock.monotonic() - (edge + 1) * SEGMENT))
        await clock.advance(every)
    return late


async def test_many_at_once_ask_once(playlist: LivePlaylist, source: Source) -> None:
    source.gate.clear()
    readers = [asyncio.create_task(read(playlist)) for _ in range(100)]
    await settle()
    source.gate.set()
    assert set(await asyncio.gather(*readers)) == {"until 0"}
    assert len(source.asked) == 1


@pytest.mark.parametrize("viewers", [1, 10, 100])
async def test_the_number_of_requests_is_that_of_the_stream(
    playlist: LivePlaylist, source: Source, clock: ManualClock, viewers: int
) -> None:
    await clock.advance(0.37)
    late = await watch(playlist, clock, seconds=60, every=1.0 / viewers)
    assert 55 <= len(source.asked) <= 130
    if viewers > 1:  # one alone sees what they ask for, when they ask
        assert max(late[viewers * 2 :]) <= STEP + 1.0 / viewers


async def test_nothing_runs_while_nobody_asks(playlist: LivePlaylist, source: Source, clock: ManualClock) -> None:
    await read(playlist)
    await clock.advance(60)
    assert len(source.asked) == 1
    assert clock.due == []


async def test_a_stream_that_is_over_is_not_asked_for_again(
    playlist: LivePlaylist, source: Source, clock: ManualClock
) -> None:
    source.is_over = True
    await read(playlist)
    await clock.advance(600)
    assert await read(playlist) == "until 0"
    assert len(source.asked) == 1


async def test_a_choice_is_asked_for_now_and_then(playlist: LivePlaylist, source: Source, clock: ManualClock) -> None:
    source.target = None
    await watch(playlist, clock, seconds=4 * CHOICE_AGE - 0.5, every=0.1)
    assert len(source.asked) == 4


async def test_a_provider_that_stalls_keeps_nobody_waiting_who_has_seen_the_last_one(
    playlist: LivePlaylist, source: Source, clock: ManualClock
) -> None:
    await read(playlist)
    source.gate.clear()
    await clock.advance(1.0)
    reader = asyncio.create_task(read(playlist))
    await clock.advance(PATIENCE - 0.1)
    assert not reader.done()
    await clock.advance(0.1)
    assert await reader == "until 0"
    assert await read(playlist) == "until 0"
    assert len(source.asked) == 2
    source.gate.set()
    await settle()
    assert await read(playlist) == "until 2"


@pytest.mark.parametrize("is_gone", [True, False])
async def test_trouble_is_told_only_when_the_last_one_is_too_old_and_passes_by_itself(
    playlist: LivePlaylist, source: Source, clock: ManualClock, is_gone: bool
) -> None:
    await read(playlist)
    source.failure, source.is_gone = (None, True) if is_gone else (PictureUnavailable("broken"), False)
    await clock.advance(MIN_MAX_AGE)
    assert await read(playlist) == "until 0"
    await clock.advance(FAILURE_PAUSE)
    if is_gone:
        assert await playlist.read() is None
    else:
        with pytest.raises(PictureUnavailable, match="broken"):
            await playlist.read()
    source.failure, source.is_gone = None, False
    await clock.advance(FAILURE_PAUSE)
    assert await read(playlist) == "until 7"


async def test_a_provider_in_trouble_is_not_asked_by_everybody(
    playlist: LivePlaylist, source: Source, clock: ManualClock
) -> None:
    source.failure = PictureUnavailable("broken")
    for _ in range(100):
        with pytest.raises(PictureUnavailable):
            await playlist.read()
        await clock.advance(0.1)
    assert len(source.asked) <= 10 / FAILURE_PAUSE + 1


async def test_whoever_leaves_disturbs_nobody(playlist: LivePlaylist, source: Source) -> None:
    source.gate.clear()
    leaving, staying = asyncio.create_task(read(playlist)), asyncio.create_task(read(playlist))
    await settle()
    leaving.cancel()
    await settle()
    source.gate.set()
    assert await staying == "until 0"


async def test_closing_ends_what_is_under_way(playlist: LivePlaylist, source: Source) -> None:
    source.gate.clear()
    reader = asyncio.create_task(playlist.read())
    await settle()
    await playlist.aclose()
    assert await reader is None
