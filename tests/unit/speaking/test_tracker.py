"""Speech ends when the provider says so, and by the clock where it says nothing."""

import pytest
from structlog.testing import capture_logs

from bot.core.models import UtteranceState
from bot.core.ports import AnswerHeard, SpeechEnded, SpeechStarted
from bot.speaking.item import SpeechItem
from bot.speaking.playout import Playout
from bot.speaking.tracker import LOST_EVENT, PlaybackTracker
from bot.streams.spoken_time import SpokenTime
from tests.unit.speaking.fixtures import SpeakingHarness
from tests.unit.speaking.providers import capabilities

SPEAKING, SPOKEN = UtteranceState.SPEAKING, UtteranceState.SPOKEN


@pytest.fixture
def spoken(ground: SpeakingHarness) -> SpokenTime:
    return SpokenTime(ground.clock, capabilities())


@pytest.fixture
def playout(ground: SpeakingHarness, spoken: SpokenTime) -> Playout:
    return Playout(ground.clock, spoken)


def following(ground: SpeakingHarness, playout: Playout, *, reports_speech: bool) -> PlaybackTracker:
    return PlaybackTracker(
        playout,
        ground.states,
        ground.mailbox,
        reports_speech=reports_speech,
    )


@pytest.fixture
def progress(ground: SpeakingHarness, playout: Playout) -> PlaybackTracker:
    """A provider that reports speech."""
    return following(ground, playout, reports_speech=True)


@pytest.fixture
def silent(ground: SpeakingHarness, playout: Playout) -> PlaybackTracker:
    """A provider that does not."""
    return following(ground, playout, reports_speech=False)


async def say(ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker, text: str) -> SpeechItem:
    """Hand a line over that is said for 5 seconds, ahead where another one is being said."""
    line = await ground.line(text)
    line.sent = True
    if playout.current is None:
        playout.begin(line)
    else:
        playout.follow_with(line)
    progress.track(line, text, 5.0)
    return line


async def test_without_events_speech_ends_when_its_time_is_over(
    ground: SpeakingHarness, playout: Playout, silent: PlaybackTracker
) -> None:
    line = await say(ground, playout, silent, "one")
    await ground.pass_time(4.9)
    assert ground.told == []
    await ground.pass_time(0.1)
    assert ground.told == [("one", SPOKEN)]
    await ground.flush()
    assert ground.row(line) == ("one", "spoken")


async def test_without_events_time_ends_what_was_sent_ahead_too(
    ground: SpeakingHarness, playout: Playout, silent: PlaybackTracker
) -> None:
    for text in ("one", "two"):
        await say(ground, playout, silent, text)
    await ground.pass_time(10.0)
    assert ground.told == [("one", SPOKEN), ("two", SPEAKING), ("two", SPOKEN)]


async def test_an_end_that_is_told_counts_at_once(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker
) -> None:
    line = await say(ground, playout, progress, "one")
    await progress.heard(SpeechEnded(line.utterance.id))
    assert ground.told == [("one", SPOKEN)]
    await ground.pass_time(5.0 + LOST_EVENT)
    assert ground.told == [("one", SPOKEN)]


async def test_an_end_that_is_never_told_is_waited_for_and_then_taken_for_granted(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker
) -> None:
    await say(ground, playout, progress, "one")
    await ground.pass_time(4.9 + LOST_EVENT)
    assert ground.told == []
    with capture_logs() as log:
        await ground.pass_time(0.1)
    assert ground.told == [("one", SPOKEN)]
    assert [entry["event"] for entry in log] == ["no event told the end of speech"]


async def test_the_start_of_the_next_utterance_is_the_end_of_this_one(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker
) -> None:
    await say(ground, playout, progress, "one")
    second = await say(ground, playout, progress, "two")
    await progress.heard(SpeechStarted(second.utterance.id))
    assert ground.told == [("one", SPOKEN), ("two", SPEAKING)]
    assert second.heard


