"""The line being said, the one sent ahead, and what a cut makes of both."""

import pytest

from bot.speaking.item import SpeechItem
from bot.speaking.playout import Playout
from bot.streams.spoken_time import SpokenTime
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock
from tests.unit.speaking.providers import capabilities


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def playout(clock: ManualClock) -> Playout:
    return Playout(clock, SpokenTime(clock, capabilities()))


def a_line(text: str = "Hello there.") -> SpeechItem:
    return SpeechItem(an_utterance(a_session(), text=text))


def given(playout: Playout, line: SpeechItem, seconds: float) -> None:
    line.sent = True
    playout.give(line, line.utterance.text, seconds)


@pytest.fixture
def current(playout: Playout) -> SpeechItem:
    """A line that is said for 10 seconds."""
    line = a_line()
    playout.begin(line)
    given(playout, line, 10.0)
    return line


@pytest.fixture
def ahead(playout: Playout, current: SpeechItem) -> SpeechItem:
    """A line that was sent ahead and is to be said for 4 seconds."""
    line = a_line()
    playout.follow_with(line)
    given(playout, line, 4.0)
    return line


async def test_what_was_given_is_unsaid_until_its_time_is_over(
    playout: Playout, clock: ManualClock, current: SpeechItem, ahead: SpeechItem
) -> None:
    assert playout.unsaid == 14.0
    assert (current.said_until, ahead.said_until) == (10.0, 14.0)
    await clock.advance(15.0)
    assert playout.unsaid < 0


async def test_the_line_sent_ahead_begins_when_the_current_one_is_said(
    playout: Playout, clock: ManualClock, current: SpeechItem, ahead: SpeechItem
) -> None:
    await clock.advance(8.0)
    assert playout.end_current() is current
    assert (playout.current, playout.ahead) == (ahead, None)
    assert playout.is_talking
    assert playout.unsaid == 4.0


def test_nothing_ahead_means_silence(playout: Playout, current: SpeechItem) -> None:
    assert playout.end_current() is current
    assert playout.current is None
    assert not playout.is_talking
    assert playout.unsaid == 0.0


def test_the_end_of_a_piece_is_the_end_of_a_line_that_is_complete(playout: Playout, current: SpeechItem) -> None:
    current.chunks.append("And more.")
    assert not playout.end_chunk()
    current.chunks.clear()
    assert playout.end_chunk()


def test_a_line_that_was_not_handed_over_does_not_end(playout: Playout) -> None:
    playout.begin(a_line())
    assert not playout.end_chunk()


def test_what_was_sent_ahead_is_taken_back_as_if_it_had_never_been_sent(
    playout: Playout, current: SpeechItem, ahead: SpeechItem
) -> None:
    assert playout.cut() is current
    assert playout.take_back() is ahead
    assert not ahead.sent
    assert (playout.current, playout.ahead, playout.in_doubt) == (None, None, None)
    assert not playout.is_talking


async def test_what_may_have_begun_unheard_is_in_doubt_and_not_taken_back(
    playout: Playout, clock: ManualClock, current: SpeechItem, ahead: SpeechItem
) -> None:
    await clock.advance(10.0)
    assert playout.cut() is current
    assert playout.take_back() is None
    assert playout.take_doubtful() is ahead
    assert playout.take_doubtful() is None


async def test_where_the_current_line_was_heard_the_one_ahead_has_surely_not_begun(
    playout: Playout, clock: ManualClock, current: SpeechItem, ahead: SpeechItem
) -> None:
    current.heard = True
    await clock.advance(11.0)
    playout.cut()
    assert playout.take_back() is ahead


def test_words_that_are_heard_put_the_estimate_right(playout: Playout, current: SpeechItem) -> None:
    playout.hear(len(current.utterance.text) // 2)
    assert playout.unsaid == 5.0


def test_a_line_is_found_until_another_one_is_said(playout: Playout, current: SpeechItem, ahead: SpeechItem) -> None:
    playout.end_current()
    assert playout.find(current.utterance.id) is current
    playout.end_current()
    assert playout.find(ahead.utterance.id) is ahead
    assert playout.find(current.utterance.id) is None


def test_a_line_that_was_not_taken_leaves_its_place(playout: Playout, current: SpeechItem, ahead: SpeechItem) -> None:
    playout.remove(ahead)
    assert (playout.current, playout.ahead) == (current, None)
    playout.remove(current)
    assert playout.current is None
