"""What a voice channel's player gets: words in order and whole, silence between, no click, no drift, and never more
delay than a second and a half."""

import array
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.discord.voice.buffer import FADE, LIMIT, VoiceBuffer, in_stereo
from bot.core.sound import FRAME, FRAME_BYTES, RATE

LOUD = 20_000
STEP = 600
"""The most by which two samples that follow one another may differ: LOUD in 10 ms is 42 a sample."""


def piece(level: int = LOUD) -> bytes:
    return array.array("h", [level] * (FRAME_BYTES // 2)).tobytes()


QUIET = piece(0)


def samples(taken: bytes | None) -> "array.array[int]":
    return array.array("h", taken if taken is not None else QUIET)


def drained(buffer: VoiceBuffer, limit: int = 200) -> list[bytes | None]:
    return [buffer.take() for _ in range(limit)]


def assert_smooth(taken: list[bytes | None]) -> None:
    """No click: within a piece and from one to the next."""
    everything = array.array("h")
    for each in taken:
        everything.extend(samples(each))
    assert max(abs(after - before) for before, after in itertools.pairwise(everything)) <= STEP


def test_starved_it_is_silent_and_costs_nothing() -> None:
    assert drained(VoiceBuffer(), 10) == [None] * 10


def test_the_first_piece_is_held_back_for_as_long_as_the_next_may_be_late() -> None:
    buffer = VoiceBuffer()
    for _ in range(10):
        buffer.put(piece(), 0.1)
    taken = drained(buffer, 20)
    assert taken[:5] == [None] * 5
    assert taken[5] is not None


def test_all_that_was_put_is_heard_in_order_and_without_a_click() -> None:
    buffer = VoiceBuffer()
    levels = [LOUD + 10 * number for number in range(20)]
    for level in levels:
        buffer.put(piece(level), 0.0)
    taken = drained(buffer, 30)
    heard = [samples(each)[-1] for each in taken if each is not None]
    assert heard[:20] == levels
    assert_smooth(taken)


def test_a_cut_fades_out_within_ten_milliseconds_and_leaves_nothing() -> None:
    buffer = VoiceBuffer()
    for _ in range(50):
        buffer.put(piece(), 0.0)
    before = [buffer.take() for _ in range(5)]
    buffer.cut()
    after = drained(buffer, 10)
    assert_smooth([*before, *after])
    assert after[0] is not None
    fading = samples(after[0])
    assert all(sample == 0 for sample in fading[round(FADE * RATE) :])
    assert after[1:] == [None] * 9


def test_more_than_a_second_and_a_half_is_never_held() -> None:
    buffer = VoiceBuffer()
    for number in range(500):
        buffer.put(piece(number + 1_000), 0.0)
        assert len(buffer) * FRAME <= LIMIT + 1e-9
    taken = drained(buffer, 100)
    assert samples(next(each for each in taken if each))[-1] == 500 - 75 + 1_000
    assert_smooth(taken)


@pytest.mark.slow
def test_a_source_that_is_faster_makes_no_delay_that_grows() -> None:
    # 200 ppm: an hour of it is 0.72 s.
    buffer = VoiceBuffer()
    talk = [piece()] * 100 + [QUIET] * 50
    pieces = itertools.cycle(talk)
    waiting: list[int] = []
    given = 0.0
    for tick in range(60 * 60 * 50):
        given += 1.0002
        while given >= 1.0:
            buffer.put(next(pieces), 0.06)
            given -= 1.0
        buffer.take()
        if tick % 1000 == 999:
            waiting.append(len(buffer))
    assert max(waiting) * FRAME < 0.4


@pytest.mark.slow
def test_a_source_that_is_slower_is_silent_for_a_moment_and_goes_on() -> None:
    buffer = VoiceBuffer()
    given, silent, taken = 0.0, 0, 0
    pieces = itertools.cycle([piece()] * 100 + [QUIET] * 50)
    expected = 0
    for _ in range(10 * 60 * 50):
        given += 0.9998
        while given >= 1.0:
            following = next(pieces)
            expected += following != QUIET
            buffer.put(following, 0.06)
            given -= 1.0
        out = buffer.take()
        taken += out is not None and out[-2:] == piece()[-2:]
        silent += out is None
    assert taken >= expected - 10


def test_a_source_that_comes_in_bursts_makes_no_gap() -> None:
    """A segment of 0.96 s at a time, each up to 0.3 s late."""
    buffer = VoiceBuffer()
    late = itertools.cycle([0, 9, 3, 14, 0, 12])
    arrivals = [48 * number + next(late) for number in range(60)]
    taken: list[bytes | None] = []
    for tick in range(48 * 60):
        for _ in range(arrivals.count(tick)):
            for _ in range(48):
                buffer.put(piece(), 0.3)
        taken.append(buffer.take())
    first = next(place for place, each in enumerate(taken) if each is not None)
    assert None not in taken[first:-48]


@given(st.lists(st.sampled_from(["put", "quiet", "take", "cut"]), max_size=400))
def test_whatever_happens_there_is_no_click_and_pieces_are_whole(events: list[str]) -> None:
    buffer = VoiceBuffer()
    taken: list[bytes | None] = []
    for event in events:
        match event:
            case "put":
                buffer.put(piece(), 0.04)
            case "quiet":
                buffer.put(QUIET, 0.04)
            case "cut":
                buffer.cut()
            case _:
                taken.append(buffer.take())
    assert all(each is None or len(each) == FRAME_BYTES for each in taken)
    if taken:
        assert_smooth(taken)


def test_both_ears_hear_the_same() -> None:
    both = array.array("h", in_stereo(piece(7)))
    assert both[0::2] == both[1::2] == array.array("h", [7] * (FRAME_BYTES // 2))
