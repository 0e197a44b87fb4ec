"""An hour at speed: sound and picture stay together, and nothing grows."""

import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.media.room.encoder import Encoder
from adapters.media.room.segmenter import InitSegment
from tests.harness.played import played
from tests.unit.media.room.fixtures import Encoded, Picture, Sound, encoder, feed, pictures, sound

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]

HOUR = 3_600
TOGETHER = 0.08
"""Seconds that sound and picture may be apart: nobody sees that of lips."""

GROWTH = 3_000
"""kB by which a process may grow in fifty minutes: the 180,000 pictures and pieces of sound may leave 17 bytes each."""

STATUS = Path("/proc/self/status")
"""Only Linux tells the memory of a process."""


def uneven(arrivals: Iterable[Picture | Sound], most: int) -> Iterator[Any]:
    """Each arrives up to `most` milliseconds late, in an order that looks like none."""
    for number, arrival in enumerate(arrivals):
        late = (number * 7919 % 101) / 101 * most / 1000
        if isinstance(arrival, Picture):
            yield Picture(arrival.at + late, arrival.timestamp, arrival.size, arrival.planes, arrival.track)
        else:
            yield Sound(arrival.at + late, arrival.pcm, arrival.track)


def memory() -> int:
    """What this process has, kB."""
    gc.collect()
    return int(STATUS.read_text(encoding="utf-8").partition("VmRSS:")[2].split()[0])


def play_minute(maker: Encoder, minute: int) -> float:
    """Clocks are 150 millionths too fast and too slow, and every tenth minute begins without sound: returns seconds."""
    begin = minute * 60.0
    muted = 7.0 if minute % 10 == 5 else 0.0
    feed(
        maker,
        uneven(pictures(begin, begin + 60, fps=10, drift=150e-6), 60),
        uneven(sound(begin + muted, begin + 60, drift=-150e-6), 40),
    )
    return muted


def test_an_hour_keeps_sound_and_picture_together_and_needs_no_more_memory(tmp_path: Path) -> None:
    """Without correction they would be a second apart at its end. Both in one test: to encode an hour takes minutes."""
    encoded = Encoded()
    maker = encoder(encoded)
    init, muted, parts, after_ten = b"", [], 0, 0
    for minute in range(HOUR // 60):
        muted.append(play_minute(maker, minute))
        for one in encoded.made:
            if isinstance(one, InitSegment):
                init = one.body
        parts += len(encoded.parts)
        # Played later, so that what plays it counts for nothing.
        (tmp_path / f"{minute}").write_bytes(b"".join(part.body for part in encoded.parts))
        encoded.made.clear()
        if minute == 10 and STATUS.exists():
            after_ten = memory()
    if STATUS.exists():
        assert memory() - after_ten < GROWTH
    assert abs(parts - HOUR / 0.5) < 5
    for minute, silent in enumerate(muted):
        offsets = played(init + (tmp_path / f"{minute}").read_bytes()).offsets
        assert len(offsets) >= 58 - silent, minute
        assert max(map(abs, offsets)) < TOGETHER, minute
