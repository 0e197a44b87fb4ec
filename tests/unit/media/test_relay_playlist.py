"""What becomes of a provider's playlist: the same segments under other names, and nothing else of it."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.media.relay.media_playlist import MAX_SEGMENTS
from adapters.media.relay.playlist import rewrite
from adapters.media.relay.syntax import ByteRange, Kind, Playlist, PlaylistRefused, Reference

BASE = "https://cdn.example/live/stream.m3u8?token=secret"

LIVE = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T12:00:00.000Z
#EXTINF:1.92000,A title with https://cdn.example in it
41.m4s?token=secret
#EXT-X-DISCONTINUITY
#EXTINF:2,
https://other.example/42.m4s
"""

OURS = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="map-0"
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T12:00:00.000Z
#EXTINF:1.92000,
segment-41
#EXT-X-DISCONTINUITY
#EXTINF:2.00000,
segment-42
"""


def name_of(reference: Reference) -> str:
    return f"{reference.kind.value}-{reference.sequence}"


def ours(text: str) -> Playlist:
    return rewrite(text, BASE, name_of)


def live(*lines: str) -> str:
    return "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:2", *lines]) + "\n"


def test_the_same_segments_under_other_names_and_nothing_else() -> None:
    playlist = ours(LIVE)
    assert playlist.text == OURS
    assert {name: reference.url for name, reference in playlist.references.items()} == {
        "map-0": "https://cdn.example/live/init.mp4",
        "segment-41": "https://cdn.example/live/41.m4s?token=secret",
        "segment-42": "https://other.example/42.m4s",
    }
    assert (playlist.target_duration, playlist.newest_duration, playlist.edge) == (2, 2.0, 43)
    assert not playlist.is_over


def test_lines_may_end_as_they_do_elsewhere() -> None:
    assert ours(LIVE.replace("\n", "\r\n")).text == OURS


def test_what_is_not_needed_is_left_out() -> None:
    extras = [
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0",
        "#EXT-X-PART-INF:PART-TARGET=0.33",
        '#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-30T12:00:00Z",X-ASSET-URI="https://cdn.example/ad"',
        '#EXT-X-PART:DURATION=0.33,URI="part.m4s"',
        "#EXTINF:2,",
        "1.m4s",
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="next.m4s"',
        '#EXT-X-RENDITION-REPORT:URI="other.m3u8",LAST-MSN=1',
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "# a comment with https://cdn.example",
    ]
    assert ours(live(*extras)).text == ours(live("#EXTINF:2,", "1.m4s")).text


def test_of_a_playlist_that_only_grows_the_newest_segments_are_handed_on() -> None:
    lines: list[str] = ["#EXT-X-DISCONTINUITY-SEQUENCE:5"]
    for number in range(1000):
        lines += ["#EXT-X-DISCONTINUITY"] * (number % 100 == 50) + ["#EXTINF:2,", f"{number}.m4s"]
    playlist = ours(live(*lines))
    assert len(playlist.references) == MAX_SEGMENTS
    assert f"#EXT-X-MEDIA-SEQUENCE:{1000 - MAX_SEGMENTS}\n#EXT-X-DISCONTINUITY-SEQUENCE:15\n" in playlist.text
    assert playlist.text.endswith("segment-999\n")
    assert playlist.edge == 1000


def test_a_huge_count_of_discontinuities_is_not_handed_on() -> None:
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:7\n" in ours(live(f"#EXT-X-DISCONTINUITY-SEQUENCE:{7 + 4096 * 10**9}")).text
    assert "DISCONTINUITY" not in ours(live(f"#EXT-X-DISCONTINUITY-SEQUENCE:{4096 * 10**9}")).text


def test_the_end_is_told() -> None:
    playlist = ours(live("#EXTINF:2,", "1.m4s", "#EXT-X-ENDLIST"))
    assert playlist.is_over
    assert playlist.text.endswith("#EXT-X-ENDLIST\n")


def test_a_key_is_a_file_like_others_and_ends_where_it_ends() -> None:
    vector = "0x" + "1f" * 16
    text = live(
        f'#EXT-X-KEY:METHOD=AES-128,URI="key?id=1",IV={vector}', "#EXTINF:2,", "1.ts", "#EXT-X-KEY:METHOD=NONE",
        "#EXTINF:2,", "2.ts",
    )  # fmt: skip
    playlist = ours(text)
    assert playlist.references["key-0"].url == "https://cdn.example/live/key?id=1"
    assert f'#EXT-X-KEY:METHOD=AES-128,URI="key-0",IV={vector}\n' in playlist.text
    assert playlist.text.index("#EXT-X-KEY:METHOD=NONE") > playlist.text.index("segment-0")


def test_ranges_of_one_file_are_files_of_their_own() -> None:
    text = live(
        '#EXT-X-MAP:URI="all.mp4",BYTERANGE="720"', "#EXTINF:2,", "#EXT-X-BYTERANGE:1000@720", "all.mp4",
        "#EXTINF:2,", "#EXT-X-BYTERANGE:500", "all.mp4",
    )  # fmt: skip
    playlist = ours(text)
    assert "BYTERANGE" not in playlist.text
    ranges = {name: reference.byte_range for name, reference in playlist.references.items()}
    assert ranges == {"map-0": ByteRange(720, 0), "segment-0": ByteRange(1000, 720), "segment-1": ByteRange(500, 1720)}


VARIANTS = """#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="cdn.example",NAME="https://cdn.example",LANGUAGE="en",DEFAULT=YES,URI="sound.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",URI="words.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="frames.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=90000, RESOLUTION=1280x720,CODECS="avc1.64001f, mp4a.40.2",AUDIO="cdn.example",SUBTITLES="s"
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,FRAME-RATE=25.000,X-SECRET="token"
360.m3u8
"""


def test_a_choice_of_playlists_is_one_of_ours() -> None:
    playlist = ours(VARIANTS)
    assert (
        playlist.text
        == """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio0",NAME="Audio 1",LANGUAGE="en",DEFAULT=YES,URI="playlist-0"
