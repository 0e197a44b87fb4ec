"""What discord.py's player reads: a buffer without an end, as Opus. It runs in the player's thread, so encoding takes
no time from the event loop; it never waits and never ends.
"""

from collections.abc import Callable

import discord
from discord import opus

from adapters.chat.discord.voice.buffer import VoiceBuffer, in_stereo

SILENCE = b"\xf8\xff\xfe"
"""A packet of silence, which costs nothing to make (Discord's documentation, voice connections)."""

MAX_BITRATE = 64
"""Kilobits a second: a voice gains nothing from more."""

EXPECTED_LOSS = 0.05
"""Share of the packets that may be lost, for Opus's forward error correction. Our choice."""


class VoiceSource(discord.AudioSource):
    """Reads a buffer, for as long as it is asked to."""

    def __init__(self, buffer: VoiceBuffer, may_speak: Callable[[], bool], bitrate: int = MAX_BITRATE) -> None:
        """may_speak: whether those who are there could hear it now; asked from the player's thread. While they could
        not, the buffer keeps its last 1.5 s. bitrate: the channel's, kilobits a second. Raises
        `discord.opus.OpusNotLoaded`."""
        self._buffer = buffer
        self._may_speak = may_speak
        self._encoder = opus.Encoder(
            application="voip",
            bitrate=max(16, min(MAX_BITRATE, bitrate)),
            fec=True,
            expected_packet_loss=EXPECTED_LOSS,
            bandwidth="full",
            signal_type="voice",
        )

    def read(self) -> bytes:
        """The next 20 ms."""
        piece = self._buffer.take() if self._may_speak() else None
        if piece is None:
            return SILENCE
        return self._encoder.encode(in_stereo(piece), opus.Encoder.SAMPLES_PER_FRAME)

    def is_opus(self) -> bool:
        """It is encoded already."""
        return True
