from hypothesis import given
from hypothesis import strategies as st

from adapters.media.room.source_clock import WINDOW, SourceClock

LATENESS = st.floats(0.0, 0.2)


@given(st.lists(LATENESS, min_size=1, max_size=100), st.floats(-1e6, 1e6))
def test_time_is_that_of_the_fastest_arrival(lateness: list[float], origin: float) -> None:
    clock = SourceClock()
    epoch = None
    for index, late in enumerate(lateness):
        epoch = clock.note(index * 0.02 + late, origin + index * 0.02)
    assert epoch is not None
    assert abs(epoch.offset + origin - min(lateness)) < 1e-6


def test_what_was_fast_long_ago_counts_no_more() -> None:
    clock = SourceClock()
    clock.note(100.0, 0.0)
    moment = 0.0
    while moment < WINDOW + 0.1:
        moment += 0.02
        epoch = clock.note(100.05 + moment, moment)
    assert abs(epoch.offset - 100.05) < 1e-6


def test_drift_of_a_source_is_followed() -> None:
    clock, drift = SourceClock(), 200e-6
    for index in range(50 * 600):
        told = index * 0.02
        epoch = clock.note(told * (1 + drift), told)
    assert abs(told + epoch.offset - told * (1 + drift)) < 0.001


def test_after_a_break_its_time_begins_anew_and_what_was_before_stays_where_it_was() -> None:
    clock = SourceClock()
    before = clock.note(10.0, 5.0)
    after = clock.note(20.0, 5.02)
    assert (before.offset, after.offset) == (5.0, 20.0 - 5.02)


def test_a_source_whose_timestamps_leap_begins_anew() -> None:
    clock = SourceClock()
    before = clock.note(10.0, 5.0)
    after = clock.note(10.02, 905.0)
    assert (before.offset, after.offset) == (5.0, 10.02 - 905.0)


def test_of_a_burst_after_a_standstill_of_ours_the_last_tells_the_time() -> None:
    clock = SourceClock()
    for index in range(100):
        clock.note(50 + index * 0.02, index * 0.02)
    for index in range(100, 125):
        epoch = clock.note(50 + 125 * 0.02, index * 0.02)
    assert abs(epoch.offset - 50.02) < 1e-6
