"""Stories of a process that goes on although others have taken its sessions over: each ends well, and badly without the
one thing that keeps the two apart. That `test_several_processes.py` finds nothing proves something only if that is
so."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.chat.slack.routing import TO_OWNER
from bot.cluster import membership
from bot.core import fence
from bot.core.models import Channel
from bot.store.parcels import ParcelRepository
from bot.store.tables import FENCED, processes, sessions, utterances
from tests.harness import shared_database
from tests.harness.bot import with_policy
from tests.harness.judge import Judge
from tests.harness.member import TEAM
from tests.harness.shared_database import SharedDatabase

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

PLACE = "C1"

Story = Callable[[SharedDatabase], Awaitable[None]]


async def verdict(url: str, story: Story) -> list[str]:
    """What was not right, after all has come to rest."""
    world = SharedDatabase(url, policy=with_policy(stream_linger=10.0, queue_max_age=100.0))
    async with world:
        ada, *_ = world.members
        world.command("start", PLACE, ada)
        await world.pass_time(10.0)
        await story(world)
        await Judge(world).come_to_rest()
        return world.violations


# --- the stories -----------------------------------------------------------------------------------------------------


async def cut_off_in_the_middle_of_a_long_message(world: SharedDatabase) -> None:
    ada, *_ = world.members
    world.write(PLACE, 0, words=240)
    await world.pass_time(6.0)
    ada.gate.cut(silently=True)
    await world.pass_time(30.0)


async def stopped_before_a_request_leaves(world: SharedDatabase) -> None:
    ada, *_ = world.members
    client: Any = ada.core.services.provider._connection  # type: ignore[attr-defined]  # of the real ones
    send = client._send

    async def stops(request: Any) -> Any:
        if request.url.path.endswith("/text"):
            client._send = send
            ada.gate.stop()
        return await send(request)

    client._send = stops
    world.write(PLACE, 0)
    await world.pass_time(0.1)
    assert ada.clock.is_stopped
    await world.pass_time(12.0)
    # What its database would tell it comes too late.
    ada.gate.cut(silently=True)
    ada.gate.go_on()
    await world.pass_time(1.0)


async def stopped_before_a_message_is_accepted(world: SharedDatabase) -> None:
    ada, *_ = world.members
    owner = await world.query(sa.select(sessions.c.owner))
    world.write(PLACE, 0)
    # It comes in, it is counted in a transaction of its own, and then.
    world.strike(ada, 5, "stop")
    await world.pass_time(0.0)
    assert ada.clock.is_stopped
    assert await world.query(sa.select(utterances)) == []
    while await world.query(sa.select(sessions.c.owner)) in (owner, [(None,)]):
        await world.pass_time(0.25)
    # Before Slack brings it to another one.
    ada.gate.go_on()
    await world.pass_time(1.0)


async def killed_with_two_that_claim(world: SharedDatabase) -> None:
    ada, ben, cyd = world.members
    await world.kill(ada)
    await world.execute(processes.delete().where(processes.c.id == ada.membership.process.id))
    # It looks what is free, claims it, and is about to commit.
    world.strike(ben, 4, "stop")
    ben.core.services.cluster.claims.hurry()
    await world.rest()
    assert ben.clock.is_stopped
    cyd.core.services.cluster.claims.hurry()
    for _ in range(50):
        if await world.query(WAITING):
            break
    ben.gate.go_on()
    await world.pass_time(1.0)


WAITING: sa.Select[Any] = (
    sa.select(sa.literal_column("pid")).select_from(sa.text("pg_locks")).where(sa.text("NOT granted"))
)
"""Who waits for a lock, as nobody has to with `SKIP LOCKED`."""


async def unreachable_when_a_message_comes(world: SharedDatabase) -> None:
    ada, *_ = world.members
    ada.gate.stop()
    world.write(PLACE, 1)
    await world.pass_time(15.0)


async def cut_off_while_people_write(world: SharedDatabase) -> None:
    ada, *_ = world.members
    ada.gate.cut(silently=True)
    for number in range(20):
        world.write(PLACE, 1 + number % 2, words=1)
        await world.pass_time(0.5)
    await world.pass_time(30.0)


async def stopped_while_it_opens_a_stream(world: SharedDatabase) -> None:
    ada, *_ = world.members
    world.command("stop", PLACE, ada)
    await world.pass_time(2.0)
    assert world.open_streams == []
    client: Any = ada.core.services.provider._connection  # type: ignore[attr-defined]  # of the real ones
    send = client._send

    async def stops(request: Any) -> Any:
        answer = await send(request)
        if request.url.path == "/v3/avatar-realtime":
            client._send = send
            ada.gate.stop()
            await ada.gate.passage(AssertionError())
        return answer

    client._send = stops
    world.command("start", PLACE, ada)
    await world.pass_time(12.0)
    assert len(world.open_streams) == 1
    ada.gate.go_on()
    await world.pass_time(1.0)
    # Nobody could name it any more, and it would cost money until it ends by itself.
    assert world.open_streams == []


async def kept_for_one_that_has_taken_over(world: SharedDatabase) -> None:
    ada, *_ = world.members
    await world.kill(ada)
    await world.pass_time(12.0)
    _, other = sorted(world.members[1:], key=lambda member: len(member.core.sessions), reverse=True)
    label = "message 0099"
    event = {"type": "app_mention", "channel": PLACE, "text": f"{label} word", "ts": "99"}
    packed = json.dumps({"body": {"team_id": TEAM, "event": event}, "headers": {}, "mode": "socket_mode"})
    world.written[label], world.acknowledged[label] = PLACE, 1
    await other.core.services.cluster.parcels.put(Channel("slack", TEAM, PLACE), TO_OWNER, packed)
    await world.rest()
    # Time stands still: nothing could come in before it.
    assert len(await world.query(sa.select(utterances))) == 1


# --- what keeps them apart -------------------------------------------------------------------------------------------


def without_deadline(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(membership, "MAY_ACT_FOR", 1e9)


def without_the_last_look(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fence, "check", lambda: None)


def without_row_locks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sa.Select, "with_for_update", lambda self, **_: self)


def without_forgetting(patch: pytest.MonkeyPatch) -> None:
    async def forget(_: ParcelRepository, __: int) -> None:
        pass

    patch.setattr(ParcelRepository, "forget", forget)


@asynccontextmanager
async def without_trigger(url: str) -> AsyncIterator[None]:
    async with SharedDatabase(url) as world:
        for table in FENCED:
            await world.execute(sa.text(f"ALTER TABLE {table.name} DISABLE TRIGGER still_a_member"))
    try:
        yield
    finally:
        async with SharedDatabase(url) as world:
            for table in FENCED:
                await world.execute(sa.text(f"ALTER TABLE {table.name} ENABLE TRIGGER still_a_member"))


@pytest.mark.parametrize(
    "story",
    [
        cut_off_in_the_middle_of_a_long_message,
        cut_off_while_people_write,
        stopped_before_a_request_leaves,
        stopped_before_a_message_is_accepted,
        stopped_while_it_opens_a_stream,
        killed_with_two_that_claim,
        unreachable_when_a_message_comes,
        kept_for_one_that_has_taken_over,
    ],
)
async def test_a_former_owner_changes_nothing(migrated_postgres_url: str, story: Story) -> None:
    assert await verdict(migrated_postgres_url, story) == []


@pytest.mark.parametrize(
    ("story", "without", "seen"),
    [
        (cut_off_in_the_middle_of_a_long_message, without_deadline, "ada asks for"),
        (stopped_before_a_request_leaves, without_the_last_look, "ada asks for"),
        (killed_with_two_that_claim, without_row_locks, "ben and cyd may act for"),
        (unreachable_when_a_message_comes, without_forgetting, "parcel"),
    ],
)
async def test_without_what_keeps_them_apart_it_is_seen(
    migrated_postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    story: Story,
    without: Callable[[pytest.MonkeyPatch], None],
    seen: str,
) -> None:
    without(monkeypatch)
    monkeypatch.setattr(shared_database, "PATIENCE", 20.0)
    assert any(seen in violation for violation in await verdict(migrated_postgres_url, story))


async def test_without_the_trigger_a_message_is_accepted_for_nobody(
    migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_database, "PATIENCE", 20.0)
    async with without_trigger(migrated_postgres_url):
        violations = await verdict(migrated_postgres_url, stopped_before_a_message_is_accepted)
    assert any("message 0002 is " in violation for violation in violations)
