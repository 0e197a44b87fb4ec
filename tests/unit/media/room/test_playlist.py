import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.media.room.playlist import KEPT, LISTED, PART, WITH_PARTS, LivePlaylist
from bot.core.pictures import PlaylistPosition

BEGIN = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def with_parts(parts: int, first: int = 100) -> LivePlaylist:
    """Of one encoder."""
    playlist = LivePlaylist("x-", first)
    playlist.add_init(b"init")
    for part in range(parts):
        begins = BEGIN + timedelta(seconds=part * PART)
        playlist.add_part(b"part %d;" % part, begins, PART, begins_segment=part % 2 == 0)
    return playlist


def names(text: str) -> list[str]:
    """Everything a player may ask for now, without what is to come."""
    found = re.findall(r'^#EXT-X-(?:MAP|PART):.*?URI="(.+?)"', text, re.MULTILINE)
    return found + [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_playlist_of_three_parts() -> None:
    assert with_parts(3).render() == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:9\n"
        "#EXT-X-TARGETDURATION:1\n"
        "#EXT-X-PART-INF:PART-TARGET=0.5\n"
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=3\n"
        "#EXT-X-MEDIA-SEQUENCE:100\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:1\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="x-i1.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T12:00:00.000Z\n"
        '#EXT-X-PART:DURATION=0.50000,URI="x-100.0.mp4",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.50000,URI="x-100.1.mp4"\n'
        "#EXTINF:1.00000,\n"
        "x-100.mp4\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T12:00:01.000Z\n"
        '#EXT-X-PART:DURATION=0.50000,URI="x-101.0.mp4",INDEPENDENT=YES\n'
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x-101.1.mp4"\n'
    )


def test_a_segment_is_its_parts_one_after_the_other() -> None:
    playlist = with_parts(4)
    assert playlist.file("x-101.mp4") == b"part 2;part 3;"
    assert [playlist.file(f"x-101.{part}.mp4") for part in (0, 1, 2)] == [b"part 2;", b"part 3;", None]
    assert playlist.file("x-i1.mp4") == b"init"


@pytest.mark.parametrize(
    "name", ["", "x-", "x-102.mp4", "x-100.9.mp4", "../x-100.mp4", "x-i2.mp4", "index.m3u8", "é\0"]
)
def test_there_is_no_file_of_another_name(name: str) -> None:
    assert with_parts(4).file(name) is None


def test_only_the_last_segments_are_listed_and_a_few_more_can_be_fetched() -> None:
    playlist = with_parts(2 * 50)
    text = playlist.render()
    assert text.count("#EXTINF") == LISTED
    assert text.count("#EXT-X-PART:") == 2 * WITH_PARTS
    assert f"#EXT-X-MEDIA-SEQUENCE:{150 - LISTED}\n" in text
    assert [playlist.file(f"x-{150 - back}.mp4") is not None for back in (1, KEPT, KEPT + 1)] == [True, True, False]


def test_another_encoder_is_a_discontinuity_with_an_init_segment_of_its_own() -> None:
    playlist = with_parts(3)
    playlist.add_init(b"another")
    playlist.add_part(b"new;", BEGIN + timedelta(seconds=9), PART, begins_segment=True)
    text = playlist.render()
    assert '#EXTINF:0.50000,\nx-101.mp4\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="x-i2.mp4"\n' in text
    assert (playlist.file("x-i1.mp4"), playlist.file("x-i2.mp4")) == (b"init", b"another")


def test_the_discontinuity_that_was_left_behind_is_counted() -> None:
    playlist = with_parts(3)
    playlist.add_init(b"another")
    for part in range(2 * LISTED):
        playlist.add_part(b"new;", BEGIN, PART, begins_segment=part % 2 == 0)
    text = playlist.render()
    assert "#EXT-X-DISCONTINUITY\n" not in text
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:2\n" in text


@pytest.mark.parametrize(
    ("segment", "part", "is_there"),
    [
        (99, None, True), (99, 7, True), (100, None, True), (100, 1, True), (100, 2, True),
        (101, None, False), (101, 0, True), (101, 1, False), (102, 0, False), (2**70, None, False),
    ],
)  # fmt: skip
def test_how_far_it_has_got(segment: int, part: int | None, is_there: bool) -> None:
    assert with_parts(3).has(PlaylistPosition(segment, part)) is is_there


def test_the_part_after_the_last_one_of_a_segment_is_the_first_of_the_next() -> None:
    assert not with_parts(2).has(PlaylistPosition(100, 2))
    assert with_parts(3).has(PlaylistPosition(100, 2))


def test_what_it_announces_comes_under_that_name() -> None:
    playlist = with_parts(1)
    for part in range(1, 9):
        (name,) = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="(.+)"', playlist.render())
        assert playlist.announces(name)
        assert playlist.file(name) is None
        playlist.add_part(b"%d" % part, BEGIN, PART, begins_segment=part % 2 == 0)
        assert playlist.file(name) == b"%d" % part
        assert not playlist.announces(name)


@given(st.lists(st.sampled_from(["part", "part", "part", "part", "encoder"]), max_size=150))
def test_everything_listed_can_be_fetched_and_numbers_only_go_up(steps: list[str]) -> None:
    playlist = LivePlaylist("x-", 5)
    playlist.add_init(b"init")
    meanings: dict[str, bytes] = {}
    begins_segment, sequence, breaks = True, 0, 0
    for number, step in enumerate(steps):
        if step == "encoder":
            playlist.add_init(b"init %d" % number)
            begins_segment = True
            continue
        playlist.add_part(b"part %d" % number, BEGIN, PART, begins_segment=begins_segment)
        begins_segment = not begins_segment
        text = playlist.render()
        now = [int(re.search(rf"{tag}-SEQUENCE:(\d+)", text)[1]) for tag in ("MEDIA", "DISCONTINUITY")]  # type: ignore[index]
        assert now[0] >= sequence
        assert now[1] >= breaks
        sequence, breaks = now
        for name in names(text):
            body = playlist.file(name)
            assert body is not None
            assert meanings.setdefault(name, body) == body
    # Whatever was made: two bytes more would be too many.
    assert playlist.bytes_held <= (KEPT + 1) * 2 * 8 + (KEPT + 2) * 8
