"""What admins see and stop: in their own workspace, and everywhere for who runs the bot; all of it in the audit."""

import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from operator import eq
from pathlib import Path

from adapters.simulator import Effect
from bot import sentences
from bot.access.permissions import AccessLists
from bot.core.events import SessionChanged
from bot.core.models import AuditEntry, Channel, EndReason, Role
from bot.store import tables
from tests.builders import an_actor
from tests.harness.bot import ADA, ANA, CHANNEL, BotHarness, simulated

MIA = an_actor("Mia", role=Role.ADMIN)
"""Admin of the workspace of `CHANNEL`, and not the operator."""

SECOND = CHANNEL._replace(id="second")
THERE = Channel("test", "other workspace", "lobby")
ROOMY = simulated(v3_concurrency=10, v3_idle=9000.0)


async def actions(world: BotHarness) -> list[tuple[str, str]]:
    """(who, what) of the audit, oldest first."""
    return [(entry.actor, entry.action) for entry in reversed(await world.store.audit.newest(100))]


async def two_workspaces(world: BotHarness) -> None:
    for channel in (CHANNEL, SECOND, THERE):
        await world.start(channel=channel)


# --- an admin of a workspace -----------------------------------------------------------------------------------------


async def test_an_admin_sees_the_sessions_of_their_own_workspace_alone(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        await two_workspaces(world)
        listed = await world.type("/avatar-admin sessions", MIA)
        assert listed.text == "2 open sessions."
        assert not any("other workspace" in line for _, line in listed.fields)
        listed = await world.type("/avatar-admin sessions", MIA, THERE)
        assert listed.text == "1 open session."


async def test_an_admin_cannot_stop_a_session_of_another_workspace_nor_learn_that_there_is_one(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        there = await world.start(channel=THERE)
        reply = await world.type(f"/avatar-admin stop {there.session.id}", MIA)
        unknown = await world.type("/avatar-admin stop zzzzzz", MIA)
        assert reply.text == unknown.text.replace("zzzzzz", there.session.id)
        assert not there.stop.is_set


async def test_stop_all_of_an_admin_stops_their_own_workspace_alone(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        await two_workspaces(world)
        assert (await world.type("/avatar-admin stop-all", MIA)).text == "Stopping 2 sessions."
        await world.until(lambda: len(world.sessions) == 1)
        (left,) = world.sessions
        assert left.session.channel == THERE
        assert not left.stop.is_set


async def test_cleanup_of_an_admin_closes_nothing_of_another_workspace(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        await two_workspaces(world)
        await world.pass_time(70)
        assert (await world.type("/avatar-admin cleanup", MIA)).text == "Closed 2 sessions."
        assert [running.session.channel for running in world.sessions] == [THERE]


async def test_usage_for_an_admin_is_that_of_their_own_workspace(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        await two_workspaces(world)
        await world.pass_time(40)
        reply = await world.type("/avatar-admin usage", MIA)
        assert reply.text == "Avatar time today (UTC):"
        assert {name for name, _ in reply.fields} == {str(CHANNEL), str(SECOND), "All"}


async def test_an_admin_of_one_platform_is_nobody_in_the_same_workspace_name_of_another(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        await world.start()
        elsewhere = CHANNEL._replace(platform="other")
        assert (await world.type("/avatar-admin sessions", MIA, elsewhere)).text == "No open sessions."


# --- the operator ----------------------------------------------------------------------------------------------------


async def test_the_operator_sees_and_stops_the_sessions_of_every_workspace(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY, access=AccessLists(operators=frozenset({"test:mia"}))) as world:
        await two_workspaces(world)
        operator = replace(MIA, role=Role.HOST)
        assert (await world.type("/avatar-admin sessions", operator)).text == "3 open sessions."
        there = world.sessions.in_channel(THERE)
        assert there is not None
        assert (await world.type(f"/avatar-admin stop {there.session.id}", operator)).text == "Stopping the avatar…"
        await world.until(there.closed.is_set)
        assert (await world.type("/avatar-admin stop-all", operator)).text == "Stopping 2 sessions."
        await world.until(lambda: not len(world.sessions))
        assert world.open_streams == []


async def test_streams_whose_close_is_not_confirmed_are_the_operators_business_alone(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        await world.start()
        world.simulator.faults.add(
            effect=Effect.STATUS, status=500, times=None, method="POST", path="/v3/avatar-realtime/*/cancel"
        )
        await world.type("/avatar stop")
        await world.pass_time(15)
        assert (await world.type("/avatar-admin sessions", ADA)).text == (
            "1 open session. 1 stream not confirmed as closed yet; I keep trying."
        )
        assert (await world.type("/avatar-admin sessions", MIA)).text == "1 open session."
        world.simulator.faults.clear()
        await world.until(lambda: not len(world.sessions), step=5.0)
        assert (await world.type("/avatar-admin sessions", ADA)).text == "No open sessions."


# --- what they are told ----------------------------------------------------------------------------------------------


async def test_a_session_is_listed_with_its_channel_state_starter_time_and_queue(realtime: BotHarness) -> None:
    running = await realtime.start()
    listed = await realtime.type("/avatar-admin sessions", MIA)
    used = sentences.used(running.stream.account.used, running.cost)
    told = f"test:workspace:general, live, by Ana since 12:00 UTC, no messages, {used}"
    assert listed.fields == ((running.session.id, told),)


async def test_usage_says_how_long_and_what_it_costs(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        assert (await world.type("/avatar-admin usage", MIA)).text == "No avatar has been open today (UTC)."
        await world.start()
        started = (await world.rows(tables.streams))[0].created_at
        await world.pass_time(60 - (world.clock.now() - started).total_seconds())
        reply = await world.type("/avatar-admin usage", MIA)
        assert reply.fields == ((str(CHANNEL), "open 60 s, spoken 1 s, about $3.00"),)


async def test_usage_without_a_price_says_how_long(streaming: BotHarness) -> None:
    await streaming.start()
    await streaming.pass_time(30)
    ((_, used),) = (await streaming.type("/avatar-admin usage", MIA)).fields
    assert re.fullmatch(r"open \d+ s, spoken 0 s", used)
    assert "$" not in used


async def test_stop_all_where_nothing_is_open_says_so_and_does_not_stop_twice(realtime: BotHarness) -> None:
    assert (await realtime.type("/avatar-admin stop-all", ADA)).text == "No session is open."
    await realtime.start()
    assert (await realtime.type("/avatar-admin stop-all", ADA)).text == "Stopping 1 session."
    assert (await realtime.type("/avatar-admin stop-all", ADA)).text == "No session is open."
    await realtime.until(lambda: realtime.running is None)
    assert sum(notice.startswith("An admin has sent the avatar away") for notice in realtime.notices) == 1


# --- the audit -------------------------------------------------------------------------------------------------------


async def test_starts_stops_refusals_and_every_admin_action_are_in_the_audit(realtime: BotHarness) -> None:
    running = await realtime.start()
    await realtime.type("/avatar-admin stop-all", ANA)
    await realtime.type("/avatar stop")
    await realtime.until(running.closed.is_set)
    running = await realtime.start()
    await realtime.type(f"/avatar-admin stop {running.session.id}", MIA)
    await realtime.until(running.closed.is_set)
    running = await realtime.start()
    await realtime.type("/avatar-admin stop-all", MIA)
    await realtime.until(running.closed.is_set)
    for line in ("cleanup", "block bo", "unblock bo"):
        await realtime.type(f"/avatar-admin {line}", ADA)
    assert await actions(realtime) == [
        ("test:ana (Ana)", "start"),
        ("test:ana (Ana)", "refused"),
        ("test:ana (Ana)", "stop"),
        ("test:ana (Ana)", "start"),
        ("test:mia (Mia)", "admin stop"),
        ("test:ana (Ana)", "start"),
        ("test:mia (Mia)", "admin stop"),
        ("test:ada (Ada)", "cleanup"),
        ("test:ada (Ada)", "block"),
        ("test:ada (Ada)", "unblock"),
    ]


async def test_the_audit_names_session_and_channel_of_a_stop_and_the_person_of_a_block(realtime: BotHarness) -> None:
    running = await realtime.start()
    await realtime.type(f"/avatar-admin stop {running.session.id}", MIA)
    await realtime.type("/avatar-admin block bo", MIA)
    block, stop = await realtime.store.audit.newest(2)
    assert (stop.session_id, stop.channel) == (running.session.id, str(CHANNEL))
    assert block.detail == "test:bo in test:workspace"


async def test_what_is_older_than_a_year_leaves_the_audit(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, jobs=True) as world:
        for days in (366, 364):
            moment = world.clock.now() - timedelta(days=days)
            await world.store.audit.add(AuditEntry(moment, "test:mia", f"{days} days ago"))
        await world.pass_time(3600)
        assert [entry.action for entry in await world.store.audit.newest(10)] == ["364 days ago"]


async def test_a_stop_asked_for_by_the_shell_is_obeyed_within_a_second(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, jobs=True) as world:
        running = await world.start()
        assert await world.store.sessions.request_stop(running.session.id, "shell:operator")
        await world.pass_time(1.0)
        assert running.stop.is_set
        await world.until(running.closed.is_set)
        (row,) = await world.rows(tables.sessions)
        assert row.end_reason == EndReason.ADMIN


async def test_sessions_of_a_channel_that_is_gone_are_closed_and_the_others_stay(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        await two_workspaces(world)
        await world.sessions.end_in_channels(lambda channel: channel.workspace == "workspace", "the bot was removed")
        await world.until(lambda: len(world.sessions) == 1)
        assert [running.session.channel for running in world.sessions] == [THERE]
        gone = [entry for entry in await world.store.audit.newest(10) if entry.action == "channel gone"]
        assert {(entry.channel, entry.detail) for entry in gone} == {
            (str(CHANNEL), "the bot was removed"),
            (str(SECOND), "the bot was removed"),
        }


async def test_channel_that_is_gone_reads_nothing_any_more(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, options=ROOMY) as world:
        for already_ending in (False, True):
            running = await world.start()
            await world.until(lambda running=running: running.is_live)
            before = len(world.notices)
            if already_ending:
                running.stop.request(EndReason.IDLE)
            await world.sessions.end_in_channels(partial(eq, CHANNEL), "the channel was archived")
            await world.until(running.closed.is_set)
            await world.pass_time(1.0)
            assert world.notices[before:] == []
            # The panel and the page still learn of it.
            assert [event for event in world.events if isinstance(event, SessionChanged)][-1].view.ended
