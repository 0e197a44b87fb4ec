"""The idle time a channel has chosen, what keeps an avatar although nobody writes, and pages that nobody has open."""

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.simulator import Effect
from bot.commands.parser import AVATAR, CommandContext, parse
from bot.core.events import Notice, NoticeKind
from bot.core.models import Actor, EndReason, Role, UtteranceState
from bot.store import tables
from tests.harness.bot import ANA, CHANNEL, BotHarness, simulated, with_policy

GUEST = replace(ANA, id="guest", role=Role.VIEWER)
SPEAKER = replace(ANA, id="speaker", role=Role.SPEAKER)
SECOND = CHANNEL._replace(id="second")
BOUNDS = "Give a number of seconds from 5 to 3600, or `default` for what the operator has set."


def warnings(world: BotHarness) -> list[Notice]:
    return [event for event in world.events if isinstance(event, Notice) and event.occasion is NoticeKind.WARNING]


async def press(world: BotHarness, verb: str, session_id: str, actor: Actor = ANA) -> str:
    """Press a button that was shown for a session."""
    command = parse(verb, world.commands.usages, AVATAR)
    reply = await world.commands.run(CommandContext(command, CHANNEL, actor, session_id=session_id))
    assert reply is not None
    return reply.text


# --- what a channel chooses ------------------------------------------------------------------------------------------


async def test_a_channel_chooses_its_idle_time_for_the_session_that_is_open(streaming: BotHarness) -> None:
    running = await streaming.start()
    reply = await streaming.type("/avatar idle 60")
    assert reply.text == "The avatar now leaves this channel after 60 s without a message, chosen here."
    await streaming.pass_time(25)
    assert warnings(streaming) == []
    await streaming.pass_time(10)
    assert [warning.reply.text for warning in warnings(streaming)] == [
        "Nobody has written for a while: the avatar leaves in 30 s unless somebody writes."
    ]
    await streaming.pass_time(30)
    assert running.closed.is_set()


async def test_a_longer_idle_time_keeps_a_session_that_was_about_to_end(streaming: BotHarness) -> None:
    running = await streaming.start()
    await streaming.pass_time(290)
    await streaming.type("/avatar idle 600")
    await streaming.pass_time(200)
    assert not running.stop.is_set
    await streaming.pass_time(120)
    assert running.closed.is_set()


async def test_an_idle_time_that_is_over_already_ends_the_session_at_once(streaming: BotHarness) -> None:
    running = await streaming.start()
    await streaming.pass_time(100)
    await streaming.type("/avatar idle 30")
    await streaming.until(running.closed.is_set)
    assert streaming.notices[-1].startswith("Nobody wrote for a while, so the avatar has left after")


async def test_the_time_an_avatar_takes_to_come_is_no_idle_time(streaming: BotHarness) -> None:
    streaming.simulator.faults.add(effect=Effect.LATENCY, seconds=20, method="POST", path="/v1/streaming.new")
    await streaming.type("/avatar idle 15")
    running = await streaming.start()
    await streaming.pass_time(5)
    assert warnings(streaming) == []
    assert not running.stop.is_set
    await streaming.pass_time(12)
    assert running.closed.is_set()


async def test_the_choice_holds_for_the_next_sessions_of_the_channel_and_for_no_other(streaming: BotHarness) -> None:
    reply = await streaming.type("/avatar idle 60")
    assert reply.text == "The avatar now leaves this channel after 60 s without a message, chosen here."
    here, there = await streaming.start(), await streaming.start(channel=SECOND)
    await streaming.pass_time(70)
    assert here.closed.is_set()
    assert not there.stop.is_set


async def test_the_choice_holds_over_a_restart(streaming: BotHarness) -> None:
    await streaming.start()
    await streaming.type("/avatar idle 60")
    await streaming.crash()
    await streaming.boot()
    running = streaming.running
    assert running is not None
    await streaming.pass_time(70)
    assert running.closed.is_set()