#EXT-X-STREAM-INF:BANDWIDTH=90000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="audio0"
playlist-1
#EXT-X-STREAM-INF:BANDWIDTH=800000,FRAME-RATE=25.000
playlist-2
"""
    )
    assert {reference.kind for reference in playlist.references.values()} == {Kind.PLAYLIST}
    assert playlist.target_duration is None


HOSTILE = {
    "nothing": "",
    "a page": "<!doctype html><script>alert(1)</script>",
    "no target": "#EXTM3U\n#EXTINF:2,\n1.m4s\n",
    "no duration": live("1.m4s"),
    "a duration that is none": live("#EXTINF:nan,", "1.m4s"),
    "an endless duration": live("#EXTINF:999999,", "1.m4s"),
    "a negative sequence": live("#EXT-X-MEDIA-SEQUENCE:-1"),
    "other digits": live("#EXT-X-MEDIA-SEQUENCE:٣"),
    "an endless number": live("#EXT-X-MEDIA-SEQUENCE:" + "9" * 5000),
    "attributes that are none": live('#EXT-X-MAP:URI="init.mp4'),
    "a map of nothing": live("#EXT-X-MAP:BYTERANGE=1"),
    "an address with a line in it": live("#EXTINF:2,", "1.m4s\x0b#EXTINF:2,"),
    "an endless address": live("#EXTINF:2,", "a" * 5000),
    "an address that is none": live("#EXTINF:2,", "http://[::1/1.m4s"),
    "a range that is none": live("#EXT-X-BYTERANGE:x", "#EXTINF:2,", "1.m4s"),
    "a range of nowhere": live("#EXT-X-BYTERANGE:5", "#EXTINF:2,", "1.m4s"),
    "another encryption": live('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"'),
    "somebody's encryption": live('#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="com.example"'),
    "a vector that is none": live('#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0xzz'),
    "a part of a playlist": live("#EXT-X-SKIP:SKIPPED-SEGMENTS=3"),
    "words to be replaced": live('#EXT-X-DEFINE:NAME="a",VALUE="b"'),
    "too much to choose from": "#EXTM3U\n" + "#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n" * 17,
    "a choice of nothing": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n",
    "a variant without a bandwidth": '#EXTM3U\n#EXT-X-STREAM-INF:CODECS="a"\na.m3u8\n',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_handed_on_is_refused(text: str) -> None:
    numbers = itertools.count()
    with pytest.raises(PlaylistRefused) as refusal:
        rewrite(text, BASE, lambda _: f"name-{next(numbers)}")
    assert "secret" not in str(refusal.value)


LINES = st.one_of(
    st.sampled_from(
        [*LIVE.splitlines(), *VARIANTS.splitlines(), *(line for t in HOSTILE.values() for line in t.split("\n")[:9])]
    ),
    st.text(max_size=40),
)
OUR_LINE = re.compile(r'#EXT[A-Z0-9-]*(:[A-Za-z0-9.,=_ "+:T-]*)?|(playlist|segment|map|key)-[0-9]+')


@given(st.lists(LINES, max_size=30).map("\n".join))
def test_nothing_but_what_was_understood_gets_through(text: str) -> None:
    try:
        playlist = ours("#EXTM3U\n" + text)
    except PlaylistRefused:
        return
    for line in playlist.text.splitlines():
        assert OUR_LINE.fullmatch(line), line
        assert "example" not in line
        assert "secret" not in line
