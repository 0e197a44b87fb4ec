"""The lists of avatars and voices: remembered, kept fresh, and never waited for where somebody chooses."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect
from adapters.simulator.wire import Json
from bot.core.errors import ProviderError
from bot.core.tasks import cancel_and_wait
from bot.streams.catalogue import CACHE_TTL, RETRY_DELAY, Catalogue
from tests.harness.bot import BotHarness

AVATARS: dict[str, Any] = {"method": "GET", "path": "/v1/streaming/avatar.list"}
VOICES: dict[str, Any] = {"method": "GET", "path": "/v2/voices"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[BotHarness]:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        yield world


@pytest.fixture
def catalogue(world: BotHarness) -> Catalogue:
    return Catalogue(world.sessions.services.provider, world.clock)


@pytest.fixture
async def fresh(world: BotHarness, catalogue: Catalogue) -> AsyncIterator[Catalogue]:
    """A catalogue that is being kept fresh."""
    keeping = asyncio.create_task(catalogue.refresh_forever())
    await world.rest()
    yield catalogue
    await cancel_and_wait(keeping)


def another_avatar(world: BotHarness, times: int = 1) -> None:
    """Let the service have another list of avatars."""
    new: Json = {"avatar_id": "new", "pose_name": "Newcomer", "status": "ACTIVE"}
    world.simulator.faults.add(
        effect=Effect.STATUS, status=200, body={"code": 100, "data": [new]}, times=times, **AVATARS
    )


def names(catalogue: Catalogue) -> list[str]:
    return [entry.name for entry in catalogue.cached_avatars]


def test_nothing_is_known_before_the_lists_were_read(catalogue: Catalogue) -> None:
    assert not catalogue.cached_avatars
    assert not catalogue.known_voices


async def test_what_is_kept_fresh_is_known_without_asking(world: BotHarness, fresh: Catalogue) -> None:
    assert "Juno" in names(fresh)
    assert fresh.known_voices
    world.simulator.faults.add(effect=Effect.STATUS, status=500, times=None)
    found = await fresh.avatar("sim-juno")
    assert found is not None
    assert found.name == "Juno"


async def test_the_lists_are_read_again_every_hour(world: BotHarness, fresh: Catalogue) -> None:
    another_avatar(world)
    await world.pass_time(CACHE_TTL - 1)
    assert "Juno" in names(fresh)
    await world.pass_time(1)
    assert names(fresh) == ["Newcomer"]
    await world.pass_time(CACHE_TTL)
    assert "Juno" in names(fresh)


@pytest.mark.parametrize("broken", [AVATARS, VOICES], ids=["avatars", "voices"])
async def test_a_list_that_cannot_be_had_stays_as_it_was(
    world: BotHarness, fresh: Catalogue, broken: dict[str, Any]
) -> None:
    known = fresh.cached_avatars, fresh.known_voices
    world.simulator.faults.add(effect=Effect.STATUS, status=500, times=None, **broken)
    await world.pass_time(CACHE_TTL + 10)
    assert (fresh.cached_avatars, fresh.known_voices) == known


async def test_a_list_that_could_not_be_had_is_asked_for_again_after_a_minute(
    world: BotHarness, catalogue: Catalogue
) -> None:
    world.simulator.faults.add(effect=Effect.STATUS, status=500, times=None, **AVATARS)
    keeping = asyncio.create_task(catalogue.refresh_forever())
    await world.pass_time(10)
    assert not catalogue.cached_avatars
    world.simulator.faults.clear()
    await world.pass_time(RETRY_DELAY)
    assert "Juno" in names(catalogue)
    assert catalogue.known_voices
    await cancel_and_wait(keeping)


async def test_an_avatar_is_found_by_its_id_and_the_empty_id_is_the_default(catalogue: Catalogue) -> None:
    juno = await catalogue.avatar("sim-juno")
    assert juno is not None
    assert juno.name == "Juno"
    assert await catalogue.avatar("nobody") is None
    assert await catalogue.avatar("") == await catalogue.avatar("default")


async def test_many_who_ask_at_once_read_the_list_once(world: BotHarness, catalogue: Catalogue) -> None:
    another_avatar(world)
    found = await asyncio.gather(*(catalogue.avatar("new") for _ in range(10)))
    assert {entry.name for entry in found if entry is not None} == {"Newcomer"}
    assert None not in found


async def test_a_list_that_was_never_had_is_an_error_and_is_asked_for_again(
    world: BotHarness, catalogue: Catalogue
) -> None:
    world.simulator.faults.add(effect=Effect.STATUS, status=500, times=None, **AVATARS)
    with pytest.raises(ProviderError):
        await catalogue.avatar("sim-juno")
    world.simulator.faults.clear()
    assert await catalogue.avatar("sim-juno") is not None
