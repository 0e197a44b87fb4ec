"""Speech text: what of a chat message can be said aloud, in which pieces, and how long that takes.

Pure functions of text: no I/O, no platform, no vendor, no clock.
"""

from bot.speech.clean import make_speakable
from bot.speech.duration import estimate_duration
from bot.speech.split import split
from bot.speech.spoilers import mask_spoilers
from bot.speech.stream import SpeakableStream

__all__ = ["SpeakableStream", "estimate_duration", "make_speakable", "mask_spoilers", "split"]