async def test_idle_without_a_number_says_what_holds(streaming: BotHarness) -> None:
    assert (await streaming.type("/avatar idle")).text == (
        "The avatar leaves this channel after 5 min without a message, as the operator has set it."
    )
    await streaming.type("/avatar idle 120")
    assert (await streaming.type("/avatar idle")).text == (
        "The avatar leaves this channel after 2 min without a message, chosen here."
    )
    await streaming.start()
    assert (await streaming.type("/avatar idle")).text == (
        "The avatar leaves this channel after 2 min without a message, chosen here."
    )


async def test_default_goes_back_to_what_the_operator_has_set(streaming: BotHarness) -> None:
    await streaming.type("/avatar idle 60")
    running = await streaming.start()
    assert (await streaming.type("/avatar idle Default")).text == (
        "The avatar now leaves this channel after 5 min without a message, as the operator has set it."
    )
    assert (await streaming.store.channels.settings(CHANNEL)).idle_timeout is None
    assert (await streaming.type("/avatar idle")).text == (
        "The avatar leaves this channel after 5 min without a message, as the operator has set it."
    )
    assert running.policy == streaming.sessions.services.policy
    await streaming.pass_time(230)
    assert warnings(streaming) == []
    await streaming.pass_time(20)
    assert len(warnings(streaming)) == 1
    await streaming.pass_time(60)
    assert running.closed.is_set()


async def test_default_holds_for_the_next_session_and_over_a_restart(streaming: BotHarness) -> None:
    await streaming.type("/avatar idle 60")
    await streaming.type("/avatar idle default")
    await streaming.crash()
    await streaming.boot()
    running = await streaming.start()
    await streaming.pass_time(230)
    assert not running.stop.is_set


@pytest.mark.parametrize("seconds", ["4.9", "0", "-60", "3601", "inf", "nan", "soon", "60 s", "1e9"])
async def test_an_idle_time_out_of_bounds_is_refused_with_the_bounds(streaming: BotHarness, seconds: str) -> None:
    running = await streaming.start()
    assert (await streaming.type(f"/avatar idle {seconds}")).text == BOUNDS
    assert running.policy.idle_timeout == 300.0
    assert (await streaming.store.channels.settings(CHANNEL)).idle_timeout is None


@pytest.mark.parametrize("seconds", ["5", "3600"])
async def test_the_bounds_themselves_may_be_chosen(streaming: BotHarness, seconds: str) -> None:
    await streaming.type(f"/avatar idle {seconds}")
    assert (await streaming.store.channels.settings(CHANNEL)).idle_timeout == float(seconds)


