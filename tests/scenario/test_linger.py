"""A silent stream is let go and the session stays: when, what it costs, and what happens to whoever comes then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect, StreamView
from bot.core.events import SessionChanged
from bot.core.models import EndReason, StreamState, UtteranceState
from bot.core.views import Phase
from bot.sentences import waiting_for_viewer
from bot.sessions.session import AvatarSession
from bot.speaking.status import LATE_ANSWER
from bot.store import tables
from bot.streams.streams import CLOSE_PATIENCE
from tests.fakes.chat_api import ChatApi, whole
from tests.harness.bot import PROVIDERS, BotHarness, simulated, with_policy
from tests.scenario.test_trouble import TROUBLES, fault, long

ANSWERING = ("heygen-streaming", "liveavatar")
"""The providers whose streams stay open through silence, and which are cut without closing them."""

SPEECH = " ".join(long(word) for word in ("one", "two", "three", "four", "five", "six", "seven", "eight"))
"""It takes half a minute at least."""

ONE_SLOT = {"v1_concurrency": 1, "v3_concurrency": 1, "liveavatar_concurrency": 1, "v3_idle": 1000.0}
"""An account with room for one stream, which none gives back by itself within a minute."""


@asynccontextmanager
async def lingering(
    folder: Path, provider: str, linger: float | None, *, slots: dict[str, float] | None = None, **policy: Any
) -> AsyncIterator[tuple[BotHarness, AvatarSession]]:
    """A bot with an avatar that is live and has greeted."""
    options = simulated(**(slots or {}))
    async with BotHarness(
        folder, provider, policy=with_policy(stream_linger=linger, **policy), options=options
    ) as world:
        yield world, await world.start()


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def say(world: BotHarness, text: str) -> None:
    await world.write(text)
    await world.until(lambda: world.ended_as(text, UtteranceState.SPOKEN))


async def fall_asleep(world: BotHarness, running: AvatarSession) -> StreamView:
    """Wait until the stream is let go; the stream."""
    await world.until(lambda: running.stream.current is None and not world.open_streams)
    return world.simulator.streams()[-1]


# --- when, and for how much ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linger", [0.0, 10.0])
async def test_a_silent_stream_is_let_go_and_what_is_paid_for_is_used(
    tmp_path: Path, provider: str, linger: float
) -> None:
    async with lingering(tmp_path, provider, linger) as (world, running):
        await say(world, "good morning")
        silent = running.speaker.status.last_activity
        stream = await fall_asleep(world, running)
        opened = world.clock.monotonic() - (world.clock.now() - stream.opened_at).total_seconds()
        closed = opened + stream.seconds
        least, paid, dollars = {
            "heygen-realtime": (0.0, 0.0, None),
            "heygen-streaming": (28.0, 30.0, Decimal("0.2") / 60 * 30),
            "liveavatar": (58.0, 60.0, Decimal("0.2")),
        }[provider]
        assert closed == pytest.approx(max(silent + linger, opened + least), abs=0.2)
        assert closed >= silent + linger - 0.01
        assert dollars is None or stream.dollars == pytest.approx(dollars)
        assert not paid or stream.seconds <= paid
        assert not running.stop.is_set
        assert running.view().phase is Phase.WAITING_FOR_TEXT
        assert (await world.rows(tables.streams))[-1].state == StreamState.CLOSED


async def test_where_the_minute_ends_too_soon_after_the_last_word_the_next_one_is_used(tmp_path: Path) -> None:
    async with lingering(tmp_path, "liveavatar", 10.0) as (world, running):
        await world.pass_time(50)
        await say(world, "good morning")
        stream = await fall_asleep(world, running)
        assert stream.seconds == pytest.approx(118, abs=0.5)
        assert stream.dollars == pytest.approx(Decimal("0.4"))


@pytest.mark.parametrize("provider", ANSWERING)
async def test_without_the_setting_a_stream_stays_as_long_as_its_session(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, None) as (world, running):
        await say(world, "good morning")
        await world.pass_time(290)
        assert len(world.open_streams) == len(world.simulator.streams()) == 1
        await world.pass_time(20)
        assert running.closed.is_set()


async def test_a_provider_that_lets_go_earlier_is_waited_for_in_vain(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-realtime", 100.0) as (world, running):
        stream = await fall_asleep(world, running)
        assert stream.seconds == pytest.approx(30, abs=1)
        await world.pass_time(100)
        assert not running.stop.is_set


async def test_a_stream_just_opened_is_kept_for_its_linger_however_long_it_took_to_open(tmp_path: Path) -> None:
    policy = with_policy(stream_linger=40.0)
    async with BotHarness(tmp_path, "heygen-streaming", policy=policy) as world:
        fault(world, "start", effect=Effect.LATENCY, seconds=20)
        running = await world.start()
        stream = await fall_asleep(world, running)
        assert stream.seconds == pytest.approx(20 + 40, abs=1)


async def test_what_is_said_meanwhile_keeps_the_stream(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 5.0) as (world, _):
        for number in range(20):
            await say(world, f"sentence {number}")
            await world.pass_time(3)
        assert len(world.simulator.streams()) == 1


async def test_a_timer_that_rings_too_early_is_set_again(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-streaming", 40.0) as (world, running):
        due, mailbox = running._linger._rings_at, running.mailbox
        assert due is not None
        mailbox.call_later("linger", 10.0, running._linger._let_go)
        stream = await fall_asleep(world, running)
        closed = world.clock.monotonic() - (world.clock.now() - stream.opened_at).total_seconds() + stream.seconds
        assert closed == pytest.approx(due, abs=0.1)


async def test_an_avatar_that_was_missing_in_its_room_is_asleep_and_no_longer_missed(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-streaming", 20.0) as (world, running):
        await until_just_before_letting_go(world, running)
        assert running.stream.current is not None
        running.mailbox.post(running.listener._seen, running.stream.current.id, False)
        await world.pass_time(1)
        assert running.view().phase is Phase.WAITING_FOR_TEXT
        await world.pass_time(60)
        assert not running.stop.is_set


# --- the next message ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linger", [0.0, 10.0])
async def test_the_next_message_opens_one_stream_behind_the_same_link_and_is_said_once(
    tmp_path: Path, provider: str, linger: float
) -> None:
    async with lingering(tmp_path, provider, linger) as (world, running):
        link = running.view().watch_url
        for number, text in enumerate(("one", "two", "three"), 2):
            await fall_asleep(world, running)
            await world.pass_time(20)
            await say(world, text)
            assert len(world.simulator.streams()) == number
        assert world.heard == ["one", "two", "three"]
        assert world.greetings == (provider == "heygen-realtime")
        assert running.view().watch_url == link


async def until_just_before_letting_go(world: BotHarness, running: AvatarSession) -> None:
    """The timer rings at this very moment, and the session's task has not begun to work on it."""
    assert running._linger._rings_at is not None
    await world.pass_time(running._linger._rings_at - world.clock.monotonic() - 0.0001)
    assert len(world.open_streams) == 1


