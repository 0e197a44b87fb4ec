"""A process loses its connection to PostgreSQL in the very moment in which a commit is answered: what was written is
there, and the process was told that it failed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bot.core.errors import StoreUnavailable
from bot.core.events import Subscription, UtteranceChanged
from bot.core.models import UtteranceState
from bot.core.views import Phase
from bot.store.repository import Repository
from bot.store.store import Store
from tests.scenario.two_processes import GENERAL, PATIENCE, ProgramHere, TwoPrograms, until

pytestmark = pytest.mark.postgres

STORY = "Once upon a time there was a robin who could talk, and who told everybody what it had seen from above."


@pytest.fixture
def url(new_postgres_url: Callable[[], str]) -> str:
    return new_postgres_url()


@pytest.fixture
async def two(url: str) -> AsyncIterator[TwoPrograms]:
    async with TwoPrograms(url) as two:
        yield two


def lose_answer(repository: Repository, name: str) -> None:
    """The next write of this name is made, and fails."""
    write = getattr(repository, name)

    async def unanswered(*args: Any, **options: Any) -> None:
        setattr(repository, name, write)
        await write(*args, **options)
        raise StoreUnavailable("the connection was lost")

    setattr(repository, name, unanswered)


def store_of(program: ProgramHere) -> Store:
    return program.application.bot.sessions.services.store


def is_speaking(program: ProgramHere) -> bool:
    session = program.application.bot.sessions.in_channel(GENERAL)
    return session is not None and session.view().phase is Phase.LIVE


def is_saying(program: ProgramHere) -> bool:
    item = program.session_in().speaker.current
    return item is not None and item.utterance.text == STORY and item.sent


async def until_told(following: Subscription) -> AsyncIterator[UtteranceChanged]:
    """What is told of the story first."""
    async for event in following:
        if isinstance(event, UtteranceChanged) and event.utterance.text == STORY:
            yield event
            return


async def test_an_avatar_whose_start_failed_does_not_keep_its_channel(two: TwoPrograms) -> None:
    lose_answer(store_of(two.first).sessions, "open")
    with pytest.raises(StoreUnavailable):
        await two.first.type("/avatar start")
    async with asyncio.timeout(PATIENCE):
        while await store_of(two.first).sessions.all_open():  # noqa: ASYNC110 - a database that others change
            await asyncio.sleep(0.05)
    await two.first.type("/avatar start")
    await until(lambda: is_speaking(two.first))
    assert two.open_streams == 1


@pytest.mark.parametrize("write", ["claim", "mark_in_flight_unknown"])
async def test_who_takes_sessions_over_goes_on_with_them(two: TwoPrograms, write: str) -> None:
    """And tells what was being said."""
    await two.first.type("/avatar start")
    await until(lambda: is_speaking(two.first))
    await two.first.write(STORY)
    await until(lambda: is_saying(two.first))
    store = store_of(two.second)
    lose_answer(store.sessions if write == "claim" else store.utterances, write)
    with two.second.application.bot.sessions.services.event_bus.subscribe() as following:
        await two.first.die()
        async with asyncio.timeout(PATIENCE):
            told = [event async for event in until_told(following)]
    assert [event.utterance.state for event in told] == [UtteranceState.UNKNOWN]
    await until(lambda: is_speaking(two.second))
