"""Owners of background tasks, one by one: a mistake inside one is logged, and neither ends it nor what it looks after.

docs/architecture.md has the table of them. Each test makes the mistake by a part that raises something unexpected.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.core.errors import StoreUnavailable
from bot.core.models import EndReason, UtteranceState
from bot.core.tasks import cancel_and_wait
from bot.sessions.jobs import LEARN_BLOCKS_EVERY, STOP_REQUESTS_EVERY
from bot.store import writer
from bot.streams.catalogue import CACHE_TTL
from bot.supervision import RESTART_DELAYS, Supervised
from tests.harness.bot import BotHarness


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A bot whose mistakes are made on purpose; with the periodic jobs where a test asks for them."""
    async with BotHarness(tmp_path, jobs=getattr(request, "param", False)) as world:
        yield world
        assert any("exc_info" in entry for entry in world.log), "the mistake was not logged"
        world.log.clear()


class Mistakes:
    """Stands in for a method and raises a mistake for the first calls, then does as it always did."""

    def __init__(self, owner: Any, method: str, times: int = 1) -> None:
        self._left = times
        self._method: Callable[..., Awaitable[Any]] = getattr(owner, method)
        setattr(owner, method, self)

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self._left:
            self._left -= 1
            raise KeyError("a mistake of ours")
        return await self._method(*arguments, **named)


@pytest.mark.parametrize("world", [True], indirect=True, ids=["jobs"])
async def test_a_periodic_job(world: BotHarness) -> None:
    running = await world.start()
    Mistakes(world.store.sessions, "stop_requests", times=2)
    Mistakes(world.store.blocks, "everybody")
    await world.store.sessions.request_stop(running.session.id, "somebody in a shell")
    await world.pass_time(2 * STOP_REQUESTS_EVERY + LEARN_BLOCKS_EVERY + sum(RESTART_DELAYS[:3]))
    await world.until(running.closed.is_set)
    assert running.session.end_reason is EndReason.ADMIN


async def test_the_catalogue(world: BotHarness) -> None:
    catalogue = world.sessions.services.catalogue
    Mistakes(world.sessions.services.provider, "voices")
    part = Supervised("catalogue", catalogue.refresh_forever, world.clock)
    keeping = asyncio.create_task(part.run())
    await world.rest()
    assert part.unhealthy_reason is not None
    await world.pass_time(RESTART_DELAYS[0] + CACHE_TTL)
    assert part.unhealthy_reason is None
    assert catalogue.known_voices
    await cancel_and_wait(keeping)


async def test_the_listening_to_a_stream(world: BotHarness) -> None:
    provider: Any = world.sessions.services.provider
    hear, times = provider.events, iter([True, True, False])

    def events(upstream_id: str) -> Any:
        if next(times, False):
            raise KeyError("a mistake of ours")
        return hear(upstream_id)

    provider.events = events
    await world.start()
    await world.write("good morning")
    await world.until(lambda: world.ended_as("good morning", UtteranceState.SPOKEN))


@pytest.mark.parametrize("of", ["streams", "sessions"])
async def test_the_end_of_a_session(world: BotHarness, of: str) -> None:
    running = await world.start()
    Mistakes(getattr(world.store, of), "advance")
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    await world.until(lambda: all(view.ended is not None for view in world.simulator.streams()))
    assert "The avatar has left" in world.notices[-1]
    await world.start()


async def test_the_writer(world: BotHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_all", lambda _connection, _writes, **_: [])  # it forgets the results
        with pytest.raises(StoreUnavailable, match=r"failed unexpectedly \(ref "):
            await world.store.sessions.request_stop("nobody", "shell")
    await world.start()
