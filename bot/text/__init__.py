"""Speech text: what of a chat message can be said aloud, in which pieces, and how long that takes.

Pure functions of text: no I/O, no platform, no vendor, no clock.
"""

from bot.text.clean import make_speakable
from bot.text.duration import estimate_duration
from bot.text.split import split
from bot.text.spoilers import close_open_markup, mask_spoilers
from bot.text.stream import SpeakableStream

__all__ = ["SpeakableStream", "close_open_markup", "estimate_duration", "make_speakable", "mask_spoilers", "split"]
