"""`python -m adapters.media.room.trial`: encodes one picture and a moment of silence with what the encoder's process
uses, and ends with 0 if that works. Run by `adapters.media.room.encoder_process`, never in the bot's process.
"""

import sys

from adapters.media.room.codecs import SAMPLES, PictureEncoder, SoundEncoder, picture_of
from adapters.media.room.quality import QUALITIES

SILENCE = bytes(2 * SAMPLES * 4)
"""AAC gives a packet about three after its samples went in."""


def main() -> None:
    """Encode both at the highest quality. Raises what PyAV raises."""
    quality = QUALITIES[-1]
    pixels = quality.width * quality.height
    black = picture_of(bytes(pixels) + b"\x80" * (pixels // 2), quality.width, quality.height)
    packet = PictureEncoder(quality).encode(black, 0, is_key=True)
    if not packet.is_keyframe or not SoundEncoder().encode(SILENCE):
        sys.exit("the encoder gave nothing")


if __name__ == "__main__":
    main()
