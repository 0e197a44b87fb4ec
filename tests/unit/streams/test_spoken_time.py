"""What was really said: from the first to the last word where events tell, by the estimate where they do not."""

import pytest

from bot.streams.spoken_time import SpokenTime
from tests.harness.clock import ManualClock
from tests.unit.speaking.providers import capabilities


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def a_voice(clock: ManualClock, *, reports_speech: bool = True, confirms_text: bool = True) -> SpokenTime:
    return SpokenTime(clock, capabilities(reports_speech=reports_speech, confirms_text=confirms_text))


def expect(voice: SpokenTime, clock: ManualClock, seconds: float) -> None:
    """The voice has something to say for so long from now on."""
    voice.expect(clock.monotonic() + seconds)


# --- by the estimate -------------------------------------------------------------------------------------------------


async def test_without_events_speech_lasts_as_long_as_was_estimated(clock: ManualClock) -> None:
    voice = a_voice(clock, reports_speech=False)
    expect(voice, clock, 5.0)
    await clock.advance(3)
    assert voice.seconds == 3.0
    await clock.advance(10)
    assert voice.seconds == 5.0
    voice.end()
    assert voice.seconds == 5.0


async def test_without_events_what_is_cut_was_said_up_to_the_cut(clock: ManualClock) -> None:
    voice = a_voice(clock, reports_speech=False)
    expect(voice, clock, 5.0)
    await clock.advance(2)
    voice.cut()
    await clock.advance(10)
    assert voice.seconds == 2.0


async def test_an_estimate_that_is_put_right_counts(clock: ManualClock) -> None:
    voice = a_voice(clock, reports_speech=False)
    expect(voice, clock, 5.0)
    voice.correct(clock.monotonic() + 8.0)
    await clock.advance(20)
    voice.end()
    assert voice.seconds == 8.0


async def test_two_texts_are_added_up_and_the_pause_between_them_is_not(clock: ManualClock) -> None:
    voice = a_voice(clock, reports_speech=False)
    for _ in range(2):
        expect(voice, clock, 5.0)
        await clock.advance(5)
        voice.end()
        await clock.advance(60)
    assert voice.seconds == 10.0


async def test_a_voice_that_goes_on_with_the_next_text_at_once_is_one_speech(clock: ManualClock) -> None:
    voice = a_voice(clock, reports_speech=False)
    expect(voice, clock, 5.0)
    await clock.advance(4)
    voice.pause()
    expect(voice, clock, 5.0)
    await clock.advance(20)
    assert voice.seconds == 9.0


@pytest.mark.parametrize("reports_speech", [True, False])
async def test_a_voice_that_waited_for_more_of_the_same_was_silent_meanwhile(
    clock: ManualClock, reports_speech: bool
) -> None:
    voice = a_voice(clock, reports_speech=reports_speech)
    expect(voice, clock, 5.0)
    if reports_speech:
        voice.begin()
    await clock.advance(15)
    voice.pause()
    expect(voice, clock, 3.0)
    await clock.advance(2)
    assert voice.seconds == 7.0
    await clock.advance(2)
    if reports_speech:
        voice.end_as_told()
        assert voice.seconds == 9.0
    else:
        voice.end()
        assert voice.seconds == 8.0


async def test_a_voice_that_could_not_be_cut_speaks_on(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 5.0)
    voice.begin()
    await clock.advance(1)
    voice.cut()
    voice.expect(clock.monotonic() + 4.0, is_surely_heard=True)
    await clock.advance(20)
    assert voice.seconds == 5.0


# --- by events -------------------------------------------------------------------------------------------------------


async def test_events_tell_the_first_and_the_last_word_whatever_was_estimated(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 5.0)
    await clock.advance(3)
    assert voice.seconds == 0.0
    voice.begin()
    await clock.advance(9)
    assert voice.seconds == 9.0
    voice.end_as_told()
    await clock.advance(60)
    assert voice.seconds == 9.0


async def test_a_first_word_that_is_told_late_began_before(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 5.0)
    await clock.advance(3)
    voice.begin(1.0)
    await clock.advance(2)
    voice.end_as_told()
    assert voice.seconds == 3.0


async def test_what_is_told_late_counts_no_moment_twice(clock: ManualClock) -> None:
    voice = a_voice(clock)
    await clock.advance(10)
    for _ in range(2):
        expect(voice, clock, 5.0)
        voice.begin(60.0)
        await clock.advance(2)
        voice.end_as_told()
    assert voice.seconds == 14.0


async def test_a_page_that_hears_the_first_word_puts_an_estimate_right(clock: ManualClock) -> None:
    voice = a_voice(clock, reports_speech=False)
    expect(voice, clock, 5.0)
    await clock.advance(2)
    voice.begin()
    await clock.advance(4)
    voice.end_as_told()
    assert voice.seconds == 4.0


async def test_what_was_cut_before_its_first_word_was_not_said(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 5.0)
    await clock.advance(2)
    voice.cut()
    assert voice.seconds == 0.0


async def test_what_was_cut_after_its_first_word_was_said_up_to_the_cut(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 5.0)
    await clock.advance(2)
    voice.begin()
    await clock.advance(1)
    voice.cut()
    assert voice.seconds == 1.0


async def test_the_first_word_of_the_next_text_ends_the_one_before(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 10.0)
    voice.begin()
    await clock.advance(6)
    voice.end()
    expect(voice, clock, 4.0)
    voice.begin()
    await clock.advance(5)
    voice.end_as_told()
    assert voice.seconds == 11.0


async def test_events_that_are_lost_leave_the_estimate_where_the_text_has_surely_arrived(clock: ManualClock) -> None:
    for confirms_text, seconds in ((True, 5.0), (False, 0.0)):
        voice = a_voice(clock, confirms_text=confirms_text)
        expect(voice, clock, 5.0)
        await clock.advance(20)
        voice.end()
        assert voice.seconds == seconds


async def test_a_last_word_without_a_first_one_was_heard(clock: ManualClock) -> None:
    voice = a_voice(clock, confirms_text=False)
    expect(voice, clock, 5.0)
    await clock.advance(7)
    voice.end_as_told()
    assert voice.seconds == 5.0


async def test_a_beginning_and_an_end_in_one_moment_are_an_estimate(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 5.0)
    await clock.advance(7)
    voice.begin()
    voice.end_as_told()
    assert voice.seconds == 5.0


async def test_what_nobody_follows_any_more_ends_by_the_estimate(clock: ManualClock) -> None:
    voice = a_voice(clock)
    expect(voice, clock, 5.0)
    voice.begin()
    await clock.advance(1)
    voice.lose()
    await clock.advance(60)
    assert voice.seconds == 5.0


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_each_stream_has_its_own_and_the_end_of_one_cuts_the_voice(clock: ManualClock) -> None:
    voice = a_voice(clock, reports_speech=False)
    voice.resume(7.0)
    expect(voice, clock, 5.0)
    await clock.advance(2)
    assert voice.take() == 9.0
    await clock.advance(2)
    assert voice.seconds == 0.0
    assert voice.take() == 0.0
