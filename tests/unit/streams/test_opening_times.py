"""How long a stream usually takes to open, as far as that is known."""

from bot.streams.opening_times import REMEMBERED, OpeningTimes


def opened(*seconds: float) -> OpeningTimes:
    times = OpeningTimes()
    for one in seconds:
        times.note(one)
    return times


def test_nothing_is_usual_while_nothing_is_known() -> None:
    assert opened().usual is None


def test_one_slow_opening_is_not_usual() -> None:
    assert opened(4.0).usual == 4.0
    assert opened(4.0, 30.0, 5.0).usual == 5.0


def test_what_was_long_ago_is_forgotten() -> None:
    assert opened(*[60.0] * 100, *[3.0] * REMEMBERED).usual == 3.0
