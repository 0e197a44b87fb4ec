import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.media.room.wire import HEAD, Head, Kind, i420_size, read_exactly

HEADS = st.builds(
    Head,
    st.sampled_from(Kind),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
)


class Dribble(io.RawIOBase):
    """Gives a byte or a few at a time, as a pipe may."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        some = self._content[: min(3, len(buffer))]
        buffer[: len(some)] = some
        self._content = self._content[len(some) :]
        return len(some)


@given(HEADS)
def test_a_head_arrives_as_it_was_sent(head: Head) -> None:
    assert Head.unpack(head.pack()) == head


def test_a_head_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        Head.unpack(HEAD.pack(99, 0, 0, 0, 0, 0, 0, 0))


@given(st.binary(max_size=50), st.integers(0, 60))
def test_a_body_arrives_whole_or_not_at_all(content: bytes, length: int) -> None:
    expected = content[:length] if length <= len(content) else None
    assert read_exactly(Dribble(content), length) == expected


@pytest.mark.parametrize(("size", "length"), [((4, 2), 12), ((5, 3), 15 + 12), ((1, 1), 3)])
def test_planes_of_an_odd_size_are_rounded_up(size: tuple[int, int], length: int) -> None:
    assert i420_size(*size) == length
