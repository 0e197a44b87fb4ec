"""Nothing is said to nobody, and no stream is paid for that nobody watches: who waits, who is told, and what is said
when somebody comes.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator import Effect, StreamView
from bot import sentences
from bot.core.events import LeftUnsaid, Notice, SessionChanged
from bot.core.models import Channel, EndReason, UtteranceState
from bot.core.views import Phase
from bot.relay import Message
from bot.sessions.linger import ABSENCE
from bot.sessions.panel import panel_of
from bot.sessions.session import AvatarSession
from bot.store import tables
from tests.fakes.chat_api import ChatApi, whole
from tests.harness.bot import ADA, ANA, CHANNEL, PROVIDERS, BotHarness, simulated, with_policy
from tests.scenario.test_linger import ONE_SLOT
from tests.scenario.test_trouble import fault, long

SPEECH = " ".join(long(word) for word in ("one", "two", "three", "four", "five", "six", "seven", "eight"))
"""It takes half a minute at least."""

OTHER = Channel("test", "workspace", "another")

BY_THE_SECOND = {"heygen-realtime", "heygen-streaming"}


@asynccontextmanager
async def unwatched(
    folder: Path, provider: str = "heygen-realtime", *, options: dict[str, Any] | None = None, **policy: Any
) -> AsyncIterator[tuple[BotHarness, AvatarSession]]:
    """A bot that says nothing to nobody, with an avatar that was started and that nobody watches."""
    chosen = {"needs_viewer": True, "stream_linger": 10.0} | policy
    async with BotHarness(
        folder, provider, policy=with_policy(**chosen), options=simulated(**(options or {}))
    ) as world:
        yield world, await world.start()


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def words_of_state(running: AvatarSession) -> str:
    return sentences.state(running.view())


# --- before anybody watches ------------------------------------------------------------------------------------------


async def test_a_start_opens_nothing_and_says_so(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        await world.pass_time(30)
        assert not world.simulator.streams()
        assert await world.rows(tables.streams) == []
        assert running.view().phase is Phase.WAITING_FOR_TEXT
        assert words_of_state(running) == sentences.ASLEEP_UNWATCHED
        assert "costs nothing until somebody watches" in sentences.starting(None, 300, 3600, needs_viewer=True)
        assert world.notices == ["The avatar is here. Open the link and write something: it wakes up and says it."]


async def test_who_only_watches_costs_nothing(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            await world.pass_time(60)
            assert words_of_state(running) == "asleep; the next message wakes it"
        assert not world.simulator.streams()


async def test_messages_wait_in_their_order_until_somebody_watches_and_are_said_once(
    tmp_path: Path, provider: str
) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        for text in ("one", "two", "three"):
            receipt = await world.write(text)
            assert receipt.waits_for_viewer
        await world.pass_time(60)
        assert not world.simulator.streams()
        assert [row.state for row in await world.rows(tables.utterances)] == [UtteranceState.QUEUED] * 3
        view = running.view()
        assert (view.phase, view.queue_length) == (Phase.WAITING_FOR_VIEWER, 3)
        with world.viewer(running):
            await world.until(lambda: world.ended_as("three", UtteranceState.SPOKEN))
        assert world.heard == ["one", "two", "three"]
        assert world.greetings == 0
        assert len(world.simulator.streams()) == 1


async def test_whoever_wrote_reads_that_it_waits_and_for_what(tmp_path: Path) -> None:
    async with unwatched(tmp_path) as (world, running):
        reply = await world.type("/avatar say good morning")
        assert reply.text == "Got it. The avatar says it as soon as somebody opens the watch link."
        assert reply.link == running.view().watch_url
        await world.rest()
        (told,) = [
            event for event in world.events if isinstance(event, Notice) and "waiting for a viewer" in event.reply.text
        ]
        assert told.reply.link == running.view().watch_url
        with world.viewer(running):
            await world.until(lambda: world.heard == ["good morning"])
            assert (await world.type("/avatar say and now")).text != reply.text


async def test_many_viewers_at_once_open_one_stream(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        await world.write("hello")
        with ExitStack() as viewers:
            for _ in range(20):
                viewers.enter_context(world.viewer(running))
            await world.until(lambda: world.ended_as("hello", UtteranceState.SPOKEN))
        assert len(world.simulator.streams()) == 1
        assert world.heard == ["hello"]


async def test_a_page_that_is_hidden_and_silent_is_no_viewer(tmp_path: Path) -> None:
    async with unwatched(tmp_path) as (world, running):
        await world.write("hello")
        with world.viewer(running) as page:
            page.attend(is_there=False)
            assert running.view().needs_viewer
            page.attend(is_there=True)
            await world.until(lambda: world.ended_as("hello", UtteranceState.SPOKEN))


async def test_skip_clear_mode_edit_and_stop_work_on_what_waits_for_a_viewer(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        for text in ("one", "too", "three"):
            await world.relay.receive(Message(CHANNEL, ANA, text, message_id=text))
        await world.type("/avatar skip")
        await world.rest()
        assert world.ended_as("one", UtteranceState.INTERRUPTED)
        assert "not saying anything" in (await world.type("/avatar interrupt")).text
        await world.relay.edit(CHANNEL, "too", "two", {})
        await world.rest()
        assert "1. two" in (await world.type("/avatar queue")).text
        await world.type("/avatar clear")
        await world.rest()
        assert world.ended_as("three", UtteranceState.DROPPED)
        assert running.view().phase is Phase.WAITING_FOR_TEXT
        await world.write("four")
        await world.type("/avatar stop")
        await world.until(running.closed.is_set)
        assert world.ended_as("four", UtteranceState.DROPPED)
        assert not world.simulator.streams()


# --- when the last one leaves ----------------------------------------------------------------------------------------


async def test_the_sentence_is_finished_the_stream_let_go_and_the_queue_waits(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            await world.write(long("one"))
            await world.write("two")
            await world.until(lambda: world.states(long("one"))[-1:] == [UtteranceState.SPEAKING])
        left = world.clock.monotonic()
        await world.until(lambda: not world.open_streams)
        assert world.spoken == [long("one")]
        (stream,) = world.simulator.streams()
        if provider in BY_THE_SECOND:
            opened = world.clock.monotonic() - (world.clock.now() - stream.opened_at).total_seconds()
            assert opened + stream.seconds == pytest.approx(max(left + ABSENCE, _paid(provider, opened)), abs=0.5)
        assert running.view().phase is Phase.WAITING_FOR_VIEWER
        assert [row.state for row in await world.rows(tables.utterances)] == [
            UtteranceState.SPOKEN,
            UtteranceState.QUEUED,
        ]
        with world.viewer(running):
            await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))
        assert world.heard == [long("one"), "two"]


def _paid(provider: str, opened: float) -> float:
    return opened + 28.0 if provider == "heygen-streaming" else 0.0


async def test_a_reload_keeps_the_stream_and_what_waits_goes_on(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            await world.write("one")
            await world.until(lambda: world.ended_as("one", UtteranceState.SPOKEN))
        await world.write("two")
        await world.pass_time(5)
        assert UtteranceState.SPOKEN not in world.states("two")
        with world.viewer(running):
            await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))
        assert len(world.simulator.streams()) == 1


async def test_a_viewer_who_comes_and_goes_every_few_seconds_opens_one_stream(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        await world.write(long("one"))
        for _ in range(20):
            with world.viewer(running):
                await world.pass_time(3)
            await world.pass_time(4)
        assert len(world.simulator.streams()) == 1
        assert world.heard == [long("one")]


async def test_a_long_text_is_gone_on_with_where_it_was_when_somebody_is_back(tmp_path: Path) -> None:
    async with unwatched(tmp_path) as (world, running):
        with world.viewer(running):
            await world.write(SPEECH)
            await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
            await world.pass_time(5)
        await world.until(lambda: not world.open_streams)
        assert running.view().phase is Phase.WAITING_FOR_VIEWER
        assert world.states(SPEECH)[-1] is UtteranceState.SPEAKING
        with world.viewer(running):
            await world.until(lambda: world.ended_as(SPEECH, UtteranceState.SPOKEN))
        first, second = world.simulator.streams()
        assert " ".join((text_of(first), text_of(second))).split() == SPEECH.split()
        assert not [notice for notice in world.notices if "may not have been said" in notice]


def text_of(stream: StreamView) -> str:
    return " ".join(text.asked.strip() for text in stream.spoken)


@pytest.mark.parametrize("command", ["interrupt", "skip", "stop"])
async def test_the_rest_of_a_long_text_can_be_cut_while_nobody_watches(tmp_path: Path, command: str) -> None:
    async with unwatched(tmp_path) as (world, running):
        with world.viewer(running):
            await world.write(SPEECH)
            await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
        await world.until(lambda: not world.open_streams)
        await world.type(f"/avatar {command}")
        await world.until(lambda: world.ended_as(SPEECH, UtteranceState.INTERRUPTED))
        if command != "stop":
            with world.viewer(running):
                await world.write("next")
                await world.until(lambda: world.ended_as("next", UtteranceState.SPOKEN))
        assert len(world.simulator.streams()) == 1 + (command != "stop")


async def test_an_answer_that_comes_when_everybody_has_left_is_said_to_who_comes(tmp_path: Path) -> None:
    world = BotHarness(tmp_path, policy=with_policy(needs_viewer=True, stream_linger=10.0))
    async with ChatApi(world.clock) as api:
        world.chat_url = api.url
        async with world:
            running = await world.start()
            api.answers.append([30.0, *whole("It is sunny, I think.")])
            question = "what is the weather like?"
            with world.viewer(running):
                await world.type(f"/avatar ask {question}")
                await world.pass_time(2)
            await world.pass_time(60)
            assert not world.simulator.streams()
            with world.viewer(running):
                await world.until(lambda: world.ended_as(question, UtteranceState.SPOKEN))
            assert world.heard == ["It is sunny, I think."]
            assert len(api.asked) == 1


# --- how long it waits -----------------------------------------------------------------------------------------------


async def test_what_has_waited_too_long_is_dropped_and_told(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider, queue_max_age=600.0) as (world, running):
        await world.write("one")
        await world.pass_time(100)
        await world.write("two", ADA)
        await world.pass_time(499)
        assert world.states("one")[-1:] != [UtteranceState.DROPPED]
        await world.pass_time(2)
        assert world.ended_as("one", UtteranceState.DROPPED)
        told = (
            "What Ana wrote could not be said for 10 min, so I dropped it, as whatever waits that long. "
            "Write it again if it still matters."
        )
        assert world.notices.count(told) == 1
        assert running.view().queue_length == 1
        await world.pass_time(100)
        assert world.ended_as("two", UtteranceState.DROPPED)
        # The mark of the message says it; a channel whose people write among themselves is told once.
        assert len([notice for notice in world.notices if "so I dropped it" in notice]) == 1
        assert running.view().phase is Phase.WAITING_FOR_TEXT
        assert not running.stop.is_set
        await world.pass_time(310)
        (row,) = await world.rows(tables.sessions)
        assert row.end_reason == EndReason.IDLE
        assert not world.simulator.streams()


async def test_who_used_a_command_reads_alone_that_it_was_dropped(tmp_path: Path) -> None:
    async with unwatched(tmp_path, queue_max_age=120.0) as (world, _):
        await world.type("/avatar say one")
        await world.write("two")
        await world.type("/avatar say three", ADA)
        await world.pass_time(121)
        (told,) = [event for event in world.events if isinstance(event, LeftUnsaid)]
        assert {words.name: words.reply.text for words in told.people} == {
            # A message without an id counts as a command, see `bot.unsaid`.
            "Ana": "2 of your messages (“one”, “two”) could not be said for 2 min and were dropped. "
            "Send them again if that still matters.",
            "Ada": "Your message “three” could not be said for 2 min and was dropped. "
            "Send it again if that still matters.",
        }


async def test_people_who_write_among_themselves_are_asked_once_to_watch(tmp_path: Path) -> None:
    asked = sentences.waiting_for_viewer()
    async with unwatched(tmp_path, queue_max_age=100.0) as (world, running):
        for _ in range(3):
            await world.write("well")
            await world.pass_time(110)
        assert world.notices.count(asked) == 1
        with world.viewer(running):
            await world.pass_time(20)
        await world.write("and now?")
        await world.rest()
        assert world.notices.count(asked) == 2


async def test_the_rest_of_a_long_text_waits_no_longer_than_a_message(tmp_path: Path) -> None:
    async with unwatched(tmp_path, queue_max_age=60.0) as (world, running):
        with world.viewer(running):
            await world.write(SPEECH)
            await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
        await world.until(lambda: not world.open_streams)
        await world.pass_time(50)
        assert world.states(SPEECH)[-1] is UtteranceState.SPEAKING
        await world.pass_time(20)
        assert world.ended_as(SPEECH, UtteranceState.INTERRUPTED)
        assert any("What Ana wrote could not be said for" in notice for notice in world.notices)


async def test_while_something_is_said_nothing_is_too_old(tmp_path: Path) -> None:
    async with unwatched(tmp_path, queue_max_age=20.0) as (world, running):
        with world.viewer(running):
            await world.write(SPEECH)
            await world.write("two")
            await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))


async def test_an_unwatched_time_of_its_own_still_ends_a_session(tmp_path: Path) -> None:
    async with unwatched(tmp_path, unwatched_timeout=100.0) as (world, running):
        await world.pass_time(105)
        assert running.closed.is_set()


# --- a restart -------------------------------------------------------------------------------------------------------


async def test_what_waits_for_a_viewer_outlives_a_crash(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, _):
        await world.write("one")
        await world.write("two")
        await world.crash()
        await world.boot()
        running = world.running
        assert running is not None
        await world.pass_time(30)
        assert not world.simulator.streams()
        assert running.view().phase is Phase.WAITING_FOR_VIEWER
        with world.viewer(running):
            await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))
        assert world.heard == ["one", "two"]


@pytest.mark.parametrize("provider", sorted(BY_THE_SECOND))
async def test_a_stream_that_an_earlier_process_left_is_kept_for_its_viewers_to_come_back(
    tmp_path: Path, provider: str
) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            await world.write("one")
            await world.until(lambda: world.ended_as("one", UtteranceState.SPOKEN))
        await world.crash()
        await world.boot()
        adopted = world.running
        assert adopted is not None
        await world.pass_time(5)
        with world.viewer(adopted):
            await world.write("two")
            await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))
        assert len(world.simulator.streams()) == 1
        await world.until(lambda: not world.open_streams)


# --- a provider that opens no stream ---------------------------------------------------------------------------------


async def test_a_full_account_is_told_once_and_the_queue_waits_for_a_slot(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider, options=ONE_SLOT, stream_linger=1000.0) as (world, running):
        other = await world.start(channel=OTHER)
        with world.viewer(other), world.viewer(running):
            await world.write("first", channel=OTHER)
            await world.until(lambda: world.ended_as("first", UtteranceState.SPOKEN))
            for text in ("one", "two"):
                await world.write(text)
            await world.pass_time(60)
            assert [row.state for row in await world.rows(tables.utterances)][1:] == [UtteranceState.QUEUED] * 2
            assert words_of_state(running) == sentences.REFUSED
            (told,) = [notice for notice in world.notices if "cannot wake up now" in notice]
            assert told.startswith(
                "The avatar cannot wake up now. As many avatars as the account allows are open already."
            )
            await world.type("/avatar stop", channel=OTHER)
            await world.until(lambda: world.ended_as("two", UtteranceState.SPOKEN))
            assert words_of_state(running) == "live"
        assert world.heard == ["first", "one", "two"]


async def test_an_account_without_credit_is_told_and_what_waits_is_said_when_there_is_some(
    tmp_path: Path, provider: str
) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            fault(world, "create", effect=Effect.STATUS, status=402, times=None)
            await world.write("one")
            await world.pass_time(200)
            (told,) = [notice for notice in world.notices if "cannot wake up now" in notice]
            assert "has no credit left" in told
            world.simulator.faults.clear()
            await world.until(lambda: world.ended_as("one", UtteranceState.SPOKEN))
        assert world.heard == ["one"]


async def test_what_waits_for_an_account_is_dropped_in_time_and_told_anew_the_next_time(
    tmp_path: Path, provider: str
) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            fault(world, "create", effect=Effect.STATUS, status=402, times=None)
            for text in ("one", "two"):
                await world.write(text)
                await world.pass_time(610)
                assert world.ended_as(text, UtteranceState.DROPPED)
                assert words_of_state(running).startswith("asleep; the next message wakes it")
            assert sum("cannot wake up now" in notice for notice in world.notices) == 2
            assert sum("What Ana wrote could not be said for" in notice for notice in world.notices) == 2
            assert world.open_streams == []


# --- waking by hand --------------------------------------------------------------------------------------------------


async def test_wake_opens_a_stream_before_there_is_a_message(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            await world.rest()
            assert [button.verb for button in panel_of(running.view()).buttons] == ["watch", "wake", "stop"]
            assert (await world.type("/avatar wake")).text == "The avatar is waking up."
            await world.until(lambda: running.view().phase is Phase.LIVE)
            assert (await world.type("/avatar wake")).text == "The avatar is awake already."
            await world.until(lambda: not world.open_streams)
            assert running.view().phase is Phase.WAITING_FOR_TEXT
            assert (await world.type("/avatar wake")).text.startswith("The avatar is waking up, in about ")
            await world.until(lambda: running.view().phase is Phase.LIVE)
            await world.write("hello")
            await world.until(lambda: world.ended_as("hello", UtteranceState.SPOKEN))
        assert len(world.simulator.streams()) == 2


async def test_wake_opens_nothing_for_nobody(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        reply = await world.type("/avatar wake")
        assert (reply.text, reply.link) == (sentences.WAKES_FOR_VIEWER, running.view().watch_url)
        assert [button.verb for button in panel_of(running.view()).buttons] == ["watch", "stop"]
        running.wake()
        await world.pass_time(10)
        assert not world.simulator.streams()


async def test_a_stream_that_cannot_be_woken_is_told_and_the_session_stays(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        with world.viewer(running):
            fault(world, "create", effect=Effect.STATUS, status=500, times=None)
            await world.type("/avatar wake")
            await world.until(lambda: any("(ref " in notice for notice in world.notices))
            assert not running.stop.is_set
            assert world.open_streams == []


async def test_the_panel_follows_who_watches(tmp_path: Path) -> None:
    async with unwatched(tmp_path) as (world, running):
        await world.write("hello")
        await world.rest()
        with world.viewer(running):
            await world.until(lambda: world.ended_as("hello", UtteranceState.SPOKEN))
        await world.until(lambda: not world.open_streams)
        await world.rest()
        shown = [sentences.state(event.view) for event in world.events if isinstance(event, SessionChanged)]
        assert list(dict.fromkeys(shown)) == [
            "starting",
            sentences.ASLEEP_UNWATCHED,
            "waiting for a viewer: open the watch link",
            "waking up",
            "live",
        ]


async def test_a_stream_that_ends_while_a_text_is_cut_short_takes_nothing_of_it(tmp_path: Path) -> None:
    async with unwatched(tmp_path) as (world, running):
        with world.viewer(running):
            await world.write(SPEECH)
            await world.until(lambda: world.states(SPEECH)[-1:] == [UtteranceState.SPEAKING])
        await world.until(lambda: running.speaker.status.is_cut_short and running.speaker._playout.unsaid <= 0)
        (stream,) = world.open_streams
        world.simulator.drop_stream(stream.id)
        await world.rest()
        assert running.stream.current is None
        with world.viewer(running):
            await world.until(lambda: world.ended_as(SPEECH, UtteranceState.SPOKEN))
        first, second = world.simulator.streams()
        assert " ".join((text_of(first), text_of(second))).split() == SPEECH.split()


@pytest.mark.parametrize("provider", ["heygen-streaming", "liveavatar"])
async def test_a_viewer_who_leaves_while_the_stream_is_opened_hears_of_it_later(tmp_path: Path, provider: str) -> None:
    async with unwatched(tmp_path, provider) as (world, running):
        fault(world, "start", effect=Effect.LATENCY, seconds=5)
        with world.viewer(running):
            await world.write("one")
            await world.pass_time(2)
        await world.pass_time(10)
        assert world.open_streams
        assert world.heard == []
        with world.viewer(running):
            await world.until(lambda: world.ended_as("one", UtteranceState.SPOKEN))
        assert len(world.simulator.streams()) == 1
