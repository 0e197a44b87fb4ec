"""An hour at speed: sound and picture stay together, and nothing grows."""

import gc
import resource
from collections.abc import Iterator

import pytest

from adapters.media.room.segmenter import EncodedPart, InitSegment
from tests.harness.played import played
from tests.unit.media.room.fixtures import Encoded, Picture, Sound, encoder, feed, pictures, sound

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]

HOUR = 3_600
TOGETHER = 0.08
"""Seconds that sound and picture may be apart: nobody sees that of lips."""

GROWTH = 8_000
"""kB by which a process may grow in fifty minutes; a picture of this test has 8."""


def uneven(arrivals: Iterator[Picture] | Iterator[Sound], most: int) -> Iterator[Picture | Sound]:
    """Each arrives up to `most` milliseconds late, in an order that looks like none."""
    for number, arrival in enumerate(arrivals):
        late = (number * 7919 % 101) / 101 * most / 1000
        if isinstance(arrival, Picture):
            yield Picture(arrival.at + late, arrival.timestamp, arrival.size, arrival.planes, arrival.track)
        else:
            yield Sound(arrival.at + late, arrival.pcm, arrival.track)


def memory() -> int:
    """The most this process ever had, kB."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_sound_and_picture_stay_together_for_an_hour_whatever_their_clocks_do_and_memory_is_bounded() -> None:
    """Clocks that are 150 millionths too fast and too slow part by a second in an hour. They break off now and then."""
    encoded = Encoded()
    maker = encoder(encoded)
    init, offsets, parts, after_ten = b"", [], 0, 0
    for minute in range(HOUR // 60):
        begin = minute * 60.0
        muted = 7.0 if minute % 10 == 5 else 0.0
        feed(
            maker,
            uneven(pictures(begin, begin + 60, fps=10, drift=150e-6), 60),
            uneven(sound(begin + muted, begin + 60, drift=-150e-6), 40),
        )
        for one in encoded.made:
            if isinstance(one, InitSegment):
                init = one.body
        made = [one for one in encoded.made if isinstance(one, EncodedPart)]
        parts += len(made)
        encoded.made.clear()
        result = played(init + b"".join(part.body for part in made))
        offsets += result.offsets
        assert len(result.offsets) >= 58 - muted, minute
        if minute == 10:
            after_ten = memory()
    assert abs(parts - HOUR / 0.5) < 5
    assert max(map(abs, offsets)) < TOGETHER
    assert memory() - after_ten < GROWTH
