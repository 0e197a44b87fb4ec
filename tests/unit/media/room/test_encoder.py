import heapq
import io
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any

import av
import numpy as np
import pytest

from adapters.media.room.codecs import LEAD_IN, picture_of
from adapters.media.room.encoder import LEAP, Encoder, TimeLeapt
from adapters.media.room.pictures import MAX_WAITING
from adapters.media.room.playlist import PART, SEGMENT
from adapters.media.room.quality import QUALITIES, SECONDS_EASY, QualityLadder
from tests.harness.played import played
from tests.unit.media.room.fixtures import Encoded, Sound, encoder, feed, pictures, sound

SMALL, MIDDLE, LARGE = QUALITIES


def test_parts_are_even_and_each_segment_begins_with_a_key_frame() -> None:
    encoded = Encoded()
    feed(encoder(encoded), pictures(100, 110), sound(100, 110))
    assert len(encoded.inits) == 1
    assert len(encoded.parts) >= 18
    begin = encoded.parts[0].start
    for index, part in enumerate(encoded.parts):
        assert abs(part.start - begin - index * PART) < 1e-9
        assert part.begins_segment is (index % 2 == 0)
    for segment in range(len(encoded.parts) // 2):
        body = b"".join(part.body for part in encoded.parts[2 * segment : 2 * segment + 2])
        alone = played(encoded.inits[0].body + body)
        assert alone.times[0] == pytest.approx(LEAD_IN + segment * SEGMENT, abs=1e-4)
        # A part that begins between two pictures of the source shows the earlier one again.
        assert len(alone.pictures) == 26
        assert len(alone.sound) / 48_000 == pytest.approx(SEGMENT, abs=0.025)


def test_the_pictures_of_a_part_last_as_long_as_it_does() -> None:
    encoded = Encoded()
    feed(encoder(encoded), pictures(100, 105, fps=7), sound(100, 105))
    for part in encoded.parts:
        with av.open(io.BytesIO(encoded.inits[0].body + part.body), "r") as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            durations = [float((packet.duration or 0) * (packet.time_base or 0)) for packet in packets]
        assert sum(durations) == pytest.approx(PART, abs=1e-4)
        # Each until the next one: none is left to a player's guess.
        moments = [float((packet.pts or 0) * (packet.time_base or 0)) for packet in packets]
        assert durations[:-1] == pytest.approx([after - before for before, after in pairwise(moments)], abs=1e-4)


def test_it_is_what_every_browser_plays() -> None:
    encoded = Encoded()
    feed(encoder(encoded, SMALL), pictures(0, 3), sound(0, 3))
    with av.open(io.BytesIO(encoded.media()[0])) as container:
        video, audio = container.streams.video[0].codec_context, container.streams.audio[0].codec_context
        assert (video.name, video.profile, video.pix_fmt) == ("h264", "Main", "yuv420p")
        assert (video.width, video.height, video.has_b_frames) == (640, 360, False)
        assert (audio.name, audio.profile, audio.sample_rate) == ("aac", "LC", 48_000)


def test_sound_and_picture_are_at_the_same_moments() -> None:
    encoded = Encoded()
    feed(encoder(encoded), pictures(100, 120), sound(100, 120))
    (media,) = encoded.media()
    offsets = played(media).offsets
    assert len(offsets) >= 18
    assert max(map(abs, offsets)) < 0.02


@pytest.mark.parametrize("lag", [0.15, -0.15])
def test_a_track_that_is_held_back_longer_is_brought_together_with_the_other(lag: float) -> None:
    encoded = Encoded()
    maker = encoder(encoded)
    late_sound, late_pictures = max(0.0, lag), max(0.0, -lag)
    arrivals: Iterable[tuple[float, Any]] = heapq.merge(
        ((one.at + late_pictures, one) for one in pictures(100, 110)),
        ((one.at + late_sound, one) for one in sound(100, 110)),
        key=lambda arrival: arrival[0],
    )
    for at, one in arrivals:
        if isinstance(one, Sound):
            maker.sound(at, one.pcm, 1, late_pictures)
        else:
            maker.picture(at, one.timestamp, picture_of(one.planes, *one.size), 1, late_sound)
    offsets = played(encoded.media()[0]).offsets
    assert len(offsets) >= 8
    assert max(map(abs, offsets)) < 0.02


@pytest.mark.parametrize("fps", [10, 15, 24, 30, 60])
def test_pictures_pass_as_they_come_up_to_thirty_a_second(fps: int) -> None:
    encoded = Encoded()
    feed(encoder(encoded), pictures(100, 110, fps=fps), sound(100, 110))
    times = played(encoded.media()[0]).times
    assert min(fps, 30) * 0.98 <= len(times) / (times[-1] - times[0]) <= min(fps, 30) + 2
    assert all(after > before for before, after in pairwise(times))


def test_sound_before_the_first_picture_is_heard_over_black_ones() -> None:
    encoded = Encoded()
    feed(encoder(encoded), sound(100, 110), pictures(104, 110))
    result = played(encoded.media()[0])
    early = [luma for moment, luma in result.pictures if moment < LEAD_IN + 2.5]
    assert len(early) >= 4
    assert max(int(luma.max()) for luma in early) < 30
    assert len(result.beeps) >= 7
    assert len(result.offsets) >= 4
    assert max(map(abs, result.offsets)) < 0.02


def test_without_a_sound_track_it_is_silent() -> None:
    encoded = Encoded()
    feed(encoder(encoded), pictures(100, 105))
    result = played(encoded.media()[0])
    assert len(result.sound) >= 4 * 48_000
    assert float(np.abs(result.sound).max()) < 1e-3
    assert len(result.flashes) >= 3


def test_in_a_gap_of_everything_the_picture_stays_and_it_is_silent() -> None:
    encoded = Encoded()
    before, after = (pictures(100, 103), sound(100, 103)), (pictures(109, 112, track=2), sound(109, 112, track=2))
    maker = encoder(encoded)
    feed(maker, *before, until=108.9)
    feed(maker, *after)
    result = played(encoded.media()[0])
    quiet = [luma for moment, luma in result.pictures if LEAD_IN + 4 < moment < LEAD_IN + 8]
    assert len(quiet) >= 7
    assert all(abs(luma.astype(int) - quiet[0]).max() < 12 for luma in quiet)
    begin = round((LEAD_IN + 4 - result.sound_begins) * 48_000)
    assert float(np.abs(result.sound[begin : begin + 4 * 48_000]).max()) < 1e-3
    assert len(result.beeps) == 6
    assert max(map(abs, result.offsets)) < 0.03


def test_a_picture_of_another_size_is_fitted_into_the_same_one() -> None:
    encoded = Encoded()
    sizes = [(96, 54), (54, 96), (97, 31), (200, 200), (1, 1)]
    sources = [pictures(100 + 2 * number, 102 + 2 * number, size=size) for number, size in enumerate(sizes[:-1])]
    feed(encoder(encoded), chain(*sources), sound(100, 108))
    assert len(encoded.inits) == 1
    result = played(encoded.media()[0])
    assert {luma.shape for _, luma in result.pictures} == {(54, 96)}
    upright = next(luma for moment, luma in result.pictures if moment > LEAD_IN + 3)
    # 54 by 96 is 30 by 54 here: bars on the left and the right, and the flashing half in the middle.
    assert upright[:, :30].max() < 40
    assert upright[:, -30:].max() < 40


def test_the_size_that_is_encoded_follows_the_source_and_goes_on_without_a_break() -> None:
    encoded = Encoded()
    larger = pictures(104, 110, size=(1280, 720), fps=5)
    feed(encoder(encoded, *QUALITIES), chain(pictures(100, 104, size=(640, 360), fps=5), larger), sound(100, 110))
    assert [(init.width, init.height) for init in encoded.inits] == [(640, 360), (1280, 720)]
    first, second = (played(media) for media in encoded.media())
    assert second.times[0] == pytest.approx(first.times[0] + 4.0)
    assert all(after.start - before.start == pytest.approx(PART) for before, after in pairwise(encoded.parts))
    assert max(map(abs, first.offsets + second.offsets)) < 0.03


def test_a_machine_that_cannot_afford_it_gets_a_smaller_picture_and_a_larger_one_later() -> None:
    encoded, seconds = Encoded(), [0.0]

    def slow() -> float:
        # Each picture begins and ends once: 30 a second of 25 ms each are too much for 720p.
        large = bool(encoded.inits) and encoded.inits[-1].height == 720 and len(encoded.parts) < 20
        seconds[0] += 0.08 if large else 0.0005
        return seconds[0]

    maker = Encoder(encoded.made.append, QualityLadder(), stopwatch=slow)
    end = 110 + 2 * SECONDS_EASY
    feed(maker, pictures(100, end, size=(1280, 720), fps=8), sound(100, end))
    heights = [init.height for init in encoded.inits]
    assert heights[:2] == [720, 480]
    assert heights[-1] == 720


def test_what_waits_for_a_part_is_bounded_whatever_arrives() -> None:
    encoded = Encoded()
    maker = encoder(encoded)
    for number, picture in enumerate(pictures(100, 100.9, fps=400)):
        picture.feed(maker)
        assert len(maker._pictures._waiting) <= MAX_WAITING, number


def test_a_burst_after_a_standstill_puts_nothing_off() -> None:
    encoded = Encoded()
    maker = encoder(encoded)
    feed(maker, pictures(100, 105), sound(100, 105))
    for picture in pictures(105, 106):
        maker.picture(106.0, picture.timestamp, av.VideoFrame(96, 54, "yuv420p"), 1)
    for piece in sound(105, 106):
        maker.sound(106.0, piece.pcm, 1)
    feed(maker, pictures(106, 112), sound(106, 112))
    offsets = played(encoded.media()[0]).offsets
    assert len(offsets) >= 9
    assert max(map(abs, offsets[-5:])) < 0.02


def test_where_time_leaps_another_encoder_has_to_begin() -> None:
    encoded = Encoded()
    maker = encoder(encoded)
    feed(maker, pictures(100, 103), sound(100, 103))
    maker.advance(103 + LEAP - 0.5)
    with pytest.raises(TimeLeapt):
        maker.advance(103 + 2 * LEAP)
