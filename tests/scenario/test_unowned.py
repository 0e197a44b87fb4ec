"""Streams the provider has open and no row owns: found, told, and touched only where the key is ours alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect
from bot.core.errors import OwnershipLost
from bot.core.models import StreamState
from bot.sessions.orphans import LOST_WITHIN
from bot.store import tables
from tests.harness.bot import ADA, CHANNEL, BotHarness, simulated, with_policy

CREATE: dict[str, Any] = {"method": "POST", "path": "/v1/streaming.new"}
CLOSE: dict[str, Any] = {"method": "POST", "path": "/v1/streaming.stop"}
OURS = with_policy(exclusive_key=True)
TWO_LOOKS = 21.0
"""Seconds within which the provider's list has been read twice."""


@pytest.fixture
async def exclusive(tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A bot that has its key for itself."""
    async with BotHarness(tmp_path, "heygen-streaming", policy=OURS, jobs=True) as world:
        yield world


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A bot whose key others may use too."""
    async with BotHarness(tmp_path, "heygen-streaming", jobs=True) as world:
        yield world


async def open_by_somebody_else(world: BotHarness) -> str:
    """A stream on the same key that this bot knows nothing of."""
    services = world.sessions.services
    request = services.policy.stream_request(
        services.provider.capabilities, avatar="", voice="", quality="low", remaining=600, initial_text=None
    )
    return await services.provider.create(request)


async def lose_a_create(world: BotHarness) -> str:
    """Start an avatar whose create takes effect and is never answered; returns the provider's id of the stream."""
    world.simulator.faults.add(effect=Effect.LOST_REPLY, **CREATE)
    await world.type("/avatar start")
    await world.until(lambda: world.running is None)
    (view,) = world.open_streams
    return view.id


async def closed_by_us(world: BotHarness) -> list[str | None]:
    entries = await world.store.audit.newest(100)
    return [entry.detail for entry in entries if entry.action == "closed a stream that no session owns"]


async def test_a_stream_that_may_be_somebody_elses_is_counted_and_never_touched(shared: BotHarness) -> None:
    stranger = await open_by_somebody_else(shared)
    await shared.pass_time(60)
    assert [view.id for view in shared.open_streams] == [stranger]
    assert shared.sessions.unowned.count == 1
    assert await closed_by_us(shared) == []


async def test_an_unowned_stream_is_logged_once(shared: BotHarness) -> None:
    await open_by_somebody_else(shared)
    await shared.pass_time(60)
    told = [entry for entry in shared.log if entry["event"].startswith("the provider has open streams")]
    assert [entry["streams"] for entry in told] == [1]


async def test_where_the_key_is_ours_alone_an_unowned_stream_is_closed_at_the_second_look(
    exclusive: BotHarness,
) -> None:
    stranger = await open_by_somebody_else(exclusive)
    await exclusive.pass_time(10)
    assert len(exclusive.open_streams) == 1
    await exclusive.pass_time(10)
    assert exclusive.open_streams == []
    assert await closed_by_us(exclusive) == [stranger]
    await exclusive.pass_time(10)
    assert exclusive.sessions.unowned.count == 0


async def test_our_own_streams_are_never_taken_for_unowned(exclusive: BotHarness) -> None:
    running = await exclusive.start()
    await exclusive.start(channel=CHANNEL._replace(id="second"))
    await exclusive.pass_time(60)
    assert len(exclusive.open_streams) == 2
    assert not running.stop.is_set
    assert await closed_by_us(exclusive) == []


async def test_a_create_whose_reply_was_lost_is_found_by_listing_and_closed(exclusive: BotHarness) -> None:
    lost = await lose_a_create(exclusive)
    await exclusive.pass_time(TWO_LOOKS)
    assert exclusive.open_streams == []
    (row,) = await exclusive.rows(tables.streams)
    assert (row.state, row.upstream_id, row.end_detail) == (StreamState.CLOSED, lost, "found by listing, and closed")
    assert await closed_by_us(exclusive) == [lost]
    assert exclusive.simulator.streams()[0].seconds < 30


async def test_a_create_whose_reply_was_lost_is_left_to_end_by_itself_where_others_share_the_key(
    shared: BotHarness,
) -> None:
    await lose_a_create(shared)
    await shared.pass_time(TWO_LOOKS)
    assert len(shared.open_streams) == 1
    (row,) = await shared.rows(tables.streams)
    assert (row.state, row.upstream_id) == (StreamState.LOST, None)
    await shared.pass_time(365)
    assert shared.open_streams == []


async def test_a_lost_create_is_found_after_a_restart(exclusive: BotHarness) -> None:
    lost = await lose_a_create(exclusive)
    await exclusive.crash()
    await exclusive.boot()
    await exclusive.pass_time(TWO_LOOKS)
    assert exclusive.open_streams == []
    (row,) = await exclusive.rows(tables.streams)
    assert (row.state, row.upstream_id) == (StreamState.CLOSED, lost)


async def test_a_stream_from_another_time_is_not_taken_for_a_lost_create(exclusive: BotHarness) -> None:
    await lose_a_create(exclusive)
    exclusive.simulator.faults.add(effect=Effect.STATUS, status=500, times=None, **CLOSE)
    await exclusive.pass_time(LOST_WITHIN.total_seconds() + 250)
    assert exclusive.open_streams == []
    exclusive.simulator.faults.clear()
    stranger = await open_by_somebody_else(exclusive)
    await exclusive.pass_time(TWO_LOOKS)
    assert await closed_by_us(exclusive) == [stranger]
    (row,) = await exclusive.rows(tables.streams)
    assert (row.state, row.upstream_id) == (StreamState.LOST, None)


async def test_the_lost_create_nearest_in_time_gets_the_stream(exclusive: BotHarness) -> None:
    exclusive.simulator.faults.add(
        effect=Effect.STATUS, status=500, times=None, method="GET", path="/v1/streaming.list"
    )
    exclusive.simulator.faults.add(effect=Effect.LOST_REPLY, times=2, **CREATE)
    for name in ("first", "second"):
        await exclusive.type("/avatar start", channel=CHANNEL._replace(id=name))
        await exclusive.pass_time(20)
    by_time = [view.id for view in exclusive.simulator.streams()]
    assert len(exclusive.open_streams) == 2
    exclusive.simulator.faults.clear()
    await exclusive.pass_time(120)
    rows = sorted(await exclusive.rows(tables.streams), key=lambda row: row.created_at)
    assert [row.upstream_id for row in rows] == by_time
    assert exclusive.open_streams == []


async def test_nothing_is_closed_while_a_create_is_under_way(exclusive: BotHarness) -> None:
    stranger = await open_by_somebody_else(exclusive)
    exclusive.simulator.faults.add(effect=Effect.LATENCY, seconds=25, **CREATE)
    await exclusive.type("/avatar start")
    await exclusive.pass_time(22)
    assert stranger in {view.id for view in exclusive.open_streams}
    await exclusive.pass_time(10)
    running = exclusive.running
    assert running is not None
    await exclusive.until(lambda: running.is_live)
    await exclusive.pass_time(10)
    assert [view.id for view in exclusive.open_streams] == [running.stream.upstream_id]


async def test_a_close_of_an_unowned_stream_that_fails_is_tried_again(exclusive: BotHarness) -> None:
    stranger = await open_by_somebody_else(exclusive)
    exclusive.simulator.faults.add(effect=Effect.STATUS, status=500, times=None, **CLOSE)
    await exclusive.pass_time(40)
    assert [view.id for view in exclusive.open_streams] == [stranger]
    assert await closed_by_us(exclusive) == []
    exclusive.simulator.faults.clear()
    await exclusive.pass_time(30)
    assert exclusive.open_streams == []
    assert await closed_by_us(exclusive) == [stranger]


async def test_a_list_that_cannot_be_had_closes_nothing(exclusive: BotHarness) -> None:
    running = await exclusive.start()
    exclusive.simulator.faults.add(
        effect=Effect.STATUS, status=500, times=None, method="GET", path="/v1/streaming.list"
    )
    await exclusive.pass_time(60)
    assert not running.stop.is_set
    assert len(exclusive.open_streams) == 1


async def test_an_operator_reads_of_unowned_streams_and_an_admin_of_a_workspace_does_not(shared: BotHarness) -> None:
    await open_by_somebody_else(shared)
    assert (await shared.type("/avatar-admin cleanup", replace(ADA, is_operator=False))).text == "Closed no sessions."
    assert "1 more open stream that no session here owns" in (await shared.type("/avatar-admin cleanup", ADA)).text


async def test_a_provider_that_cannot_list_is_left_alone(tmp_path: Path) -> None:
    async with BotHarness(
        tmp_path, "heygen-realtime", policy=OURS, options=simulated(v3_idle=600.0), jobs=True
    ) as world:
        running = await world.start()
        await world.pass_time(60)
        assert not running.stop.is_set
        assert len(world.open_streams) == 1


async def test_a_stream_that_a_row_names_is_ours_and_closed_although_others_use_the_key(shared: BotHarness) -> None:
    """However it came to be taken for ended: nobody else looks after it."""
    running = await shared.start()
    stream = running.stream.current
    assert stream is not None
    stranger = await open_by_somebody_else(shared)
    await running.listener.stream_ended(stream.id, "taken for ended")
    assert len(shared.open_streams) == 2
    await shared.pass_time(TWO_LOOKS)
    assert [view.id for view in shared.open_streams] == [stranger]
    assert await closed_by_us(shared) == [stream.upstream_id]


async def test_one_process_of_all_looks_after_them(exclusive: BotHarness) -> None:
    directory: Any = exclusive.sessions.services.cluster.directory
    directory.is_first = False
    await open_by_somebody_else(exclusive)
    await exclusive.pass_time(3 * TWO_LOOKS)
    assert len(exclusive.open_streams) == 1
    assert exclusive.sessions.unowned.count == 0
    directory.is_first = True
    await exclusive.pass_time(TWO_LOOKS)
    assert exclusive.open_streams == []
    directory.is_first = False
    await open_by_somebody_else(exclusive)
    await exclusive.pass_time(3 * TWO_LOOKS)
    assert len(exclusive.open_streams) == 1


async def test_a_stream_that_cannot_be_written_down_any_more_is_closed_before_its_process_ends(
    realtime: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending: list[asyncio.Task[None]] = []

    async def is_taken_over(stream_id: str, upstream_id: str) -> bool:
        # The program leaves all sessions where they are in the very moment in which it learns of it.
        ending.append(asyncio.create_task(realtime.sessions.abandon_all()))
        raise OwnershipLost("another process has the database")

    monkeypatch.setattr(realtime.store.streams, "bind", is_taken_over)
    await realtime.type("/avatar start")
    await realtime.until(lambda: ending and ending[0].done())
    assert len(realtime.simulator.streams()) == 1
    assert realtime.open_streams == []
