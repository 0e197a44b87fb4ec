"""Where the pictures and the sound of an avatar go to, wherever they come from."""

from typing import Protocol


class MediaSink(Protocol):
    """Takes what arrives, at the moment it does; never waits."""

    def picture(
        self, timestamp: float, width: int, height: int, planes: memoryview, track: int, later: float = 0.0
    ) -> None:
        """A picture: I420 planes without padding, which stay as they are. timestamp: seconds by its source's clock.
        track: which source. later: seconds after its arrival at which it belongs to the sound that arrives then."""

    def sound(self, pcm: bytes, track: int, later: float = 0.0) -> None:
        """Sound: 16 bit samples, mono, 48,000 a second. track, later: as for a picture."""
