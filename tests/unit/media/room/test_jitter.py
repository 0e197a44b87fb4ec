from hypothesis import given
from hypothesis import strategies as st

from adapters.media.room.jitter import MAX_LAG, STEP, JitterLag


def note(lag: JitterLag, looks: int, *, sound: float, picture: float) -> None:
    """So many looks, a second after each other, at buffers that hold back so many seconds from now on."""
    for _ in range(looks):
        for is_picture, delay, rate in ((True, picture, 25), (False, sound, 48_000)):
            held_back, count = lag._counted.get(is_picture, (0.0, 0))
            lag.note(is_picture, held_back + delay * rate, count + rate)


def test_it_is_the_difference_of_what_is_held_back_now() -> None:
    lag = JitterLag()
    note(lag, 1, sound=0.09, picture=0.01)
    assert abs(lag.seconds - 0.08) < 1e-9
    note(lag, 100, sound=0.06, picture=0.01)
    assert abs(lag.seconds - 0.05) < 1e-9


def test_of_one_track_alone_nothing_is_told() -> None:
    lag = JitterLag()
    lag.note(is_picture=False, held_back=10.0, count=100)
    assert lag.seconds == 0.0


def test_a_change_comes_in_steps() -> None:
    lag = JitterLag()
    note(lag, 1, sound=0.01, picture=0.01)
    note(lag, 1, sound=0.21, picture=0.01)
    assert abs(lag.seconds - STEP) < 1e-9
    note(lag, 3, sound=0.21, picture=0.01)
    assert abs(lag.seconds - 0.2) < 1e-9


def test_a_track_that_begins_anew_counts_from_nothing() -> None:
    lag = JitterLag()
    note(lag, 3, sound=0.05, picture=0.01)
    lag.note(is_picture=True, held_back=0.1, count=10)
    lag.note(is_picture=True, held_back=0.2, count=20)
    assert abs(lag.seconds - 0.04) < 1e-9


@given(st.lists(st.tuples(st.booleans(), st.floats(-1e9, 1e9), st.integers(-10, 2**40)), max_size=50))
def test_whatever_is_counted_it_stays_within_its_bound(looks: list[tuple[bool, float, int]]) -> None:
    lag = JitterLag()
    for is_picture, held_back, count in looks:
        lag.note(is_picture, held_back, count)
        assert abs(lag.seconds) <= MAX_LAG
