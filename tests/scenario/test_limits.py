"""The operator's brakes on cost: sessions at once, minutes and dollars a day, messages and characters a minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect
from bot.access.quotas import Limits, Quotas
from bot.core.errors import Refused
from bot.core.events import Notice, NoticeKind
from bot.core.models import Channel, EndReason
from bot.store import tables
from tests.builders import an_actor
from tests.harness.bot import ADA, ANA, CHANNEL, BotHarness, simulated, with_policy

BO = an_actor("Bo")
SECOND = CHANNEL._replace(id="second")
THIRD = CHANNEL._replace(id="third")
ELSEWHERE = Channel("test", "other workspace", "lobby")
POLICY = with_policy(idle_timeout=4000.0, idle_ceiling=4000.0, max_duration=7000.0)
"""Nothing but a limit ends a session."""

THIRTY = "thirty characters are in this."
"""Thirty."""

USED_UP = "Today's limit is used up: "


@asynccontextmanager
async def limited(
    folder: Path, limits: Limits, provider: str = "heygen-realtime", *, at: str = "12:00", **others: Any
) -> AsyncIterator[BotHarness]:
    """A world with limits whose streams stay open, `at` a time of the day (UTC)."""
    options = simulated(v3_idle=9000.0, v3_max=9000.0, v1_session_limit=9000, v3_concurrency=50)
    others.setdefault("policy", POLICY)
    world = BotHarness(folder, provider, limits=limits, options=options, jobs=True, **others)
    world.clock._start = datetime.fromisoformat(f"2026-11-20T{at}:00+00:00").astimezone(UTC)
    async with world:
        yield world


async def open_seconds(world: BotHarness) -> float:
    """For how long streams were open altogether, by the books."""
    now = world.clock.now()
    rows = await world.rows(tables.streams)
    return sum(((row.closed_at or now) - row.created_at).total_seconds() for row in rows)


async def workspaces(world: BotHarness) -> list[tuple[str, float]]:
    """For how many seconds streams were open in each workspace."""
    spent = await Quotas(world.store, world.clock, Limits(), None).spent()
    return [(workspace, used.open) for (_, workspace), used in spent.by_workspace.items()]


# --- sessions at once ------------------------------------------------------------------------------------------------


async def test_one_session_more_than_allowed_at_once_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(workspace_sessions=2)) as world:
        first = await world.start()
        await world.start(channel=SECOND)
        reply = await world.type("/avatar start", channel=THIRD)
        assert reply.text == (
            "2 avatars are in this workspace already, and that is the limit. "
            "Stop one first with `/avatar stop` in its channel."
        )
        await world.type("/avatar stop")
        await world.until(first.closed.is_set)
        assert (await world.type("/avatar start", channel=THIRD)).text.startswith("Starting the avatar")


async def test_a_start_where_the_avatar_is_already_points_at_it_whatever_the_limit(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(workspace_sessions=1)) as world:
        await world.start()
        assert (await world.type("/avatar start")).text.startswith("An avatar is already in this channel")


async def test_sessions_of_another_workspace_do_not_count(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(workspace_sessions=1)) as world:
        await world.start()
        assert (await world.type("/avatar start", channel=ELSEWHERE)).text.startswith("Starting the avatar")


async def test_simultaneous_starts_in_many_channels_open_no_more_than_allowed(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(workspace_sessions=3, workspace_minutes=60)) as world:
        channels = [CHANNEL._replace(id=f"channel {number}") for number in range(10)]
        replies = await asyncio.gather(*(world.type("/avatar start", channel=channel) for channel in channels))
        assert sum(reply.text.startswith("Starting the avatar") for reply in replies) == 3
        assert len(await world.store.sessions.all_open()) == 3


async def test_a_start_that_a_limit_refuses_is_in_the_audit(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(workspace_sessions=1)) as world:
        await world.start()
        await world.type("/avatar start", BO, SECOND)
        newest = (await world.store.audit.newest(1))[0]
        assert (newest.action, newest.actor) == ("refused", "test:bo (Bo)")
        assert "/avatar start in test:workspace:second: 1 avatar is in this workspace already" in (newest.detail or "")


# --- minutes and dollars of a day ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "limits", "what"),
    [
        ("heygen-streaming", Limits(channel_minutes=1), "1 minute a day in this channel"),
        ("heygen-streaming", Limits(workspace_minutes=1), "1 minute a day in this workspace"),
        ("heygen-realtime", Limits(channel_dollars=Decimal(3)), "$3.00 a day in this channel"),
        ("heygen-realtime", Limits(workspace_dollars=Decimal(3)), "$3.00 a day in this workspace"),
    ],
    ids=["channel minutes", "workspace minutes", "channel dollars", "workspace dollars"],
)
async def test_a_used_up_limit_ends_the_session_within_five_seconds_and_refuses_the_next_start(
    tmp_path: Path, provider: str, limits: Limits, what: str
) -> None:
    async with limited(tmp_path, limits, provider) as world:
        running = await world.start()
        await world.until(running.closed.is_set, step=1.0)
        assert 60 <= await open_seconds(world) <= 60 + 5 + 1
        assert world.open_streams == []
        sentence = f"{USED_UP}{what}. It resets at midnight UTC."
        assert world.notices[-1].startswith(f"{sentence} The avatar has left after")
        (row,) = await world.rows(tables.sessions)
        assert row.end_reason == EndReason.MAX_DURATION
        assert (await world.type("/avatar start")).text == sentence
        assert len(await world.rows(tables.sessions)) == 1


async def test_a_session_that_a_limit_has_ended_is_in_the_audit_once(tmp_path: Path) -> None:
    limits = Limits(channel_minutes=1, workspace_minutes=1)
    async with limited(tmp_path, limits, "heygen-streaming") as world:
        running = await world.start()
        await world.until(running.closed.is_set, step=1.0)
        newest, start = await world.store.audit.newest(10)
        assert (newest.actor, newest.action, newest.session_id) == (
            "bot:bot (the bot itself)",
            "limit reached",
            running.session.id,
        )
        assert newest.detail == "1 minute a day in this channel"
        assert start.action == "start"


async def test_a_session_that_is_closing_is_not_warned_any_more(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=1), "heygen-streaming") as world:
        running = await world.start()
        world.simulator.faults.add(
            effect=Effect.STATUS, status=500, times=None, method="POST", path="/v1/streaming.stop"
        )
        await world.type("/avatar stop")
        await world.pass_time(70)
        assert not any("of today's limit" in notice for notice in world.notices)
        world.simulator.faults.clear()
        await world.until(running.closed.is_set, step=5.0)


async def test_where_no_price_is_known_admins_are_told_that_limits_in_dollars_do_nothing(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_dollars=Decimal(1)), "heygen-streaming") as world:
        reply = await world.type("/avatar-admin limits", ADA)
        assert reply.text == "Limits, and how much of them is used here today:"
        assert reply.fields == (("Limits in dollars", "without effect: the price of this avatar service is not known"),)


async def test_the_channel_is_warned_exactly_once_before_the_limit_is_used_up(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=2), "heygen-streaming") as world:
        running = await world.start()
        await world.until(running.closed.is_set, step=1.0)
        warnings = [
            event.reply.text
            for event in world.events
            if isinstance(event, Notice) and event.occasion is NoticeKind.WARNING
        ]
        assert len(warnings) == 1
        assert warnings[0].startswith("8")
        assert warnings[0].endswith(
            " % of today's limit is used: 2 minutes a day in this channel. When it is used up, the avatar leaves."
        )


async def test_no_warning_comes_before_its_share_of_the_limit_is_used(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=2, warn_at=0.5), "heygen-streaming") as world:
        await world.start()
        await world.pass_time(54)
        assert not any("of today's limit" in notice for notice in world.notices)
        await world.pass_time(12)
        assert sum("of today's limit" in notice for notice in world.notices) == 1


async def test_one_channels_limit_is_not_used_up_by_another_but_the_workspaces_is(tmp_path: Path) -> None:
    limits = Limits(channel_minutes=2, workspace_minutes=3)
    async with limited(tmp_path, limits, "heygen-streaming") as world:
        first = await world.start()
        second = await world.start(channel=SECOND)
        elsewhere = await world.start(channel=ELSEWHERE)
        await world.until(first.closed.is_set, step=1.0)
        assert second.closed.is_set()
        (used,) = (seconds for name, seconds in await workspaces(world) if name == CHANNEL.workspace)
        assert 180 <= used <= 180 + 2 * 6
        assert not elsewhere.stop.is_set
        assert (await world.type("/avatar start", channel=THIRD)).text == (
            f"{USED_UP}3 minutes a day in this workspace. It resets at midnight UTC."
        )


async def test_what_was_used_counts_over_several_sessions(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=1), "heygen-streaming") as world:
        for _ in range(2):
            running = await world.start()
            await world.pass_time(20)
            await world.type("/avatar stop")
            await world.until(running.closed.is_set)
            await world.pass_time(30)
        running = await world.start()
        await world.until(running.closed.is_set, step=1.0)
        assert 60 <= await open_seconds(world) <= 66


async def test_time_in_which_the_bot_was_away_counts_only_as_long_as_the_stream_can_have_been_open(
    tmp_path: Path,
) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", limits=Limits(channel_minutes=60)) as world:
        await world.start()
        await world.crash()
        await world.pass_time(7200)
        await world.boot()
        assert await open_seconds(world) < 400
        await world.until(lambda: world.running is None or not world.running.stop.is_set)


async def test_what_was_used_counts_over_a_restart(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=1), "heygen-streaming") as world:
        await world.start()
        await world.pass_time(30)
        await world.crash()
        await world.boot()
        running = world.running
        assert running is not None
        await world.until(running.closed.is_set, step=1.0)
        assert 60 <= await open_seconds(world) <= 66
        await world.crash()
        await world.boot()
        assert (await world.type("/avatar start")).text.startswith(USED_UP)


async def test_a_silent_realtime_session_uses_nothing_up(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, limits=Limits(channel_minutes=1), policy=POLICY, jobs=True) as world:
        running = await world.start()
        await world.pass_time(120)
        assert world.open_streams == []
        assert not running.stop.is_set
        assert await open_seconds(world) < 60


async def test_where_no_price_is_known_limits_in_dollars_are_without_effect(tmp_path: Path) -> None:
    limits = Limits(channel_dollars=Decimal("0.01"), workspace_dollars=Decimal("0.01"))
    async with limited(tmp_path, limits, "heygen-streaming") as world:
        running = await world.start()
        await world.pass_time(120)
        assert not running.stop.is_set
        assert not any("limit" in notice for notice in world.notices)


# --- midnight --------------------------------------------------------------------------------------------------------


async def test_a_limit_begins_anew_at_midnight(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=1), "heygen-streaming", at="23:57") as world:
        running = await world.start()
        await world.until(running.closed.is_set, step=1.0)
        assert (await world.type("/avatar start")).text.startswith(USED_UP)
        await world.pass_time((datetime(2026, 11, 21, tzinfo=UTC) - world.clock.now()).total_seconds() - 1)
        assert (await world.type("/avatar start")).text.startswith(USED_UP)
        await world.pass_time(1)
        assert (await world.type("/avatar start")).text.startswith("Starting the avatar")


async def test_of_a_stream_open_over_midnight_only_the_part_of_today_counts(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=2), "heygen-streaming", at="23:58") as world:
        world.clock._start = world.clock._start.replace(minute=58, second=20)
        running = await world.start()
        await world.pass_time(100 + 115)
        assert not running.stop.is_set
        await world.until(running.closed.is_set, step=1.0)
        assert 220 <= await open_seconds(world) <= 226


async def test_each_day_has_a_warning_of_its_own(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(channel_minutes=2), "heygen-streaming", at="23:58") as world:
        world.clock._start = world.clock._start.replace(minute=58, second=10)
        running = await world.start()
        await world.until(running.closed.is_set, step=1.0)
        assert sum("of today's limit is used" in notice for notice in world.notices) == 2


# --- what people see -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("provider", "price"), [("heygen-realtime", True), ("heygen-streaming", False)])
async def test_a_start_says_what_it_costs_a_minute_and_when_it_ends(tmp_path: Path, provider: str, price: bool) -> None:
    async with BotHarness(tmp_path, provider) as world:
        await world.type("/avatar idle 120")
        text = (await world.type("/avatar start")).text
        assert ("An open minute costs up to $3.00." in text) is price
        assert text.endswith("It leaves by itself after 2 min without a message, and after 1 h at the latest.")


async def test_admins_see_how_much_of_each_limit_is_used(tmp_path: Path) -> None:
    limits = Limits(
        workspace_sessions=4,
        channel_minutes=10,
        workspace_minutes=20,
        channel_dollars=Decimal(60),
        workspace_dollars=Decimal(120),
    )
    async with limited(tmp_path, limits) as world:
        await world.start()
        await world.start(channel=SECOND)
        await world.pass_time(54)
        reply = await world.type("/avatar-admin limits", ADA)
        assert reply.text == "Limits, and how much of them is used here today:"
        shares = dict(reply.fields)
        assert shares.pop("4 sessions at once in this workspace") == "2 sessions"
        assert shares == {
            "10 minutes a day in this channel": "10 %",
            "20 minutes a day in this workspace": "10 %",
            "$60.00 a day in this channel": "5 %",
            "$120.00 a day in this workspace": "5 %",
        }


async def test_where_no_limit_is_set_admins_are_told_so(realtime: BotHarness) -> None:
    assert (await realtime.type("/avatar-admin limits", ADA)).text == "No limits are set."


# --- messages and characters a minute --------------------------------------------------------------------------------


async def test_who_writes_too_many_characters_is_slowed_down_and_others_and_admins_are_not(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, user_characters=50) as world:
        await world.start()
        await world.write(THIRTY)
        with pytest.raises(Refused, match=r"That is more than 50 characters within a minute\. Wait a little"):
            await world.write(THIRTY)
        assert (await world.write(THIRTY[:20])).utterance is not None
        assert (await world.write(THIRTY + THIRTY[:20], BO)).utterance is not None
        assert (await world.write(THIRTY * 3, ADA)).utterance is not None
        await world.pass_time(61)
        assert (await world.write(THIRTY)).utterance is not None


async def test_say_and_ask_count_like_messages(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, user_characters=50) as world:
        await world.start()
        await world.type(f"/avatar say {THIRTY}", ANA)
        assert (await world.type(f"/avatar ask {THIRTY}", ANA)).text.startswith("That is more than 50 characters")
