import itertools

from hypothesis import given
from hypothesis import strategies as st

from adapters.media.room.pictures import CLOSEST, MAX_WAITING, PictureTimeline


@given(
    st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(-1.0, 1.0), st.integers(0, 1)), max_size=60),
    st.floats(0.0, 0.3),
)
def test_pictures_come_in_order_and_never_too_close(steps: list[tuple[float, float, int]], delay: float) -> None:
    line: PictureTimeline[int] = PictureTimeline()
    at, timestamp, seen = 0.0, 0.0, []
    for number, (passed, told, track) in enumerate(steps):
        at, timestamp = at + passed, timestamp + told
        line.put(at, timestamp, number, track)
        seen += line.due(at - delay)
    seen += line.due(at + 10)
    assert [number for _, number in seen] == sorted({number for _, number in seen})
    moments = [moment for moment, _ in seen]
    assert all(after >= before + CLOSEST for before, after in itertools.pairwise(moments))


def test_even_pictures_are_even_whenever_they_arrive() -> None:
    line: PictureTimeline[int] = PictureTimeline()
    seen: list[tuple[float, int]] = []
    for number in range(250):
        at = 50 + number / 25 + (0.0 if number % 5 == 0 else 0.03)
        line.put(at, 7 + number / 25, number, 1)
        seen += line.due(at - 0.25)
    assert [number for _, number in seen] == list(range(244))
    assert max(abs(moment - 50 - number / 25) for moment, number in seen) < 1e-6


def test_of_sixty_a_second_every_second_one_is_shown() -> None:
    line: PictureTimeline[int] = PictureTimeline()
    seen: list[tuple[float, int]] = []
    for number in range(120):
        line.put(number / 60, number / 60, number, 1)
        seen += line.due(number / 60)
    assert [number for _, number in seen] == list(range(0, 120, 2))


def test_what_waits_is_bounded_and_the_oldest_are_left_out() -> None:
    line: PictureTimeline[int] = PictureTimeline()
    for number in range(100):
        line.put(number / 25, number / 25, number, 1)
    assert [number for _, number in line.due(100.0)] == list(range(100 - MAX_WAITING, 100))


def test_a_track_that_follows_has_a_time_of_its_own() -> None:
    line: PictureTimeline[str] = PictureTimeline()
    line.put(10.0, 500.0, "first", 1)
    line.put(10.1, 3.0, "second", 2)
    assert line.due(11.0) == [(10.0, "first"), (10.1, "second")]