async def test_the_operators_ceiling_holds_also_for_what_was_chosen_before(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        await world.type("/avatar idle 1000")
        await world.crash()
        world._policy = with_policy(idle_ceiling=400.0)
        await world.boot()
        assert (await world.type("/avatar idle 401")).text == BOUNDS.replace("3600", "400")
        assert (await world.type("/avatar idle")).text == (
            "The avatar leaves this channel after 7 min without a message, chosen here."
        )
        running = await world.start()
        await world.pass_time(410)
        assert running.closed.is_set()


@pytest.mark.parametrize("actor", [GUEST, SPEAKER], ids=["viewer", "speaker"])
async def test_only_hosts_choose_the_idle_time(streaming: BotHarness, actor: Actor) -> None:
    assert (await streaming.type("/avatar idle 60", actor)).text.startswith("You may not start or stop the avatar")
    assert (await streaming.store.channels.settings(CHANNEL)).idle_timeout is None


async def test_the_idle_time_of_a_session_that_closes_wakes_nothing_any_more(streaming: BotHarness) -> None:
    running = await streaming.start()
    streaming.simulator.faults.add(
        effect=Effect.STATUS, status=500, times=None, method="POST", path="/v1/streaming.stop"
    )
    await streaming.type("/avatar stop")
    await streaming.pass_time(1)
    await streaming.type("/avatar idle 10")
    await streaming.pass_time(30)
    assert warnings(streaming) == []
    streaming.simulator.faults.clear()
    await streaming.until(running.closed.is_set, step=5.0)


# --- keeping it ------------------------------------------------------------------------------------------------------


async def test_the_warning_has_a_button_to_keep_the_avatar(streaming: BotHarness) -> None:
    running = await streaming.start()
    await streaming.pass_time(250)
    (warning,) = warnings(streaming)
    assert [(button.verb, button.label) for button in warning.reply.buttons] == [("keep", "Keep it here")]
    assert await press(streaming, "keep", running.session.id) == "Good, the avatar stays."
    await streaming.pass_time(200)
    assert not running.stop.is_set
    await streaming.pass_time(110)
    assert running.closed.is_set()


async def test_a_stream_that_is_kept_outlives_the_providers_own_idle_time(streaming: BotHarness) -> None:
    running = await streaming.start()
    await streaming.pass_time(290)
    await press(streaming, "keep", running.session.id)
    await streaming.pass_time(280)
    assert not running.stop.is_set
    assert len(streaming.open_streams) == 1
    assert len(streaming.simulator.streams()) == 1


async def test_a_stream_outlives_the_idle_time_it_was_opened_with_where_the_channel_chose_a_longer_one(
    streaming: BotHarness,
) -> None:
    running = await streaming.start()
    await streaming.pass_time(280)
    await streaming.type("/avatar idle 900")
    await streaming.pass_time(300)
    assert not running.stop.is_set
    assert len(streaming.open_streams) == 1
    assert len(streaming.simulator.streams()) == 1


async def test_an_avatar_that_is_leaving_cannot_be_kept(streaming: BotHarness) -> None:
    running = await streaming.start()
    await streaming.type("/avatar stop")
    closing = "The avatar is just leaving this channel. Try again in a few seconds."
    assert await press(streaming, "keep", running.session.id) == closing
    await streaming.until(running.closed.is_set)


async def test_who_keeps_it_is_warned_again_before_it_leaves(streaming: BotHarness) -> None:
    await streaming.start()
    await streaming.pass_time(250)
    await streaming.type("/avatar keep")
    await streaming.pass_time(250)
    assert len(warnings(streaming)) == 2


async def test_speakers_may_keep_the_avatar_and_viewers_may_not(streaming: BotHarness) -> None:
    running = await streaming.start()
    assert (await press(streaming, "keep", running.session.id, GUEST)).startswith("You may not write to the avatar")
    assert await press(streaming, "keep", running.session.id, SPEAKER) == "Good, the avatar stays."


@pytest.mark.parametrize("verb", ["keep", "stop", "interrupt", "skip", "status", "watch"])
async def test_a_button_of_an_earlier_session_does_nothing_to_the_one_that_is_there_now(
    streaming: BotHarness, verb: str
) -> None:
    earlier = await streaming.start()
    await streaming.type("/avatar stop")
    await streaming.until(earlier.closed.is_set)
    over = "That avatar has already left. Start one with `/avatar start`."
    assert await press(streaming, verb, earlier.session.id) == over
    running = await streaming.start()
    assert await press(streaming, verb, earlier.session.id) == over
    assert not running.stop.is_set


async def test_an_avatar_that_is_kept_for_ever_leaves_after_its_longest_stay(tmp_path: Path) -> None:
    policy = with_policy(idle_timeout=60.0, max_duration=200.0)
    async with BotHarness(tmp_path, "heygen-streaming", policy=policy) as world:
        running = await world.start()
        for _ in range(10):
            if not running.stop.is_set:
                await world.type("/avatar keep")
            await world.pass_time(22)
        assert running.closed.is_set()
        (row,) = await world.rows(tables.sessions)
        assert row.end_reason == EndReason.MAX_DURATION


# --- nobody watches --------------------------------------------------------------------------------------------------

UNWATCHED = with_policy(unwatched_timeout=40.0)


async def test_a_session_nobody_watches_leaves_earlier(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=UNWATCHED) as world:
        running = await world.start()
        await world.pass_time(35)
        assert not running.stop.is_set
        await world.pass_time(12)
        assert running.closed.is_set()
        (row,) = await world.rows(tables.sessions)
        assert row.end_reason == EndReason.IDLE
        assert world.notices[-1].startswith("Nobody watched or wrote for a while, so the avatar has left after")


async def test_who_does_not_watch_is_warned_with_a_button_to_keep_the_avatar(tmp_path: Path) -> None:
    policy = with_policy(unwatched_timeout=40.0, idle_warning=15.0)
    async with BotHarness(tmp_path, "heygen-streaming", policy=policy) as world:
        running = await world.start()
        await world.pass_time(20)
        assert warnings(world) == []
        await world.pass_time(10)
        (warning,) = warnings(world)
        assert warning.reply.text == "Nobody is watching or writing: the avatar leaves in 15 s unless somebody does."
        assert [button.verb for button in warning.reply.buttons] == ["keep"]
        assert await press(world, "keep", running.session.id) == "Good, the avatar stays."
        await world.pass_time(20)
        assert not running.stop.is_set
        await world.pass_time(25)
        assert running.closed.is_set()
        assert len(warnings(world)) == 2


async def test_a_warning_longer_than_half_the_time_without_viewers_comes_at_half_of_it(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=UNWATCHED) as world:
        await world.start()
        await world.pass_time(15)
        assert warnings(world) == []
        await world.pass_time(10)
        (warning,) = warnings(world)
        assert "the avatar leaves in 20 s unless somebody" in warning.reply.text


async def test_who_opens_the_page_after_the_warning_keeps_the_avatar(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=UNWATCHED) as world:
        running = await world.start()
        await world.pass_time(30)
        assert len(warnings(world)) == 1
        with world.viewer(running):
            await world.pass_time(100)
            assert not running.stop.is_set
            assert len(warnings(world)) == 1
        await world.pass_time(30)
        assert len(warnings(world)) == 2


async def test_a_session_that_is_watched_is_warned_of_its_idle_end_alone(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=UNWATCHED) as world:
        running = await world.start()
        with world.viewer(running):
            await world.pass_time(290)
            assert [warning.reply.text for warning in warnings(world)] == [
                "Nobody has written for a while: the avatar leaves in 60 s unless somebody writes."
            ]
            await world.pass_time(15)
            assert running.closed.is_set()
            assert world.notices[-1].startswith("Nobody wrote for a while, so the avatar has left after")


async def test_a_session_somebody_watches_stays_its_idle_time(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=UNWATCHED) as world:
        running = await world.start()
        with world.viewer(running):
            await world.pass_time(200)
            assert not running.stop.is_set
        await world.pass_time(30)
        assert not running.stop.is_set
        await world.pass_time(20)
        assert running.closed.is_set()


async def test_writing_and_keeping_count_where_nobody_watches(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=UNWATCHED) as world:
        running = await world.start()
        await world.pass_time(30)
        await world.write("hello")
        await world.pass_time(35)
        await world.type("/avatar keep")
        await world.pass_time(35)
        assert not running.stop.is_set
        await world.pass_time(15)
        assert running.closed.is_set()


async def test_what_is_being_said_is_said_to_its_end_where_nobody_watches(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=with_policy(unwatched_timeout=10.0)) as world:
        await world.start()
        long = " ".join(f"number {number}" for number in range(60))
        await world.write(long)
        await world.until(lambda: world.ended_as(long, UtteranceState.SPOKEN))


async def test_where_it_is_not_configured_it_makes_no_difference_who_watches(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        running = await world.start()
        await world.pass_time(290)
        assert not running.stop.is_set


# --- the longest stay and the provider -------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "costs"), [(10, 70), (60, 90), (1000, 90), (3600, 90)])
async def test_a_long_idle_time_of_a_channel_makes_a_dead_bot_no_dearer(
    tmp_path: Path, seconds: int, costs: float
) -> None:
    options = simulated(v1_session_limit=10_000)
    async with BotHarness(tmp_path, "heygen-streaming", options=options) as world:
        await world.type(f"/avatar idle {seconds}")
        await world.start()
        await world.crash()
        await world.pass_time(costs - 5)
        assert len(world.open_streams) == 1
        await world.pass_time(10)
        assert world.open_streams == []
