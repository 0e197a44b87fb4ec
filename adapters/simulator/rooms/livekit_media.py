"""What the avatar shows and sounds like in a LiveKit room: a drawn face whose mouth moves, and soft tones.

Drawn once for all rooms, without any library: pictures as I420 planes, sound as 16 bit numbers. Two seconds of each, in
steps of one picture, go round and round. Pure computation.
"""

import array
import math
from functools import cache

from adapters.simulator.catalogue import LOOKS

WIDTH = HEIGHT = 320
FPS = 15
RATE = 48_000
SAMPLES = RATE // FPS
STEPS = 30
"""Pictures, and pieces of sound, in the loop."""

_LOUDEST = 4_000
"""Of 32,767: soft."""
_TONES = (220.0, 277.5, 330.0, 277.5, 247.5, 330.0, 367.5, 277.5, 220.0, 247.5)
"""Hz; one for each syllable. All of them are multiples of 7.5, so every piece of three steps ends where it began."""
_SYLLABLE = STEPS // len(_TONES)
_INK = (40, 120, 136)
_MOUTH = (70, 118, 180)

_Colour = tuple[int, int, int]


@cache
def pictures(*, talking: bool) -> tuple[bytes, ...]:
    """The loop of pictures, I420, `WIDTH` times `HEIGHT`."""
    return tuple(_picture(step, talking=talking) for step in range(STEPS))


@cache
def sounds() -> tuple[bytes, ...]:
    """The loop of what it says, mono, `SAMPLES` for each step."""
    return tuple(_sound(step) for step in range(STEPS))


@cache
def silence() -> bytes:
    """One step of nothing."""
    return bytes(2 * SAMPLES)


class _Canvas:
    """An I420 picture under the brush. Colours are Y, U, V."""

    def __init__(self, colour: _Colour) -> None:
        sizes = (WIDTH * HEIGHT, WIDTH * HEIGHT // 4, WIDTH * HEIGHT // 4)
        self.planes = [bytearray([value]) * size for value, size in zip(colour, sizes, strict=True)]

    def ellipse(self, x: float, y: float, half_width: float, half_height: float, colour: _Colour) -> None:
        """Fill an ellipse around a point, row by row; what lies outside of the picture is left out."""
        for plane, value, scale in zip(self.planes, colour, (1, 2, 2), strict=True):
            width, height = WIDTH // scale, HEIGHT // scale
            for row in range(max(0, int((y - half_height) / scale)), min(height, int((y + half_height) / scale) + 1)):
                share = ((row + 0.5) * scale - y) / half_height
                if abs(share) >= 1:
                    continue
                reach = half_width * math.sqrt(1 - share * share)
                left = max(0, round((x - reach) / scale))
                right = min(width, round((x + reach) / scale))
                if right > left:
                    plane[row * width + left : row * width + right] = bytes([value]) * (right - left)


def _picture(step: int, *, talking: bool) -> bytes:
    background, skin, hair, clothes = (_yuv(colour) for colour in LOOKS[0].colours)
    turn = 2 * math.pi * step / STEPS
    x, y = 160 + 5 * math.sin(turn), 140 + 2 * math.cos(turn)
    canvas = _Canvas(background)
    canvas.ellipse(160, 330, 120, 110, clothes)
    canvas.ellipse(x, y + 70, 30, 50, skin)
    canvas.ellipse(x, y - 22, 78, 84, hair)
    canvas.ellipse(x, y, 66, 80, skin)
    open_eyes = 1.5 if step in (20, 21) else 8.0
    for side in (-26, 26):
        canvas.ellipse(x + side, y - 14, 8, open_eyes, _INK)
    opening = 3.0 + (15.0 * abs(math.sin(math.pi * (step % _SYLLABLE + 0.5) / _SYLLABLE)) if talking else 0.0)
    canvas.ellipse(x, y + 38, 22, opening, _MOUTH)
    # So that every picture differs from the one before, whatever the face does.
    canvas.ellipse(160 + 135 * math.sin(turn), 160 - 135 * math.cos(turn), 9, 9, hair)
    return b"".join(canvas.planes)


def _sound(step: int) -> bytes:
    syllable, part = divmod(step, _SYLLABLE)
    samples = array.array("h", bytes(2 * SAMPLES))
    length = SAMPLES * _SYLLABLE
    for index in range(SAMPLES):
        at = part * SAMPLES + index
        swell = math.sin(math.pi * at / length) ** 2
        samples[index] = int(_LOUDEST * swell * math.sin(2 * math.pi * _TONES[syllable] * at / RATE))
    return samples.tobytes()


def _yuv(colour: str) -> _Colour:
    """ITU-R BT.601, limited range."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return (
        round(16 + 0.257 * red + 0.504 * green + 0.098 * blue),
        round(128 - 0.148 * red - 0.291 * green + 0.439 * blue),
        round(128 + 0.439 * red - 0.368 * green - 0.071 * blue),
    )
