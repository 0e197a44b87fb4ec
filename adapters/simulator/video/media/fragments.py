"""Writing media segments: encoded frames in, one `moof` with its `mdat` out.

Used only when the media are made; `fmp4` reads what is written here. Boxes after ISO/IEC 14496-12, H.264 in
length-prefixed form after 14496-15, AAC frames after 14496-3 (ADTS).
"""

import struct
from collections.abc import Iterator, Sequence

_SYNC = 0x02000000
_NOT_SYNC = 0x01010000
"""Sample flags: depends on nothing; depends on others and is no place to start from."""

_IDR, _SLICE = 5, 1


def box(kind: bytes, *content: bytes) -> bytes:
    """A box with this content."""
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def _track(track: int, duration: int, flags: int, first_flags: int, samples: Sequence[bytes], offset: int) -> bytes:
    """`offset` is where the samples begin, counted from the start of the `moof`."""
    sizes = b"".join(struct.pack(">I", len(sample)) for sample in samples)
    return box(
        b"traf",
        _full_box(b"tfhd", 0, 0x020028, struct.pack(">III", track, duration, flags)),
        _full_box(b"tfdt", 1, 0, struct.pack(">Q", 0)),
        _full_box(b"trun", 0, 0x000205, struct.pack(">IiI", len(samples), offset, first_flags), sizes),
    )


def fragment(video: Sequence[bytes], video_duration: int, audio: Sequence[bytes], audio_duration: int) -> bytes:
    """A segment of one track of H.264 (1) and one of AAC (2); durations per sample, in units of the tracks."""

    def moof(size: int) -> bytes:
        behind = size + 8
        return box(
            b"moof",
            _full_box(b"mfhd", 0, 0, struct.pack(">I", 0)),
            _track(1, video_duration, _NOT_SYNC, _SYNC, video, behind),
            _track(2, audio_duration, _SYNC, _SYNC, audio, behind + sum(map(len, video))),
        )

    return moof(len(moof(0))) + box(b"mdat", *video, *audio)


def h264_samples(stream: bytes) -> list[bytes]:
    """The pictures of an Annex B stream with one slice per picture, in length-prefixed form, without parameter sets."""
    pictures = (unit for unit in _nal_units(stream) if unit[0] & 0x1F in (_IDR, _SLICE))
    return [struct.pack(">I", len(unit)) + unit for unit in pictures]


def _nal_units(stream: bytes) -> Iterator[bytes]:
    for part in stream.split(b"\x00\x00\x01")[1:]:
        unit = part.rstrip(b"\x00")
        if unit:
            yield unit


def aac_samples(stream: bytes) -> list[bytes]:
    """The frames of an ADTS stream without their headers."""
    samples, at = [], 0
    while at + 7 <= len(stream):
        has_crc = not stream[at + 1] & 1
        size = (stream[at + 3] & 3) << 11 | stream[at + 4] << 3 | stream[at + 5] >> 5
        samples.append(stream[at + (9 if has_crc else 7) : at + size])
        at += size
    return samples
