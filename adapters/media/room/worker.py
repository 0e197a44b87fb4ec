"""`python -m adapters.media.room.worker`: the encoder as a process of its own. What arrived comes in by its standard
input, what is to be served goes out by its standard output (`wire`); it ends with its input.

Of its own, because x264 takes whole milliseconds at a time and is not to take them from whoever writes in the channel,
because its memory goes with it, and because a crash in FFmpeg's libraries ends this process and not the bot.
"""

import os
import signal
import sys
from contextlib import suppress
from typing import BinaryIO

import av

from adapters.media.room.codecs import picture_of
from adapters.media.room.encoder import Encoder
from adapters.media.room.quality import QUALITIES, QualityLadder
from adapters.media.room.segmenter import EncodedPart, InitSegment
from adapters.media.room.wire import HEAD, Head, Kind, Readable, read_exactly

NICENESS = 5
"""Where both want the processor, the bot goes first: a message is worth more than a picture."""


def main() -> None:
    """Encode until the input ends. An argument is the height of the only quality there is, for measurements."""
    # Ctrl-C reaches everybody in the terminal; the bot ends this process when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(NICENESS)
    av.logging.set_level(av.logging.ERROR)
    wanted = [quality for quality in QUALITIES if str(quality.height) in sys.argv[1:]]
    with open(0, "rb", buffering=0, closefd=False) as source, open(1, "wb", closefd=False) as sink:
        run(source, sink, QualityLadder(tuple(wanted) or QUALITIES))


def run(source: Readable, sink: BinaryIO, ladder: QualityLadder) -> None:
    """From one to the other."""

    def emit(made: InitSegment | EncodedPart) -> None:
        if isinstance(made, InitSegment):
            head = Head(Kind.MAP, 0.0, width=made.width, height=made.height, length=len(made.body))
        else:
            begins = int(made.begins_segment)
            head = Head(Kind.PART, made.start, made.duration, track=begins, length=len(made.body))
        sink.write(head.pack() + made.body)
        sink.flush()

    encoder = Encoder(emit, ladder)
    while (packed := read_exactly(source, HEAD.size)) is not None:
        head = Head.unpack(packed)
        body = read_exactly(source, head.length)
        if body is None:
            return
        match head.kind:
            case Kind.PICTURE:
                picture = picture_of(body, head.width, head.height)
                encoder.picture(head.at, head.timestamp, picture, head.track, head.later)
            case Kind.SOUND:
                encoder.sound(head.at, bytes(body), head.track, head.later)
            case Kind.TICK:
                encoder.advance(head.at)
            case _:
                raise ValueError(head.kind)


if __name__ == "__main__":
    # The bot that has gone reads nothing more: there is nobody left to tell.
    with suppress(BrokenPipeError):
        main()
