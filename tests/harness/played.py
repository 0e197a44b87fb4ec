"""What is in encoded media: decoded, with the moments at which the avatar of `marked_avatar` flashes and beeps."""

import io
import itertools
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from tests.harness.marked_avatar import is_bright

WINDOW = 48
"""Samples that are looked at together: a millisecond."""

LOUD = 0.05


@dataclass(frozen=True)
class Played:
    """Decoded media. Times are seconds on the media's line."""

    pictures: list[tuple[float, NDArray[np.uint8]]]
    sound: NDArray[np.float32]
    sound_begins: float

    @property
    def times(self) -> list[float]:
        """When pictures are shown."""
        return [moment for moment, _ in self.pictures]

    @property
    def flashes(self) -> list[float]:
        """When the picture turns bright."""
        states = [(moment, is_bright(luma)) for moment, luma in self.pictures]
        return [now for (_, before), (now, bright) in itertools.pairwise(states) if bright and not before]

    @property
    def beeps(self) -> list[float]:
        """When the sound begins, after silence."""
        usable = len(self.sound) // WINDOW * WINDOW
        loud = np.abs(self.sound[:usable]).reshape(-1, WINDOW).max(axis=1) > LOUD
        begins = np.flatnonzero(loud[1:] & ~loud[:-1]) + 1
        return [self.sound_begins + float(begin) * WINDOW / 48_000 for begin in begins]

    @property
    def offsets(self) -> list[float]:
        """Seconds that each beep is later than the flash it belongs to."""
        flashes = np.array(self.flashes)
        nearest = [(beep, flashes[np.argmin(np.abs(flashes - beep))]) for beep in self.beeps]
        return [float(beep - flash) for beep, flash in nearest if abs(beep - flash) < 0.4]


def played(media: bytes) -> Played:
    """Decode fragmented MP4. Raises what PyAV raises if it cannot be played, and ValueError if sound has a gap."""
    pictures: list[tuple[float, NDArray[np.uint8]]] = []
    sound: list[NDArray[np.float32]] = []
    begins, samples = 0.0, 0
    with av.open(io.BytesIO(media), "r") as container:
        for frame in container.decode():
            if frame.time is None:
                raise ValueError("a frame without a time")
            if isinstance(frame, av.VideoFrame):
                luma = frame.reformat(format="gray").to_ndarray().astype(np.uint8, copy=False)
                pictures.append((frame.time, luma))
            elif isinstance(frame, av.AudioFrame):
                if not sound:
                    begins = frame.time
                elif abs(frame.time - begins - samples / 48_000) > 1e-4:
                    raise ValueError(f"sound has a gap at {frame.time}")
                sound.append(frame.to_ndarray()[0])
                samples += frame.samples
    whole = np.concatenate(sound) if sound else np.zeros(0, np.float32)
    return Played(pictures, whole, begins)