async def test_the_end_of_the_next_utterance_is_the_end_of_both(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker
) -> None:
    await say(ground, playout, progress, "one")
    second = await say(ground, playout, progress, "two")
    await progress.heard(SpeechEnded(second.utterance.id))
    assert ground.told == [("one", SPOKEN), ("two", SPEAKING), ("two", SPOKEN)]


async def test_events_of_other_utterances_change_nothing(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker
) -> None:
    line = await say(ground, playout, progress, "one")
    for event in (SpeechStarted("other"), SpeechEnded("other"), AnswerHeard("other", "No.")):
        await progress.heard(event)
    assert ground.told == []
    assert not line.heard


async def test_the_end_of_a_piece_is_not_the_end_of_its_utterance(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker
) -> None:
    line = await say(ground, playout, progress, "one")
    line.chunks.append("and more")
    await progress.heard(SpeechEnded(line.utterance.id))
    assert ground.told == []
    assert not playout.is_talking


async def test_an_answer_is_told_although_its_speech_has_ended(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker
) -> None:
    line = await say(ground, playout, progress, "one")
    await progress.heard(SpeechEnded(line.utterance.id))
    await progress.heard(AnswerHeard(line.utterance.id, "Good morning."))
    assert line.answer == "Good morning."
    assert ground.told == [("one", SPOKEN), ("one", SPOKEN)]


async def test_words_that_come_late_put_the_end_off(
    ground: SpeakingHarness, playout: Playout, silent: PlaybackTracker
) -> None:
    line = await say(ground, playout, silent, "one two three four")
    line.chunks.append("and more")
    await ground.pass_time(4.0)
    await silent.words_heard(9)
    line.chunks.clear()
    await ground.pass_time(2.4)
    assert ground.told == []
    await ground.pass_time(0.1)
    assert ground.told == [("one two three four", SPOKEN)]


async def test_words_of_what_is_complete_change_nothing(
    ground: SpeakingHarness, playout: Playout, silent: PlaybackTracker
) -> None:
    await say(ground, playout, silent, "one two three four")
    await ground.pass_time(4.0)
    await silent.words_heard(1)
    await ground.pass_time(1.0)
    assert ground.told == [("one two three four", SPOKEN)]


async def test_what_was_cut_comes_to_no_end(ground: SpeakingHarness, playout: Playout, silent: PlaybackTracker) -> None:
    await say(ground, playout, silent, "one")
    playout.cut()
    silent.cancel_end()
    await ground.pass_time(5.0)
    assert ground.told == []


async def test_a_timer_that_rang_before_more_was_sent_ends_nothing(
    ground: SpeakingHarness, playout: Playout, silent: PlaybackTracker
) -> None:
    await say(ground, playout, silent, "one")
    await ground.clock.advance(5.0)
    await say(ground, playout, silent, "two")
    await ground.pass_time(0.0)
    assert ground.told == []


# --- how much was spoken ---------------------------------------------------------------------------------------------


async def test_what_events_tell_of_two_texts_is_spoken_and_the_wait_for_the_first_is_not(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker, spoken: SpokenTime
) -> None:
    first = await say(ground, playout, progress, "one")
    second = await say(ground, playout, progress, "two")
    await ground.pass_time(2.0)
    await progress.heard(SpeechStarted(first.utterance.id))
    await ground.pass_time(9.0)
    await progress.heard(SpeechEnded(first.utterance.id))
    await ground.pass_time(1.0)
    await progress.heard(SpeechStarted(second.utterance.id, 0.5))
    await ground.pass_time(7.0)
    await progress.heard(SpeechEnded(second.utterance.id))
    await ground.pass_time(60.0)
    assert spoken.seconds == 9.0 + 7.5


async def test_where_no_event_tells_the_end_speech_was_as_long_as_estimated(
    ground: SpeakingHarness, playout: Playout, progress: PlaybackTracker, spoken: SpokenTime
) -> None:
    for text in ("one", "two"):
        await say(ground, playout, progress, text)
    with capture_logs():
        await ground.pass_time(60.0)
    assert ground.told[-1] == ("two", SPOKEN)
    assert spoken.seconds == 10.0
