"""`python -m adapters.media.sound.worker`: the decoder as a process of its own, which answers what it is asked and ends
with its input.

Of its own, because what it reads comes from outside and FFmpeg's libraries are large: a crash in them ends this process
and not the bot, decoding takes no time from whoever writes in the channel, and its memory goes with it.
"""

import os
import signal
from contextlib import suppress
from typing import BinaryIO

import av

from adapters.media.sound.decoder import SoundLine, Undecodable
from adapters.media.sound.wire import ANSWER, DECODE, QUESTION, Readable, read_exactly

NICENESS = 2
"""Where both want the processor, the bot goes first; but a gap in speech is worse than a late picture."""


def main() -> None:
    """Decode until the input ends."""
    # Ctrl-C reaches everybody in the terminal; the bot ends this process when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(NICENESS)
    av.logging.set_level(av.logging.FATAL)
    with open(0, "rb", buffering=0, closefd=False) as source, open(1, "wb", closefd=False) as sink:
        run(source, sink)


def run(source: Readable, sink: BinaryIO) -> None:
    """From one to the other."""
    lines: dict[int, SoundLine] = {}
    while (packed := read_exactly(source, QUESTION.size)) is not None:
        what, number, init_size, segment_size = QUESTION.unpack(packed)
        init, segment = read_exactly(source, init_size), read_exactly(source, segment_size)
        if init is None or segment is None:
            return
        if what != DECODE:
            lines.pop(number, None)
            continue
        try:
            worked, body = 1, lines.setdefault(number, SoundLine()).decode(init, segment)
        except Undecodable as trouble:
            worked, body = 0, str(trouble).encode()
        sink.write(ANSWER.pack(worked, len(body)) + body)
        sink.flush()


if __name__ == "__main__":
    # The bot that has gone reads nothing more: there is nobody left to tell.
    with suppress(BrokenPipeError):
        main()
