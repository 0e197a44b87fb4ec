"""The sound of media segments as samples (`bot.core.sound`), through PyAV. Runs in the decoder's process alone.

What comes in is hostile: only the containers and codecs of HLS are tried, so that nothing in a segment can make FFmpeg
open a file or an address.
"""

import io

import av
from av.audio.codeccontext import AudioCodecContext

from bot.core.sound import RATE

CODECS = ("aac", "mp3", "ac3", "eac3", "opus")
"""What HLS may carry (RFC 8216 and Apple's authoring rules)."""

_SYNC = b"\x47"
_ID3 = b"ID3"


class Undecodable(Exception):
    """There is no sound in it that can be understood."""


class SoundLine:
    """One line of sound: segments that follow one another. A decoder is kept from one to the next, since AAC's packets
    overlap: a new one for each would click."""

    def __init__(self) -> None:
        self._codec: AudioCodecContext | None = None
        self._known: tuple[str, bytes | None, int] | None = None
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)

    def decode(self, init: bytes, segment: bytes) -> bytes:
        """The samples of the next segment; none where it has no sound. init: of a fragmented MP4, else empty. Raises
        `Undecodable`."""
        try:
            with av.open(io.BytesIO(init + segment), "r", format=_container_of(init, segment)) as container:
                if not container.streams.audio:
                    return b""
                stream = container.streams.audio[0]
                codec = self._codec_for(stream.codec_context)
                pcm = bytearray()
                for packet in container.demux(stream):
                    if packet.size:
                        for frame in codec.decode(packet):
                            for piece in self._resampler.resample(frame):
                                pcm += bytes(piece.planes[0])[: 2 * piece.samples]
                return bytes(pcm)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            # What it was in the middle of is lost: the next segment begins anew.
            self.__init__()  # type: ignore[misc]
            raise Undecodable(type(error).__name__) from error

    def _codec_for(self, found: AudioCodecContext) -> AudioCodecContext:
        known = (found.name, found.extradata, found.sample_rate)
        if self._codec is None or known != self._known:
            if found.name not in CODECS:
                raise ValueError(found.name)
            codec = av.CodecContext.create(found.name, "r")
            if not isinstance(codec, AudioCodecContext):
                raise ValueError(found.name)
            if found.extradata:
                codec.extradata = found.extradata
            self._codec, self._known = codec, known
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        return self._codec


def _container_of(init: bytes, segment: bytes) -> str:
    """FFmpeg's name of the container. Never left to be guessed: some of its formats are lists of files to open."""
    if init:
        return "mp4"
    if segment.startswith(_SYNC):
        return "mpegts"
    if segment.startswith(_ID3) or segment[:1] == b"\xff":
        return "aac"
    raise ValueError("no container of HLS")
