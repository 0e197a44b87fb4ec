import array
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.media.room.sound import FARTHEST, RATE, SoundTimeline, stretched

PIECE = RATE // 50
LOUD = array.array("h", [1000] * PIECE).tobytes()


def samples(pcm: bytes) -> "array.array[int]":
    return array.array("h", pcm)


def edges(pcm: bytes) -> list[float]:
    """Seconds at which it becomes loud or silent."""
    line = samples(pcm)
    return [index / RATE for index in range(1, len(line)) if (line[index] == 0) != (line[index - 1] == 0)]


@given(
    st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.4), st.integers(0, 2)), max_size=60),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20),
)
def test_whatever_arrives_the_line_has_no_hole_and_no_more_than_time_has_passed(
    pieces: list[tuple[float, float, int]], looks: list[float]
) -> None:
    line, at, given_out = SoundTimeline(100.0), 100.0, 0
    for passed, late, track in pieces:
        at += passed
        line.put(at + late, LOUD, track)
    until = 100.0
    for step in looks:
        until += step
        given_out += len(line.take(until)) // 2
        assert given_out == round((until - 100.0) * RATE)


def test_even_sound_stays_as_it_is() -> None:
    line = SoundTimeline(0.0)
    pcm = array.array("h", (round(9000 * math.sin(index / 20)) for index in range(RATE)))
    for index in range(50):
        line.put((index + 1) / 50, pcm[index * PIECE : (index + 1) * PIECE].tobytes(), 1)
    assert samples(line.take(1.0)) == pcm


def test_where_nothing_is_heard_there_is_silence_and_what_follows_is_in_its_place() -> None:
    line = SoundTimeline(0.0)
    for moment in (*range(1, 51), *range(151, 201)):
        line.put(moment / 50, LOUD, 1)
    assert edges(line.take(4.0)) == [1.0, 3.0]


def test_sound_of_the_next_track_is_in_its_place() -> None:
    line = SoundTimeline(0.0)
    for moment in range(1, 51):
        line.put(moment / 50, LOUD, 1)
    for moment in range(76, 101):
        line.put(moment / 50, LOUD, 2)
    assert edges(line.take(2.0)) == [1.0, 1.5]


def test_sound_that_is_late_by_less_than_it_waits_is_in_its_place() -> None:
    line = SoundTimeline(0.0)
    for moment in range(1, 101):
        line.put(moment / 50 + (0.2 if moment % 7 else 0.0), LOUD, 1)
    assert edges(line.take(2.0)) == []


def test_sound_that_comes_too_late_is_cut_and_the_rest_is_in_its_place() -> None:
    line = SoundTimeline(0.0)
    for moment in range(1, 26):
        line.put(moment / 50, LOUD, 1)
    assert edges(line.take(1.0)) == [0.5]
    for _ in range(50):
        line.put(1.5, LOUD, 1)
    # Half a second stood still: what was for the time given out already is lost, and nothing is put off.
    assert edges(line.take(2.0)) == [0.5]


@pytest.mark.slow
@pytest.mark.parametrize("drift", [-400e-6, 400e-6])
def test_drift_is_stretched_away_without_a_hole(drift: float) -> None:
    line = SoundTimeline(0.0)
    heard = bytearray()
    for index in range(1, 50 * 120):
        at = index / 50 * (1 + drift)
        line.put(at, LOUD, 1)
        heard += line.take(at - 0.25)
    assert edges(bytes(heard)) == []
    last = samples(line.take((50 * 120 - 1) / 50 * (1 + drift) - 0.01))
    assert set(last) == {1000}


@given(st.integers(0, 200), st.integers(0, 240))
def test_stretched_sound_has_the_length_that_was_asked_for_and_keeps_its_ends(before: int, after: int) -> None:
    sound = array.array("h", range(before))
    result = stretched(sound, after)
    if before < 2 or after < 2:
        assert result == sound
    else:
        assert len(result) == after
        assert (result[0], result[-1]) == (sound[0], sound[-1])
        assert list(result) == sorted(result)


@pytest.mark.parametrize("error", [-1.0, 1.0])
def test_it_is_never_farther_off_than_the_bound(error: float) -> None:
    """A source whose sound suddenly comes earlier, or later, by a second, and goes on evenly."""
    line = SoundTimeline(0.0)
    for moment in range(1, 51):
        line.put(moment / 50, LOUD, 1)
    heard = bytearray(line.take(0.9))
    mark = array.array("h", [30_000] * PIECE).tobytes()
    for moment in range(1, 101):
        line.put(2.0 + error / 2 + moment / 50, mark if moment == 50 else LOUD, 1)
    heard += line.take(4.0)
    place = samples(bytes(heard)).index(30_000)
    assert abs(place - (3.0 - 0.02 + error / 2) * RATE) <= FARTHEST
