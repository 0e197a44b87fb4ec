import os
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.media.room.feed import MAX_PICTURES, Feed
from adapters.media.room.wire import HEAD, Head, Kind, read_exactly

LARGE = bytes(1_000_000)
"""More than any pipe takes."""


@contextmanager
def feed_and_reader() -> Iterator[tuple[Feed, int]]:
    reading, writing = os.pipe()
    feed = Feed(writing)
    try:
        yield feed, reading
    finally:
        feed.close()
        os.close(reading)
        feed.join()


def received(reading: int, count: int) -> list[Head]:
    heads = []
    with open(reading, "rb", buffering=0, closefd=False) as file:
        for _ in range(count):
            packed = read_exactly(file, HEAD.size)
            assert packed is not None
            heads.append(Head.unpack(packed))
            assert len(read_exactly(file, heads[-1].length) or b"") == heads[-1].length
    return heads


def test_messages_arrive_in_order() -> None:
    with feed_and_reader() as (feed, reading):
        sent = [Head(Kind.SOUND, float(number), length=5) for number in range(100)]
        for head in sent:
            feed.put(head, b"12345")
        assert received(reading, 100) == sent


def test_where_the_encoder_is_slow_whole_pictures_are_left_out_and_no_sound() -> None:
    with feed_and_reader() as (feed, reading):
        for number in range(50):
            feed.put(Head(Kind.PICTURE, float(number), length=len(LARGE)), LARGE)
            feed.put(Head(Kind.SOUND, float(number), length=4), b"1234")
        kept = 50 - feed.left_out
        # One may be in the pipe already.
        assert MAX_PICTURES <= kept <= MAX_PICTURES + 1
        heads = received(reading, 50 + kept)
    assert [head.at for head in heads if head.kind is Kind.SOUND] == [float(number) for number in range(50)]
    assert [head.at for head in heads if head.kind is Kind.PICTURE][-MAX_PICTURES:] == [46.0, 47.0, 48.0, 49.0]


def test_it_ends_with_a_reader_that_has_gone_and_takes_nothing_more() -> None:
    reading, writing = os.pipe()
    feed = Feed(writing)
    feed.put(Head(Kind.PICTURE, 0.0, length=len(LARGE)), LARGE)
    os.close(reading)
    feed._thread.join(10)
    assert not feed._thread.is_alive()
    feed.put(Head(Kind.SOUND, 0.0, length=1), b"1")
    assert len(feed._waiting) == 0
