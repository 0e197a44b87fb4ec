"""The sound of media segments: decoded in a process of its own, for outlets that play no picture.

What others use is exported here; everything else is internal. PyAV comes with the extra `voice` (or `livekit`), and is
imported in that process alone.
"""

from adapters.media.sound.process import SoundDecoder, can_decode

__all__ = ["SoundDecoder", "can_decode"]