async def test_a_message_just_before_the_stream_is_let_go_keeps_it(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 10.0) as (world, running):
        await until_just_before_letting_go(world, running)
        await world.write("just in time")
        running.mailbox.post(running._linger._let_go)
        await world.until(lambda: world.ended_as("just in time", UtteranceState.SPOKEN))
        assert world.heard == ["just in time"]
        assert len(world.simulator.streams()) == 1


async def test_a_message_that_gets_in_line_just_behind_opens_the_next_one(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 10.0) as (world, running):
        await until_just_before_letting_go(world, running)
        fault(world, "close", effect=Effect.LATENCY, seconds=2)
        await world.pass_time(1)
        assert running.stream.current is None
        await world.write("just too late")
        await world.until(lambda: world.ended_as("just too late", UtteranceState.SPOKEN))
        assert world.heard == ["just too late"]
        assert len(world.simulator.streams()) == 2


def hold_up(world: BotHarness) -> Callable[[], None]:
    """Have no row of a message be written until what is returned is called."""
    repository: Any = world.store.utterances
    accept, released = repository.accept, asyncio.Event()

    async def later(*arguments: Any) -> Any:
        await released.wait()
        return await accept(*arguments)

    repository.accept = later
    return released.set


async def test_a_message_whose_row_is_being_written_keeps_the_stream(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-streaming", 40.0) as (world, running):
        await until_just_before_letting_go(world, running)
        release = hold_up(world)
        writing = asyncio.create_task(world.write("on its way"))
        await world.pass_time(20)
        assert len(world.open_streams) == 1
        release()
        await writing
        await world.until(lambda: world.ended_as("on its way", UtteranceState.SPOKEN))
        assert len(world.simulator.streams()) == 1


# --- what keeps a stream that says nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ANSWERING)
async def test_a_queue_that_is_held_keeps_the_stream_until_it_is_cleared(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 5.0) as (world, running):
        await world.write(long("one"))
        await world.write("two")
        await world.until(lambda: world.states(long("one"))[-1:] == [UtteranceState.SPEAKING])
        await world.type("/avatar interrupt")
        await world.pass_time(130)
        assert len(world.open_streams) == 1
        await world.type("/avatar clear")
        await world.pass_time(61)
        assert running.view().phase is Phase.WAITING_FOR_TEXT


async def test_an_avatar_that_talks_on_is_not_cut_by_letting_go(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-streaming", 0.0) as (world, running):
        await world.pass_time(40)
        await world.write(SPEECH)
        await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
        fault(
            world,
            "interrupt",
            effect=Effect.STATUS,
        )
        await world.pass_time(3)
        await world.type("/avatar interrupt")
        await fall_asleep(world, running)
        assert SPEECH in world.spoken


async def test_a_question_that_the_chat_model_thinks_about_keeps_the_stream(tmp_path: Path) -> None:
    policy = with_policy(stream_linger=2.0)
    world = BotHarness(tmp_path, policy=policy)
    async with ChatApi(world.clock) as api:
        world.chat_url = api.url
        async with world:
            running = await world.start()
            api.answers.append([15.0, *whole("It is sunny, I think.")])
            await world.type("/avatar ask what is the weather like?")
            await world.until(lambda: world.ended_as("what is the weather like?", UtteranceState.SPOKEN))
            assert len(world.simulator.streams()) == 1
            await fall_asleep(world, running)


async def test_an_answer_that_comes_after_the_stream_has_ended_opens_the_next_one(tmp_path: Path) -> None:
    policy = with_policy(stream_linger=2.0)
    world = BotHarness(tmp_path, policy=policy)
    async with ChatApi(world.clock) as api:
        world.chat_url = api.url
        async with world:
            running = await world.start()
            await fall_asleep(world, running)
            api.answers.append([50.0, *whole("It is sunny, I think.")])
            await world.type("/avatar ask what is the weather like?")
            await world.pass_time(45)
            assert world.open_streams == []
            await world.until(lambda: world.ended_as("what is the weather like?", UtteranceState.SPOKEN))
            assert world.heard == ["It is sunny, I think."]
            assert len(world.simulator.streams()) == 2


@pytest.mark.parametrize(("verb", "more"), [("ask", LATE_ANSWER), ("say", 0.0)])
async def test_the_avatars_own_answer_may_be_told_a_moment_after_its_last_word(
    tmp_path: Path, verb: str, more: float
) -> None:
    async with lingering(tmp_path, "heygen-streaming", 0.0) as (world, running):
        await world.write(SPEECH)
        await world.type(f"/avatar {verb} who are you?")
        await world.until(lambda: world.ended_as("who are you?", UtteranceState.SPOKEN))
        said_at = running.speaker.status.last_activity
        stream = await fall_asleep(world, running)
        assert stream.seconds > 30
        opened = world.clock.monotonic() - (world.clock.now() - stream.opened_at).total_seconds()
        assert opened + stream.seconds == pytest.approx(said_at + more, abs=0.1)


# --- a close that is not confirmed -----------------------------------------------------------------------------------


async def let_go_in_vain(world: BotHarness, running: AvatarSession) -> None:
    """Wait until the stream is let go, which the provider does not hear."""
    assert len(world.open_streams) == 1
    fault(world, "close", **TROUBLES["refused for long"])
    await world.until(lambda: running.stream.current is None)
    assert len(world.open_streams) == 1


async def test_a_message_waits_for_the_only_slot_while_the_close_is_not_confirmed_and_is_said_then(
    tmp_path: Path, provider: str
) -> None:
    async with lingering(tmp_path, provider, 5.0, slots=ONE_SLOT) as (world, running):
        await let_go_in_vain(world, running)
        await world.write("can you hear me")
        await world.pass_time(60)
        assert len(world.simulator.streams()) == 1
        assert world.states("can you hear me")[-1] is UtteranceState.QUEUED
        assert any("did not confirm that the stream is closed" in notice for notice in world.notices)
        assert not [notice for notice in world.notices if "could not be said" in notice]
        world.simulator.faults.clear()
        await world.until(lambda: world.ended_as("can you hear me", UtteranceState.SPOKEN))
        assert world.heard == ["can you hear me"]
        assert len(world.simulator.streams()) == 2


async def test_where_the_account_has_room_nobody_waits_for_an_unconfirmed_close(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 5.0) as (world, running):
        await let_go_in_vain(world, running)
        await say(world, "can you hear me")
        world.simulator.faults.clear()
        await fall_asleep(world, running)
        await world.pass_time(70)
        assert world.open_streams == []


# --- asleep ----------------------------------------------------------------------------------------------------------


async def test_the_idle_time_warns_and_ends_a_session_that_is_asleep(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 5.0) as (world, running):
        await world.pass_time(230)
        assert running.view().phase is Phase.WAITING_FOR_TEXT
        warning = "Nobody has written for a while: the avatar leaves in 60 s unless somebody writes."
        assert world.notices.count(warning) == 0
        await world.pass_time(20)
        assert world.notices.count(warning) == 1
        await world.pass_time(60)
        assert running.closed.is_set()
        (row,) = await world.rows(tables.sessions)
        assert row.end_reason == EndReason.IDLE
        assert len(world.simulator.streams()) == 1


async def test_nobody_watching_and_the_longest_stay_end_a_session_that_is_asleep(tmp_path: Path) -> None:
    limits: list[tuple[dict[str, Any], EndReason]] = [
        ({"unwatched_timeout": 100.0}, EndReason.IDLE),
        ({"max_duration": 100.0}, EndReason.MAX_DURATION),
    ]
    for number, (policy, reason) in enumerate(limits):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with lingering(folder, "heygen-streaming", 5.0, **policy) as (world, running):
            await world.pass_time(90)
            assert running.view().phase is Phase.WAITING_FOR_TEXT
            await world.pass_time(15)
            assert running.closed.is_set()
            (row,) = await world.rows(tables.sessions)
            assert row.end_reason == reason


@pytest.mark.parametrize("provider", ANSWERING)
async def test_no_keep_alive_is_sent_for_a_session_that_is_asleep(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 5.0, idle_timeout=1000.0) as (world, running):
        await fall_asleep(world, running)
        sent: list[str] = []
        adapter: Any = world.sessions.services.provider

        async def keep_alive(upstream_id: str) -> None:
            sent.append(upstream_id)

        adapter.keep_alive = keep_alive
        await world.pass_time(500)
        await world.type("/avatar keep")
        await world.pass_time(10)
        assert sent == []
        await world.write(SPEECH)
        await world.write(SPEECH.upper())
        await world.pass_time(110)
        assert len(set(sent)) == 1


async def test_commands_find_a_session_that_is_asleep_in_order_and_wake_nobody(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 0.0) as (world, running):
        await fall_asleep(world, running)
        for command, answer in (
            ("interrupt", "not saying anything"),
            ("skip", "not saying anything"),
            ("clear", "Nothing was waiting."),
            ("idle 120", "now leaves this channel after 2 min"),
            ("keep", "Good, the avatar stays."),
        ):
            assert answer in (await world.type(f"/avatar {command}")).text
        status = dict((await world.type("/avatar status")).fields)
        assert status["State"].startswith("asleep; the next message wakes it (about ")
        await world.pass_time(1)
        assert len(world.simulator.streams()) == 1
        assert (await world.type("/avatar say still there")).text == "The avatar is waking up to say it."
        await world.until(lambda: world.ended_as("still there", UtteranceState.SPOKEN))
        await fall_asleep(world, running)
        await world.type("/avatar stop")
        await world.until(running.closed.is_set)
        assert len(world.simulator.streams()) == 2
        assert world.open_streams == []


async def test_a_restart_wakes_nobody_who_was_asleep(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 0.0) as (world, running):
        await fall_asleep(world, running)
        link = running.view().watch_url
        await world.crash()
        await world.boot()
        await world.pass_time(100)
        again = world.running
        assert again is not None
        assert again.view().phase is Phase.WAITING_FOR_TEXT
        assert len(world.simulator.streams()) == 1
        await say(world, "good evening")
        assert again.view().watch_url == link
        assert len(world.simulator.streams()) == 2


async def test_a_restart_while_a_stream_is_let_go_closes_it_and_keeps_the_session(
    tmp_path: Path, provider: str
) -> None:
    async with lingering(tmp_path, provider, 5.0) as (world, running):
        await let_go_in_vain(world, running)
        await world.crash()
        world.simulator.faults.clear()
        await world.boot()
        await world.until(lambda: not world.open_streams)
        assert world.running is not None
        assert world.running.view().phase is Phase.WAITING_FOR_TEXT
        assert len(world.simulator.streams()) == 1


@pytest.mark.parametrize("provider", ANSWERING)
async def test_a_stream_that_was_taken_over_is_let_go_by_the_time_it_was_opened(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 10.0) as (world, _):
        await world.pass_time(5)
        await world.crash()
        await world.boot()
        if provider == "liveavatar":
            # Its room is known to the process alone that started it, so the stream is closed.
            await world.until(lambda: not world.open_streams)
            return
        assert world.running is not None
        stream = await fall_asleep(world, world.running)
        assert stream.seconds == pytest.approx(28, abs=0.5)


# --- words -----------------------------------------------------------------------------------------------------------


async def wake_slowly(world: BotHarness) -> None:
    fault(world, "create", effect=Effect.LATENCY, seconds=3)
    await world.write("wake up")
    await world.until(lambda: world.ended_as("wake up", UtteranceState.SPOKEN))


async def test_waking_is_told_as_waking_and_a_first_start_is_not(tmp_path: Path, provider: str) -> None:
    async with lingering(tmp_path, provider, 0.0) as (world, running):
        shown = [event.view for event in world.events if isinstance(event, SessionChanged)]
        assert Phase.STARTING in {view.phase for view in shown}
        assert not any(view.is_waking for view in shown)
        await fall_asleep(world, running)
        await wake_slowly(world)
        later = [event.view for event in world.events if isinstance(event, SessionChanged)][len(shown) :]
        starting = [view for view in later if view.phase is Phase.STARTING]
        assert starting
        assert all(view.is_waking and view.wakes_in is not None for view in starting)


async def test_the_usual_time_to_wake_is_learned_from_the_last_openings(tmp_path: Path) -> None:
    options = simulated(v3_pending=4.0)
    async with BotHarness(tmp_path, policy=with_policy(stream_linger=0.0), options=options) as world:
        running = await world.start()
        await fall_asleep(world, running)
        assert running.view().wakes_in == pytest.approx(4, abs=1)
        usual = world.sessions.services.opening_times.usual
        assert usual is not None
        await world.crash()
        await world.boot()
        assert world.running is not None
        assert world.running.view().wakes_in is None


MISSING = waiting_for_viewer()


async def test_a_page_that_is_open_has_a_moment_to_join_before_the_channel_is_told_to_watch(tmp_path: Path) -> None:
    async with lingering(tmp_path, "heygen-streaming", 0.0) as (world, running):
        with world.viewer(running):
            for text in ("one", "two"):
                await fall_asleep(world, running)
                await say(world, text)
        assert world.notices.count(MISSING) == 0
        await fall_asleep(world, running)
        await say(world, "nobody is there to join")
        assert world.notices.count(MISSING) == 1


async def test_a_page_that_is_open_and_does_not_join_is_told_like_none(tmp_path: Path) -> None:
    policy, options = with_policy(stream_linger=0.0), simulated(auto_viewer=False)
    async with BotHarness(tmp_path, "heygen-streaming", policy=policy, options=options) as world:
        running = await world.start()
        await fall_asleep(world, running)
        with world.viewer(running):
            await world.write("is anybody there?")
            await world.pass_time(4)
            assert running.view().phase is Phase.LIVE
            await world.pass_time(4)
            assert running.view().phase is Phase.WAITING_FOR_VIEWER
        assert world.notices.count(MISSING) == 1


async def test_a_slow_close_holds_up_no_command_and_the_next_stream_only_for_a_moment(
    tmp_path: Path, provider: str
) -> None:
    async with lingering(tmp_path, provider, 5.0) as (world, running):
        fault(world, "close", effect=Effect.LATENCY, seconds=20)
        await world.until(lambda: running.stream.current is None)
        assert len(world.open_streams) == 1
        await world.write("one")
        await world.type("/avatar clear")
        await world.write("two")
        await world.pass_time(CLOSE_PATIENCE - 0.1)
        assert len(world.simulator.streams()) == 1
        await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))
        assert len(world.open_streams) == 2
        await world.pass_time(20)
        assert len(world.open_streams) <= 1


async def test_a_keep_alive_while_the_next_stream_is_opened_neither_loses_nor_repeats_anything(
    tmp_path: Path, provider: str
) -> None:
    async with lingering(tmp_path, provider, 5.0) as (world, running):
        await fall_asleep(world, running)
        fault(world, "start", effect=Effect.LATENCY, seconds=5)
        await world.write("one")
        await world.write("two")
        await world.pass_time(2)
        await world.type("/avatar keep")
        await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))
        assert world.heard == ["one", "two"]
        assert len(world.simulator.streams()) == 2
        assert len(world.open_streams) == 1
