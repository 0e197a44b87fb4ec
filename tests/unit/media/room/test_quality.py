import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.media.room.quality import (
    EASY,
    MAX_SECONDS_EASY,
    QUALITIES,
    SECONDS_EASY,
    SECONDS_TOO_MUCH,
    TOO_MUCH,
    QualityLadder,
)

SMALL, MIDDLE, LARGE = QUALITIES


@pytest.mark.parametrize(
    ("height", "quality"), [(320, SMALL), (360, SMALL), (480, MIDDLE), (481, LARGE), (2160, LARGE)]
)
def test_a_picture_is_not_encoded_much_larger_than_it_is(height: int, quality: object) -> None:
    ladder = QualityLadder()
    ladder.fit(height)
    assert ladder.quality == quality


def test_what_is_too_much_becomes_less_at_once_and_one_busy_second_is_none() -> None:
    ladder = QualityLadder()
    ladder.fit(720)
    for _ in range(10):
        ladder.observe(TOO_MUCH + 0.1)
        ladder.observe(TOO_MUCH - 0.1)
    assert ladder.quality == LARGE
    for _ in range(SECONDS_TOO_MUCH):
        ladder.observe(TOO_MUCH + 0.1)
    assert ladder.quality == MIDDLE


def test_it_becomes_more_only_after_it_was_easy_for_long() -> None:
    ladder = fallen()
    for _ in range(SECONDS_EASY - 1):
        ladder.observe(EASY / 4)
    assert ladder.quality == MIDDLE
    ladder.observe(EASY / 4)
    assert ladder.quality == LARGE


def test_it_does_not_swing_where_the_larger_one_would_be_too_much() -> None:
    ladder = fallen()
    for _ in range(1_000):
        ladder.observe(EASY * 0.9)  # of the smaller one: the larger one has twice its pixels
    assert ladder.quality == MIDDLE


def test_each_time_the_larger_one_turns_out_to_be_too_much_it_waits_longer() -> None:
    ladder, waits = fallen(), []
    for _ in range(8):
        seconds = 0
        while ladder.quality != LARGE:
            ladder.observe(0.1)
            seconds += 1
        for _ in range(SECONDS_TOO_MUCH):
            ladder.observe(0.9)
        waits.append(seconds)
    assert waits == [15, 30, 60, 120, MAX_SECONDS_EASY, MAX_SECONDS_EASY, MAX_SECONDS_EASY, MAX_SECONDS_EASY]


@given(st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 10)), max_size=200))
def test_there_is_always_a_quality_and_none_above_what_is_useful(seconds: list[tuple[int, float]]) -> None:
    ladder = QualityLadder()
    for height, work in seconds:
        ladder.fit(height)
        ladder.observe(work)
        most = next((quality for quality in QUALITIES if quality.height >= height), LARGE)
        assert SMALL.height <= ladder.quality.height <= most.height


def fallen() -> QualityLadder:
    """One that could not afford the largest."""
    ladder = QualityLadder()
    ladder.fit(720)
    for _ in range(SECONDS_TOO_MUCH):
        ladder.observe(1.0)
    assert ladder.quality == MIDDLE
    return ladder
